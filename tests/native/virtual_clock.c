/* Promise (clock.h): virtual time stands still while a thread works, jumps to the earliest
 * deadline as soon as all sleep, wakes one sleeper at a time in a fixed order, and never passes
 * its limit. */
#include <pthread.h>

#include "check.h"
#include "clock.h"

/* Real time after which a run that cannot end is given up; and one that is known to be in vain. */
static const int64_t PATIENCE_NS = INT64_C(20) * 1000000000;
static const int64_t IN_VAIN_NS = INT64_C(30) * 1000000;

/* ---- threads that take turns ---- */

enum { PLAYERS = 3, END_NS = 210, LOG_LENGTH = 200 };
static const int64_t periods_ns[PLAYERS] = {3, 5, 7};

typedef struct {
    int64_t time_ns;
    int player;
} turn;

/* Neither lock nor atomic, on purpose: if two players ever ran at once, TSan would say so. */
typedef struct {
    turn turns[LOG_LENGTH];
    int length;
} turn_log;

typedef struct {
    turn_log *log;
    sa_sleeper *sleeper;
    int number;
} player;

static void *play(void *argument) {
    player *p = argument;
    int64_t period_ns = periods_ns[p->number];
    for (int64_t due_ns = period_ns; due_ns <= END_NS; due_ns += period_ns) {
        CHECK(!sa_sleeper_sleep(p->sleeper, due_ns));
        CHECK(p->log->length < LOG_LENGTH);
        int64_t now_ns = sa_clock_now(sa_sleeper_clock(p->sleeper));
        p->log->turns[p->log->length++] = (turn){now_ns, p->number};
    }
    sa_sleeper_retire(p->sleeper);
    return NULL;
}

/* By time; at the same time, in the order in which the sleepers were created. */
static void check_turns(const turn_log *log, int64_t until_ns) {
    int index = 0;
    for (int64_t now_ns = 1; now_ns <= until_ns; now_ns++) {
        for (int number = 0; number < PLAYERS; number++) {
            if (now_ns % periods_ns[number] == 0) {
                CHECK(index < log->length);
                CHECK_EQUAL(log->turns[index].time_ns, now_ns);
                CHECK_EQUAL(log->turns[index].player, number);
                index++;
            }
        }
    }
    CHECK_EQUAL(log->length, index);
}

static void turns_come_in_a_fixed_order(void) {
    sa_clock *clock = sa_virtual_clock_create(0, 0);
    turn_log log = {.length = 0};
    player players[PLAYERS];
    pthread_t threads[PLAYERS];
    for (int i = 0; i < PLAYERS; i++) {
        players[i] = (player){&log, sa_sleeper_create(clock), i};
    }
    for (int i = PLAYERS - 1; i >= 0; i--) { /* the order of the threads' starts is no matter */
        CHECK(pthread_create(&threads[i], NULL, play, &players[i]) == 0);
    }
    /* Deadlines at the limit are served, those after it are not: 105 = 3 x 5 x 7 has all three. */
    static const int64_t limits_ns[] = {0, 1, 15, 50, 105, 106, END_NS};
    for (size_t i = 0; i < sizeof limits_ns / sizeof limits_ns[0]; i++) {
        CHECK(sa_virtual_clock_run_until(clock, limits_ns[i], PATIENCE_NS));
        CHECK_EQUAL(sa_clock_now(clock), limits_ns[i]);
        check_turns(&log, limits_ns[i]);
    }
    for (int i = 0; i < PLAYERS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        sa_sleeper_destroy(players[i].sleeper);
    }
    sa_virtual_clock_destroy(clock);
}

/* ---- threads that follow a script ---- */

typedef struct {
    int64_t until_ns;
    bool woken;     /* expected of the sleep */
    int64_t now_ns; /* expected after it */
    sa_sleeper *wake_then;
} step;

typedef struct {
    sa_sleeper *sleeper;
    const step *steps;
    int count;
} actor;

static void *act(void *argument) {
    actor *a = argument;
    for (const step *s = a->steps; s < a->steps + a->count; s++) {
        CHECK_EQUAL(sa_sleeper_sleep(a->sleeper, s->until_ns), s->woken);
        CHECK_EQUAL(sa_clock_now(sa_sleeper_clock(a->sleeper)), s->now_ns);
        if (s->wake_then) {
            sa_sleeper_wake(s->wake_then);
        }
    }
    sa_sleeper_retire(a->sleeper);
    return NULL;
}

static pthread_t start(actor *a) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, act, a) == 0);
    return thread;
}

static void end(actor *a, pthread_t thread) {
    CHECK(pthread_join(thread, NULL) == 0);
    sa_sleeper_destroy(a->sleeper);
}

