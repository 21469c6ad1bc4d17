/* When the next packets are due, going by the quickest of the last few. For a thread that sleeps
 * until then; the time of the audio itself comes from the timeline, which is steady instead.
 *
 * A packet that was late by itself does not delay the next look. And when the host has stood still
 * for a moment and goes on in another phase, as a server does after an xrun, the new pace is taken
 * over within SA_PACE_PACKETS; the timeline's loop takes seconds, in which a sleep that went by it
 * would end up to a period too late.
 *
 * The reader's thread alone uses it.
 */
#ifndef SA_PACE_H
#define SA_PACE_H

#include <stdint.h>

#include "check.h"

enum { SA_PACE_PACKETS = 8 };

typedef struct {
    int64_t ends[SA_PACE_PACKETS];    /* positions after the last packets */
    int64_t came_ns[SA_PACE_PACKETS]; /* when their callbacks were entered */
    uint64_t packets;                 /* seen so far */
} sa_pace;

static inline void sa_pace_note(sa_pace *pace, int64_t end, int64_t entry_ns) {
    uint64_t slot = pace->packets++ % SA_PACE_PACKETS;
    pace->ends[slot] = end;
    pace->came_ns[slot] = entry_ns;
}

/* When the packet is due that ends at `end`; at least one has been noted. */
static inline int64_t sa_pace_due(const sa_pace *pace, int64_t end, double frame_ns) {
    SA_CHECK(pace->packets > 0);
    uint64_t known = pace->packets < SA_PACE_PACKETS ? pace->packets : SA_PACE_PACKETS;
    int64_t due = INT64_MAX;
    for (uint64_t i = 0; i < known; i++) {
        int64_t by_this = pace->came_ns[i] + (int64_t)((double)(end - pace->ends[i]) * frame_ns);
        due = by_this < due ? by_this : due;
    }
    return due;
}

#endif
