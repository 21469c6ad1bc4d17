/* When this process, or the whole machine, stood still: nobody here could take frames then.
 *
 * Two signs. While the machine is suspended the boot clock runs on and the capture's stands. And
 * a thread that sleeps natively until a deadline comes back long after it when the process was
 * stopped (SIGSTOP, a debugger, a frozen container); if no callback came either, that is what it
 * was. A thread that was busy elsewhere proves less: Python may just have let it wait.
 */
#ifndef SA_STANDSTILL_H
#define SA_STANDSTILL_H

#include "clock.h"

typedef struct {
    int64_t looked_ns;    /* when the reading thread was last seen to run; 0: never */
    int64_t suspended_ns; /* sa_clock_suspended at that time */

    /* The last standstill of that thread. */
    int64_t seen_ns;  /* when it was last seen before */
    int64_t from_ns;  /* when it should have been seen again */
    int64_t until_ns; /* when it was; 0: it never stood still */
    bool proven;      /* by a native sleep */
} sa_standstill;

/* Called whenever the reading thread comes by. `due_ns` is when its native sleep was to end;
 * SA_NEVER: it did not sleep, or not natively. Returns for how many ns the machine was suspended
 * since the last call. */
int64_t sa_standstill_look(sa_standstill *standstill, int64_t now_ns, int64_t suspended_ns,
                           int64_t due_ns);

/* For how long the thread stood still between two packets that were entered at `before_ns` and
 * `after_ns`, when none came either; 0: not known to. */
int64_t sa_standstill_between(const sa_standstill *standstill, int64_t before_ns,
                              int64_t after_ns);

/* Whether the process stood still between two packets that were entered at `before_ns` and
 * `after_ns`, so that what would have been captured in `lost_ns` is missing for that reason. */
bool sa_standstill_explains(const sa_standstill *standstill, int64_t before_ns, int64_t after_ns,
                            int64_t lost_ns);

#endif
