#include "clock.h"

#include <pthread.h>
#include <stdlib.h>

#include "platform.h"

/* One mutex for a virtual clock and all its sleepers; a real sleeper has a doorbell. */
typedef struct {
    sa_clock head;
    pthread_mutex_t mutex;
    pthread_cond_t idle; /* signalled when every thread sleeps and time may not go on */
    int64_t limit_ns;
    int running; /* sleepers that are awake */
    sa_sleeper *first;
    atomic_int holders; /* who made it, until that destroys it, and every sleeper */
} virtual_clock;

struct sa_sleeper {
    sa_clock *clock;
    sa_doorbell *doorbell; /* real; the rest is for virtual time */
    pthread_cond_t wake;
    bool woken;    /* a wake that no sleep has taken yet */
    bool asleep;   /* inside sa_sleeper_sleep and not yet chosen to run */
    bool retired;  /* takes no part any more */
    int64_t until; /* the deadline of the sleep under way */
    sa_sleeper *next;
};

static sa_clock real_clock = {.is_virtual = false};

sa_clock *sa_clock_real(void) {
    return &real_clock;
}

int64_t sa_clock_suspended(const sa_clock *clock) {
    if (clock->is_virtual) {
        return atomic_load_explicit(&clock->virtual_suspended_ns, memory_order_relaxed);
    }
    return sa_time_asleep();
}

/* ---- virtual time; every function below this line holds the clock's mutex ---- */

static void start_running(virtual_clock *clock, sa_sleeper *sleeper) {
    sleeper->asleep = false;
    clock->running++;
    pthread_cond_signal(&sleeper->wake);
}

/* Relaxed: threads that the mutex does not order may see any time that it was. */
static void set_now(virtual_clock *clock, int64_t now_ns) {
    atomic_store_explicit(&clock->head.virtual_now_ns, now_ns, memory_order_relaxed);
}

/* If nobody runs: jump to the earliest deadline within the limit and start that one sleeper. */
static void advance_if_idle(virtual_clock *clock) {
    if (clock->running > 0) {
        return;
    }
    sa_sleeper *next = NULL;
    for (sa_sleeper *s = clock->first; s; s = s->next) {
        if (s->asleep && s->until != SA_NEVER && (!next || s->until < next->until)) {
            next = s;
        }
    }
    int64_t now = sa_clock_now(&clock->head);
    if (!next || next->until > clock->limit_ns) {
        if (clock->limit_ns != SA_NEVER && now < clock->limit_ns) {
            set_now(clock, clock->limit_ns);
        }
        pthread_cond_broadcast(&clock->idle);
        return;
    }
    if (next->until > now) {
        set_now(clock, next->until);
    }
    start_running(clock, next);
}

static bool virtual_sleep(virtual_clock *clock, sa_sleeper *sleeper, int64_t deadline_ns) {
    if (sleeper->woken) {
        sleeper->woken = false;
        return true;
    }
    if (deadline_ns <= sa_clock_now(&clock->head)) {
        return false;
    }
    sleeper->until = deadline_ns;
    sleeper->asleep = true;
    clock->running--;
    advance_if_idle(clock);
    while (sleeper->asleep) {
        pthread_cond_wait(&sleeper->wake, &clock->mutex);
    }
    bool woken = sleeper->woken;
    sleeper->woken = false;
    return woken;
}

/* ---- end of what holds the mutex ---- */

sa_clock *sa_virtual_clock_create(int64_t start_ns, int64_t limit_ns) {
    virtual_clock *clock = calloc(1, sizeof *clock);
    if (!clock) {
        return NULL;
    }
    clock->head.is_virtual = true;
    atomic_init(&clock->head.virtual_now_ns, start_ns);
    atomic_init(&clock->head.virtual_suspended_ns, 0);
    atomic_init(&clock->holders, 1);
    clock->limit_ns = limit_ns;
    pthread_mutex_init(&clock->mutex, NULL);
    sa_cond_init(&clock->idle);
    return &clock->head;
}

static void let_go(virtual_clock *clock) {
    /* Release what this one did, and acquire what all others did, before it is freed. */
    if (atomic_fetch_sub_explicit(&clock->holders, 1, memory_order_acq_rel) == 1) {
        pthread_cond_destroy(&clock->idle);
        pthread_mutex_destroy(&clock->mutex);
        free(clock);
    }
}

void sa_virtual_clock_destroy(sa_clock *clock) {
    let_go((virtual_clock *)clock);
}