static void a_wake_ends_a_sleep_early(void) {
    sa_clock *clock = sa_virtual_clock_create(0, 0);
    static const step steps[] = {{1000, true, 10, NULL}, {20, false, 20, NULL}};
    actor a = {sa_sleeper_create(clock), steps, 2};
    pthread_t thread = start(&a);
    CHECK(sa_virtual_clock_run_until(clock, 10, PATIENCE_NS));
    sa_sleeper_wake(a.sleeper);
    CHECK(sa_virtual_clock_run_until(clock, 30, PATIENCE_NS));
    end(&a, thread);
    sa_virtual_clock_destroy(clock);
}

static void a_wake_before_the_sleep_is_not_lost(void) {
    sa_clock *clock = sa_virtual_clock_create(5, 5);
    /* One wake ends one sleep, even one that is overdue; an overdue sleep takes no time. */
    static const step steps[] = {
        {SA_NEVER, true, 5, NULL}, {8, false, 8, NULL}, {2, false, 8, NULL}};
    actor a = {sa_sleeper_create(clock), steps, 3};
    sa_sleeper_wake(a.sleeper);
    sa_sleeper_wake(a.sleeper);
    pthread_t thread = start(&a);
    CHECK(sa_virtual_clock_run_until(clock, 10, PATIENCE_NS));
    CHECK_EQUAL(sa_clock_now(clock), 10);
    end(&a, thread);
    sa_virtual_clock_destroy(clock);
}

static void threads_wake_each_other(void) {
    sa_clock *clock = sa_virtual_clock_create(0, 0);
    sa_sleeper *first = sa_sleeper_create(clock);
    sa_sleeper *second = sa_sleeper_create(clock);
    /* A sleep without end takes no part in time, until somebody wakes it: ping at 5, pong at 8. */
    const step first_steps[] = {{5, false, 5, second}, {SA_NEVER, true, 8, NULL}};
    const step second_steps[] = {{SA_NEVER, true, 5, NULL}, {8, false, 8, first}};
    actor a = {first, first_steps, 2}, b = {second, second_steps, 2};
    pthread_t threads[] = {start(&a), start(&b)};
    CHECK(sa_virtual_clock_run_until(clock, 100, PATIENCE_NS));
    CHECK_EQUAL(sa_clock_now(clock), 100);
    end(&a, threads[0]);
    end(&b, threads[1]);
    sa_virtual_clock_destroy(clock);
}

static void time_waits_for_a_thread_on_its_way(void) {
    sa_clock *clock = sa_virtual_clock_create(0, 0);
    static const step steps[] = {{10, false, 10, NULL}};
    actor late = {sa_sleeper_create(clock), steps, 1};
    actor early = {sa_sleeper_create(clock), steps, 1};
    pthread_t early_thread = start(&early);
    CHECK(!sa_virtual_clock_run_until(clock, 50, IN_VAIN_NS));
    CHECK_EQUAL(sa_clock_now(clock), 0);
    pthread_t late_thread = start(&late);
    CHECK(sa_virtual_clock_run_until(clock, 50, PATIENCE_NS));
    CHECK_EQUAL(sa_clock_now(clock), 50);
    end(&late, late_thread);
    end(&early, early_thread);
    sa_virtual_clock_destroy(clock);
}

static void a_retired_sleeper_holds_nothing_up(void) {
    sa_clock *clock = sa_virtual_clock_create(0, 0);
    sa_sleeper *gone = sa_sleeper_create(clock);
    static const step steps[] = {{10, false, 10, NULL}};
    actor a = {sa_sleeper_create(clock), steps, 1};
    pthread_t thread = start(&a);
    CHECK(!sa_virtual_clock_run_until(clock, 50, IN_VAIN_NS));
    sa_sleeper_retire(gone);
    sa_sleeper_retire(gone); /* a second time does no harm */
    sa_sleeper_wake(gone);   /* nor does a wake */
    CHECK(sa_virtual_clock_run_until(clock, 50, PATIENCE_NS));
    CHECK_EQUAL(sa_clock_now(clock), 50);
    sa_sleeper_destroy(gone);
    end(&a, thread);
    sa_virtual_clock_destroy(clock);
}

static void a_sleeper_may_outlive_its_clock(void) {
    sa_clock *clock = sa_virtual_clock_create(5, SA_NEVER);
    sa_sleeper *last = sa_sleeper_create(clock);
    sa_sleeper *other = sa_sleeper_create(clock);
    sa_virtual_clock_destroy(clock);
    sa_sleeper_destroy(other);
    CHECK(!sa_sleeper_sleep(last, 50));
    CHECK_EQUAL(sa_clock_now(sa_sleeper_clock(last)), 50);
    sa_sleeper_destroy(last);
}

int main(void) {
    turns_come_in_a_fixed_order();
    a_wake_ends_a_sleep_early();
    a_wake_before_the_sleep_is_not_lost();
    threads_wake_each_other();
    time_waits_for_a_thread_on_its_way();
    a_retired_sleeper_holds_nothing_up();
    a_sleeper_may_outlive_its_clock();
    printf("virtual time kept its order, its limit, its wakes and its waits\n");
    return 0;
}
