/* From packet records to capture time. Runs on the reader's side, one packet after the other.
 *
 * A second-order delay-locked loop over the packets' times (F. Adriaensen, "Using a DLL to
 * filter time", Linux Audio Conference 2005) gives the time of each frame, with the jitter of the
 * callbacks filtered out, and the length of a frame in ns. Where the host tells plausible ADC
 * times (adc.h) it is the time at the converter, else that of the hand-over, taken to be the
 * moment at which the packet's last frame is complete.
 *
 * Not every packet tells when it was complete. One that the next follows at once was held back:
 * most of the next had come as well before it was handed over. Of such a burst only the last
 * counts, which would otherwise put the times late by what bursts are late on the average.
 *
 * The loop follows the mean of the packets, and the drift the least late of each second (drift.h):
 * the least late would put the time itself 10 ms off where jitter is symmetric.
 */
#ifndef SA_TIMELINE_H
#define SA_TIMELINE_H

#include "adc.h"
#include "capture.h"
#include "drift.h"

typedef struct {
    double sample_rate;
    int64_t origin_ns;     /* times below are relative to it, so that a double holds them */
    int64_t loop_frame;    /* position after the last packet */
    double loop_time;      /* filtered time at which it was complete */
    double frame_ns;       /* filtered length of a frame */
    double loop_age;       /* seconds in the loop, for its bandwidth */
    int64_t loop_packets;  /* that the loop has taken in since it locked */
    bool just_locked;      /* by the last packet */
    bool idle;             /* the last packet was no device's */
    int64_t locked_at;     /* the position when it locked; the time was origin_ns */
    double error;          /* of the last packet, not taken in yet; NaN: it does not count */
    int64_t last_entry_ns; /* of the last packet */
    int64_t last_period;   /* frames of it */
    int64_t late_since_ns; /* the first of the outliers under way; 0: none */
    sa_adc adc;
    sa_drift drift;
} sa_timeline;

/* `latency_ns` is the input latency that the host reports, 0 if it reports none. */
void sa_timeline_init(sa_timeline *timeline, double sample_rate, int64_t latency_ns);

/* Takes the packet in, once it is judged: `position` is its first frame's, losses included. */
void sa_timeline_advance(sa_timeline *timeline, const sa_packet *packet, int64_t position);

/* The filtered time, in ns, at which the frame at `position` was captured: was at the converter if
 * adc.used, else handed over less the length of its packet. */
int64_t sa_timeline_time_of(const sa_timeline *timeline, double position);

#endif