bool sa_virtual_clock_run_until(sa_clock *head, int64_t limit_ns, int64_t timeout_ns) {
    virtual_clock *clock = (virtual_clock *)head;
    int64_t give_up = timeout_ns == SA_NEVER ? SA_NEVER : sa_clock_now(&real_clock) + timeout_ns;
    pthread_mutex_lock(&clock->mutex);
    clock->limit_ns = limit_ns;
    advance_if_idle(clock);
    bool arrived = true;
    while (clock->running > 0 || sa_clock_now(head) < limit_ns) {
        if (!sa_cond_wait_until(&clock->idle, &clock->mutex, give_up)) {
            arrived = clock->running == 0 && sa_clock_now(head) >= limit_ns;
            break;
        }
    }
    pthread_mutex_unlock(&clock->mutex);
    return arrived;
}

void sa_virtual_clock_suspend(sa_clock *clock, int64_t span_ns) {
    /* Relaxed: a figure of its own. */
    atomic_fetch_add_explicit(&clock->virtual_suspended_ns, span_ns, memory_order_relaxed);
}

static void take_seat(virtual_clock *clock, sa_sleeper *sleeper) {
    sa_cond_init(&sleeper->wake);
    atomic_fetch_add_explicit(&clock->holders, 1, memory_order_relaxed);
    pthread_mutex_lock(&clock->mutex);
    sa_sleeper **last = &clock->first; /* in order of creation: ties break the same way */
    while (*last) {
        last = &(*last)->next;
    }
    *last = sleeper;
    clock->running++;
    pthread_mutex_unlock(&clock->mutex);
}

sa_sleeper *sa_sleeper_create(sa_clock *clock) {
    sa_sleeper *sleeper = calloc(1, sizeof *sleeper);
    if (!sleeper) {
        return NULL;
    }
    sleeper->clock = clock;
    if (clock->is_virtual) {
        take_seat((virtual_clock *)clock, sleeper);
    } else if (!(sleeper->doorbell = sa_doorbell_create())) {
        free(sleeper);
        return NULL;
    }
    return sleeper;
}

void sa_sleeper_retire(sa_sleeper *sleeper) {
    if (!sleeper->clock->is_virtual || sleeper->retired) {
        return;
    }
    virtual_clock *shared = (virtual_clock *)sleeper->clock;
    pthread_mutex_lock(&shared->mutex);
    sa_sleeper **link = &shared->first;
    while (*link != sleeper) {
        link = &(*link)->next;
    }
    *link = sleeper->next;
    sleeper->retired = true;
    if (!sleeper->asleep) {
        shared->running--;
    }
    advance_if_idle(shared);
    pthread_mutex_unlock(&shared->mutex);
}

void sa_sleeper_destroy(sa_sleeper *sleeper) {
    sa_sleeper_retire(sleeper);
    if (sleeper->clock->is_virtual) {
        pthread_cond_destroy(&sleeper->wake);
        let_go((virtual_clock *)sleeper->clock);
    }
    sa_doorbell_let_go(sleeper->doorbell);
    free(sleeper);
}

const sa_clock *sa_sleeper_clock(const sa_sleeper *sleeper) {
    return sleeper->clock;
}

bool sa_sleeper_sleep(sa_sleeper *sleeper, int64_t deadline_ns) {
    if (!sleeper->clock->is_virtual) {
        return sa_doorbell_sleep(sleeper->doorbell, SA_RUNG_TO_WAKE, deadline_ns) != 0;
    }
    virtual_clock *shared = (virtual_clock *)sleeper->clock;
    pthread_mutex_lock(&shared->mutex);
    bool woken = virtual_sleep(shared, sleeper, deadline_ns);
    pthread_mutex_unlock(&shared->mutex);
    return woken;
}

void sa_sleeper_wake(sa_sleeper *sleeper) {
    if (!sleeper->clock->is_virtual) {
        sa_doorbell_ring(sleeper->doorbell, SA_RUNG_TO_WAKE);
        return;
    }
    virtual_clock *shared = (virtual_clock *)sleeper->clock;
    pthread_mutex_lock(&shared->mutex);
    sleeper->woken = true;
    if (sleeper->asleep) {
        start_running(shared, sleeper);
    }
    pthread_mutex_unlock(&shared->mutex);
}

sa_doorbell *sa_sleeper_doorbell(const sa_sleeper *sleeper) {
    return sleeper->doorbell;
}
