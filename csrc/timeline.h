/* From packet records to the truth of the frames: positions, frames the host lost, capture time.
 * Runs on the reader's side, one packet after the other.
 *
 * Positions. A record's position counts what did not fit into the ring; what was lost before it
 * reached the callback shows in the host's own count of frames, where there is one: the residual
 *     host frame - (record position + frames already found lost)
 * rises by exactly what was lost, and stays. A callback that is so late that it reads the count of
 * the next period raises it too, but the packets after it make that good; so a rise is believed
 * once the next packet confirms it. (Such a late packet holds the newer period if it comes from
 * hardware; another JACK client's port may still hold the one before. Looking further ahead does
 * not tell these two apart: measured.)
 *
 * Time. A second-order delay-locked loop over the entry times (F. Adriaensen, "Using a DLL to
 * filter time", Linux Audio Conference 2005) gives the time at which a frame was handed over,
 * with the jitter of the callbacks filtered out, and the length of a frame in ns.
 */
#ifndef SA_TIMELINE_H
#define SA_TIMELINE_H

#include "capture.h"

typedef struct {
    double sample_rate;
    bool counted_by_host;

    /* Positions. */
    bool started;
    int64_t host_lost;  /* frames found lost by the host so far */
    int64_t residual;   /* of the packets so far */
    int64_t host_frame; /* of the last judged packet, unwrapped */

    /* Time. */
    int64_t origin_ns;     /* times below are relative to it, so that a double holds them */
    int64_t loop_frame;    /* position after the last packet */
    double loop_time;      /* filtered time of its hand-over */
    double frame_ns;       /* filtered length of a frame */
    double loop_age;       /* seconds in the loop, for its bandwidth */
    int64_t late_since_ns; /* the first of the outliers under way; 0: none */
    int64_t last_period;   /* frames of the last packet */
} sa_timeline;

/* Lost frames before the packet are not known yet: later packets must tell. */
#define SA_UNDECIDED INT64_MIN

void sa_timeline_init(sa_timeline *timeline, double sample_rate, bool counted_by_host);

/* How many frames the host lost just before the first packet in `packets` (at least one waits
 * there), or SA_UNDECIDED unless `decide`. */
int64_t sa_timeline_judge(sa_timeline *timeline, sa_ring *packets, bool decide);

/* Takes the packet in, after its judgement: `position` is its first frame's, losses included. */
void sa_timeline_advance(sa_timeline *timeline, const sa_packet *packet, int64_t position);

/* The filtered time, in ns, at which the frame at `position` was captured: the host is taken to
 * hand a packet over at the moment its last frame is complete. */
int64_t sa_timeline_time_of(const sa_timeline *timeline, double position);

#endif
