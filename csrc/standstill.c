#include "standstill.h"

/* What is lost in a shorter standstill is laid to the host. */
static const int64_t LEAST_PROVEN_NS = 200 * 1000 * 1000;
static const int64_t LEAST_UNPROVEN_NS = 1000 * 1000 * 1000;

/* The clocks are not read in one moment; no machine sleeps for less. */
static const int64_t LEAST_SUSPENSION_NS = 10 * 1000 * 1000;

/* When all may run again, one thread may come back that much later than another. */
static const int64_t SLACK_NS = 100 * 1000 * 1000;

int64_t sa_standstill_look(sa_standstill *standstill, int64_t now_ns, int64_t suspended_ns,
                           int64_t due_ns) {
    sa_standstill *s = standstill;
    int64_t slept_ns = 0;
    if (s->looked_ns != 0) {
        bool proven = due_ns != SA_NEVER;
        int64_t from_ns = proven ? due_ns : s->looked_ns;
        if (now_ns - from_ns >= (proven ? LEAST_PROVEN_NS : LEAST_UNPROVEN_NS)) {
            s->seen_ns = s->looked_ns;
            s->from_ns = from_ns;
            s->until_ns = now_ns;
            s->proven = proven;
        }
        slept_ns = suspended_ns - s->suspended_ns;
    }
    s->looked_ns = now_ns;
    s->suspended_ns = suspended_ns;
    return slept_ns >= LEAST_SUSPENSION_NS ? slept_ns : 0;
}

int64_t sa_standstill_between(const sa_standstill *standstill, int64_t before_ns,
                              int64_t after_ns) {
    int64_t stood_ns = standstill->until_ns - standstill->from_ns;
    bool between = before_ns < standstill->until_ns && after_ns > standstill->from_ns;
    return between && after_ns - before_ns >= stood_ns / 2 ? stood_ns : 0;
}

bool sa_standstill_explains(const sa_standstill *standstill, int64_t before_ns, int64_t after_ns,
                            int64_t lost_ns) {
    const sa_standstill *s = standstill;
    int64_t stood_ns = sa_standstill_between(s, before_ns, after_ns);
    if (stood_ns == 0 || lost_ns > s->until_ns - s->seen_ns + SLACK_NS) {
        return false;
    }
    if (s->proven) { /* of this thread; and the other one did nothing meanwhile */
        return before_ns <= s->from_ns + SLACK_NS && after_ns >= s->until_ns - SLACK_NS;
    }
    return lost_ns >= stood_ns / 2;
}
