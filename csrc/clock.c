#include "clock.h"

#include <pthread.h>
#include <stdlib.h>

#include "platform.h"

/* One mutex for a virtual clock and all its sleepers; a real sleeper has one of its own. */
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
    pthread_mutex_t own_mutex;
    pthread_mutex_t *mutex;
    pthread_cond_t wake;
    bool woken;    /* a wake that no sleep has taken yet */
    bool asleep;   /* virtual: inside sa_sleeper_sleep and not yet chosen to run */
    bool retired;  /* virtual: takes no part any more */
    int64_t until; /* virtual: the deadline of the sleep under way */
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
            atomic_store(&clock->head.virtual_now_ns, clock->limit_ns);
        }
        pthread_cond_broadcast(&clock->idle);
        return;
    }
    if (next->until > now) {
        atomic_store(&clock->head.virtual_now_ns, next->until);
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
    atomic_fetch_add(&clock->virtual_suspended_ns, span_ns);
}

sa_sleeper *sa_sleeper_create(sa_clock *clock) {
    sa_sleeper *sleeper = calloc(1, sizeof *sleeper);
    if (!sleeper) {
        return NULL;
    }
    sleeper->clock = clock;
    sa_cond_init(&sleeper->wake);
    pthread_mutex_init(&sleeper->own_mutex, NULL);
    sleeper->mutex = &sleeper->own_mutex;
    if (clock->is_virtual) {
        virtual_clock *shared = (virtual_clock *)clock;
        atomic_fetch_add_explicit(&shared->holders, 1, memory_order_relaxed);
        sleeper->mutex = &shared->mutex;
        pthread_mutex_lock(&shared->mutex);
        sa_sleeper **last = &shared->first; /* in order of creation: ties break the same way */
        while (*last) {
            last = &(*last)->next;
        }
        *last = sleeper;
        shared->running++;
        pthread_mutex_unlock(&shared->mutex);
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
        let_go((virtual_clock *)sleeper->clock);
    }
    pthread_cond_destroy(&sleeper->wake);
    pthread_mutex_destroy(&sleeper->own_mutex);
    free(sleeper);
}

const sa_clock *sa_sleeper_clock(const sa_sleeper *sleeper) {
    return sleeper->clock;
}

bool sa_sleeper_sleep(sa_sleeper *sleeper, int64_t deadline_ns) {
    bool woken;
    pthread_mutex_lock(sleeper->mutex);
    if (sleeper->clock->is_virtual) {
        woken = virtual_sleep((virtual_clock *)sleeper->clock, sleeper, deadline_ns);
    } else {
        while (!sleeper->woken &&
               sa_cond_wait_until(&sleeper->wake, sleeper->mutex, deadline_ns)) {
        }
        woken = sleeper->woken;
        sleeper->woken = false;
    }
    pthread_mutex_unlock(sleeper->mutex);
    return woken;
}

void sa_sleeper_wake(sa_sleeper *sleeper) {
    pthread_mutex_lock(sleeper->mutex);
    sleeper->woken = true;
    if (!sleeper->clock->is_virtual) {
        pthread_cond_signal(&sleeper->wake);
    } else if (sleeper->asleep) {
        start_running((virtual_clock *)sleeper->clock, sleeper);
    }
    pthread_mutex_unlock(sleeper->mutex);
}
