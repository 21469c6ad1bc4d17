/* What a host lost that does not count its frames: it shows in how late the packets come.
 *
 * A packet's lateness is its time of entry less that at which it would be due if every frame had
 * been handed over. Jitter and bursts only make packets late, so lateness has a floor, its lower
 * envelope. Lost frames raise the floor for good; a stall does not, for a burst makes it good. The
 * floor also follows the device's clock, up to 500 ppm off ours.
 *
 * In time. A packet that stands out, by more than 3/4 of a period and 4 times the jitter (the mean
 * height above the floor), waits until one comes that does not: all was made good; or until for
 * `hold` packets came that kept their lateness: what the lowest is above the floor was lost, just
 * before the first.
 *
 * In hindsight. What is less than 4 times the jitter cannot be told so soon. In a window that is
 * 64 times as long as the jitter (0.64 s for 10 ms), and as a period, the lowest packet is nearly
 * at the floor. If it is above it by more than 3/4 of a period, a quarter of the jitter and 8
 * times what it usually is, twice in a row, the floor has risen. What was lost is placed before
 * the packet that told.
 *
 * Not at all. In the first half second a host may still find its pace, and for 8 windows hindsight
 * learns what is usual: a rise of the floor is then taken in without a gap. That, and what
 * hindsight has not had the time to tell, is `unexplained`; it is less than nothing if frames came
 * after they had been given up, and the next loss is then that much shorter.
 *
 * Lengths are whole periods if the host's packets have one size, and right to a period. A host
 * that changes its own latency by more than 4 times its jitter looks like one that lost as much.
 */
#ifndef SA_LATENESS_H
#define SA_LATENESS_H

#include "capture.h"

typedef struct {
    double frame_ns; /* nominal */
    int64_t hold_ns;
    int64_t most_held; /* frames that may wait in the ring for a decision */

    int64_t origin_ns;   /* entry of the first packet, and the end of its frames: lateness and */
    int64_t origin;      /* places are relative to them */
    int64_t last_ns;     /* entry of the last packet that was taken in */
    int64_t lost;        /* frames found lost so far */
    int64_t unexplained; /* frames; see above */

    double floor_ns;     /* at the last packet */
    double jitter_ns;    /* mean height of packets above the floor */
    double reference_ns; /* follows the floor slowly; far below it frames came after all */
    double watched_ns;   /* the time that this mean goes over */
    uint32_t period;     /* the size that packets have, if they have one */
    uint32_t largest;    /* of their sizes */
    int regularity;      /* how much more often `period` came than others did, lately */

    /* In time: what is known of the packets that wait behind the first one. */
    int64_t asked;       /* stored_before of the first one; the rest is about it */
    uint64_t seen;       /* packets looked at, from the first one on */
    double lowest_ns;    /* the least of their latenesses, */
    int64_t lowest_at;   /* stored_before of that packet */
    double level_ns;     /* the lateness that they keep, */
    int64_t level_at_ns; /* since the packet that was entered then */
    int64_t level_frame; /* and ended there */
    int64_t good_before; /* packets stored before this one need not be asked about */

    /* In hindsight. */
    int64_t window_ns;    /* entry of the last packet before the window, and its end */
    int64_t window_frame; /* on the timeline of the records */
    double window_lowest; /* the least height above the floor in it */
    double risen_to;      /* the same of the window before, if that stood out; else infinite */
    double scatter_ns;    /* the mean of that over the windows, */
    int windows;          /* that is, over so many */
} sa_lateness;

void sa_lateness_init(sa_lateness *lateness, const sa_capture *capture, int64_t hold_ns);

/* Forgets how late packets were: what comes now is on no line with what was before. */
void sa_lateness_restart(sa_lateness *lateness);

/* How many frames were lost just before the first packet that waits in the ring (there is at least
 * one and it has waited for `waited_ns`), or SA_UNDECIDED. When it has waited for 2 s, or all is
 * `finished`, what did not last long enough is no loss, unless it is `expected`: the process is
 * known to have stood still. */
#define SA_UNDECIDED INT64_MIN
int64_t sa_lateness_judge(sa_lateness *lateness, sa_ring *packets, bool finished,
                          int64_t waited_ns, bool expected);

/* Frames by which the source is behind its clock, or ahead (negative), without a gap. */
int64_t sa_lateness_unexplained(const sa_lateness *lateness);

#endif
