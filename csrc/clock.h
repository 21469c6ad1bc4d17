/* The one clock seam: every wait, timeout and time stamp goes through here.
 *
 * A clock is real (CLOCK_MONOTONIC) or virtual. On a virtual clock time stands still while any of
 * its threads works, and jumps to the earliest deadline as soon as all of them sleep; one thread
 * is woken at a time by a deadline, so a run is deterministic.
 *
 * A sleeper is one thread's seat at a clock. It is created before its thread starts (so that
 * virtual time cannot run ahead of a thread that is still on its way) and destroyed after it
 * ended.
 */
#ifndef SA_CLOCK_H
#define SA_CLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "doorbell.h"

#define SA_NEVER INT64_MAX

typedef struct sa_clock sa_clock;
typedef struct sa_sleeper sa_sleeper;

/* The head of every clock: all that the audio thread needs of it. */
struct sa_clock {
    bool is_virtual;
    _Atomic int64_t virtual_now_ns;
    _Atomic int64_t virtual_suspended_ns;
};

/* Now, in ns. On the audio thread's path: one vDSO call, or one atomic load on a virtual clock. */
static inline int64_t sa_clock_now(const sa_clock *clock) {
    if (clock->is_virtual) {
        return atomic_load_explicit(&clock->virtual_now_ns, memory_order_relaxed);
    }
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The process's real clock; never destroyed. */
sa_clock *sa_clock_real(void);

/* For how many ns the machine was suspended so far, while sa_clock_now stood still, as far as the
 * system tells (sa_time_asleep). */
int64_t sa_clock_suspended(const sa_clock *clock);

/* A virtual clock that starts at `start_ns` and may run freely up to `limit_ns`. */
sa_clock *sa_virtual_clock_create(int64_t start_ns, int64_t limit_ns);

/* Its sleepers may outlive it: a garbage collector lets go of both in any order. */
void sa_virtual_clock_destroy(sa_clock *clock);

/* Lets virtual time run up to `limit_ns`, which is not SA_NEVER, and returns when it is there and
 * all its threads sleep again, or false after `timeout_ns` of real time (a thread is stuck outside
 * the clock). */
bool sa_virtual_clock_run_until(sa_clock *clock, int64_t limit_ns, int64_t timeout_ns);

/* Suspends the virtual machine for so long, in no time. */
void sa_virtual_clock_suspend(sa_clock *clock, int64_t span_ns);

sa_sleeper *sa_sleeper_create(sa_clock *clock);
void sa_sleeper_destroy(sa_sleeper *sleeper);

/* Called by a thread that will not sleep again, so that virtual time does not wait for it. */
void sa_sleeper_retire(sa_sleeper *sleeper);

const sa_clock *sa_sleeper_clock(const sa_sleeper *sleeper);

/* Sleeps until `deadline_ns` or a wake; true when woken. A wake that came before is not lost. */
bool sa_sleeper_sleep(sa_sleeper *sleeper, int64_t deadline_ns);

/* Wakes the sleeper, or its next sleep; any thread but an audio thread may call it. */
void sa_sleeper_wake(sa_sleeper *sleeper);

/* What it sleeps by on the real clock, for others to ring; NULL on a virtual one, where nobody but
 * the clock and sa_sleeper_wake ends a sleep. */
sa_doorbell *sa_sleeper_doorbell(const sa_sleeper *sleeper);

#endif
