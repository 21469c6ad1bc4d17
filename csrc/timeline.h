/* From packet records to capture time. Runs on the reader's side, one packet after the other.
 *
 * A second-order delay-locked loop over the entry times (F. Adriaensen, "Using a DLL to filter
 * time", Linux Audio Conference 2005) gives the time at which a frame was handed over, with the
 * jitter of the callbacks filtered out, and the length of a frame in ns.
 */
#ifndef SA_TIMELINE_H
#define SA_TIMELINE_H

#include "capture.h"

typedef struct {
    double sample_rate;
    int64_t origin_ns;     /* times below are relative to it, so that a double holds them */
    int64_t loop_frame;    /* position after the last packet */
    double loop_time;      /* filtered time of its hand-over */
    double frame_ns;       /* filtered length of a frame */
    double loop_age;       /* seconds in the loop, for its bandwidth */
    int64_t late_since_ns; /* the first of the outliers under way; 0: none */
    int64_t last_period;   /* frames of the last packet */
} sa_timeline;

void sa_timeline_init(sa_timeline *timeline, double sample_rate);

/* Takes the packet in, once it is judged: `position` is its first frame's, losses included. */
void sa_timeline_advance(sa_timeline *timeline, const sa_packet *packet, int64_t position);

/* The filtered time, in ns, at which the frame at `position` was captured: the host is taken to
 * hand a packet over at the moment its last frame is complete. */
int64_t sa_timeline_time_of(const sa_timeline *timeline, double position);

#endif
