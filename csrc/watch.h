/* Whether a wait watches the ring around the moment that a packet is due, or sleeps by its bell.
 *
 * Watching is the quickest where a core is idle. Where other threads want the core it is not: who
 * has watched has used up its claim when the packet comes, and a yield then costs a time slice.
 * A yield that takes long tells; the packets that follow are then rung for, and after them the
 * wait tries to watch again.
 *
 * The waiting thread alone uses it.
 */
#ifndef SA_WATCH_H
#define SA_WATCH_H

#include <stdbool.h>
#include <stdint.h>

enum {
    SA_LONG_YIELD_NS = 60 * 1000, /* two switches of threads take a tenth of it */
    SA_RUNG_WAITS = 256,
};

typedef struct {
    uint32_t rung_waits; /* so many waits that end with audio are still to sleep by the bell */
} sa_watch;

static inline bool sa_watch_is_on(const sa_watch *watch) {
    return watch->rung_waits == 0;
}

static inline void sa_watch_note_yield(sa_watch *watch, int64_t took_ns) {
    if (took_ns > SA_LONG_YIELD_NS) {
        watch->rung_waits = SA_RUNG_WAITS;
    }
}

static inline void sa_watch_note_audio(sa_watch *watch) {
    if (watch->rung_waits > 0) {
        watch->rung_waits--;
    }
}

#endif
