/* Which frames the host lost before they reached the callback: how many, and before which packet.
 * Runs on the reader's side, one packet after the other.
 *
 * A record's position counts what did not fit into the ring; what was lost before it reached the
 * callback shows in the host's own count of frames, where there is one: the residual
 *     host frame - (record position + frames already found lost)
 * rises by exactly what was lost, and stays. A callback that is so late that it reads the count of
 * the next period raises it too, but the packets after it make that good; so a rise is believed
 * once the next packet confirms it. (Such a late packet holds the newer period if it comes from
 * hardware; another JACK client's port may still hold the one before. Looking further ahead does
 * not tell these two apart: measured.)
 */
#ifndef SA_GAPS_H
#define SA_GAPS_H

#include "capture.h"

typedef struct {
    sa_capture *capture;
    int64_t hold_ns; /* a packet waits for so long at most for later ones to tell */
    int64_t lost;    /* frames found lost so far */

    bool started;
    int64_t residual;   /* of the packets so far */
    int64_t host_frame; /* of the last judged packet, unwrapped */
} sa_gaps;

void sa_gaps_init(sa_gaps *gaps, sa_capture *capture, int64_t hold_ns);

/* How many frames the host lost just before the first packet that waits in the capture (there is
 * at least one), or SA_UNDECIDED: later packets must tell. `finished`: none will come. */
#define SA_UNDECIDED INT64_MIN
int64_t sa_gaps_judge(sa_gaps *gaps, bool finished);

#endif
