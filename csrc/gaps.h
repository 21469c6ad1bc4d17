/* Which frames the host lost before they reached the callback: how many, and before which packet.
 * Runs on the reader's side, one packet after the other.
 *
 * Hosts that count frames. A record's position counts what did not fit into the ring; what was
 * lost before it reached the callback shows in the host's own count: the residual
 *     host frame - (record position + frames already found lost)
 * rises by exactly what was lost, and stays. A callback that is so late that it reads the count of
 * the next period raises it too, but the packets after it make that good; so a rise is believed
 * once the next packet confirms it. (A late one that is followed by a loss cannot be told from
 * one after it: the gap may then be placed a period early.)
 *
 * Other hosts: see lateness.h.
 *
 * Machines that sleep. What the clock did not count while the machine was suspended is missing
 * too, unless the host has counted it. A JACK server that stands still itself does not count
 * meanwhile: by its clock nothing is missing, so there is no gap, and times show it.
 */
#ifndef SA_GAPS_H
#define SA_GAPS_H

#include "capture.h"
#include "lateness.h"
#include "standstill.h"

/* What is known of a packet. */
typedef struct {
    int64_t lost;     /* frames missing just before it */
    bool suspended;   /* because this process or the machine stood still */
    bool overwritten; /* what it holds comes again with the next one: its own frames are lost */
    bool given_up;    /* with that, but they are among those that were found lost before */
} sa_verdict;

typedef struct {
    sa_capture *capture;
    bool live;       /* frames pass by whether anybody takes them or not */
    int64_t hold_ns; /* a packet waits for so long for later ones to tell */
    int64_t lost;    /* frames found lost so far that no packet came for */
    sa_standstill standstill;

    bool started;
    int64_t last_ns;      /* entry of the last judged packet, */
    uint32_t last_frames; /* and its frames; 0 if they came with the next one */

    /* Hosts that count frames. */
    int64_t residual;   /* of the packets so far */
    int64_t host_frame; /* of the last judged packet, unwrapped */
    int64_t behind;     /* so many too many were found lost by then */

    /* Other hosts. */
    sa_lateness lateness;

    /* The machine's sleep that has not been placed yet. */
    int64_t slept_ns;
    int64_t woke_ns;   /* packets that came since then came after it */
    int64_t asleep_ns; /* sa_clock_suspended at the last judged packet */
} sa_gaps;

void sa_gaps_init(sa_gaps *gaps, sa_capture *capture, bool live, int64_t hold_ns);

/* Called whenever the reading thread comes by, before it reads; see sa_standstill_look. */
void sa_gaps_look(sa_gaps *gaps, int64_t now_ns, int64_t suspended_ns, int64_t due_ns);

/* Judges the first packet that waits in the capture (there is at least one); false: later packets
 * must tell. `finished`: none will come. */
bool sa_gaps_judge(sa_gaps *gaps, bool finished, sa_verdict *verdict);

/* Frames by which the source is behind its clock, or ahead (negative), without a gap. */
int64_t sa_gaps_unexplained(const sa_gaps *gaps);

#endif
