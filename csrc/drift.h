/* How fast a device's clock runs against ours: least squares over the last ten minutes.
 *
 * A callback may be late for many reasons, but it is never early: so of each second only the
 * packet that was least late counts, a point, which keeps most of the machine's load out.
 *
 * Where the times jumped (the loop locked anew), or two points differ by far more than others do
 * (frames were lost that nobody counted; a whole second was late), a new segment begins. All
 * segments share one slope, which each measures around its own middle: so a jump does no harm,
 * and nothing learnt before it is thrown away. A step of up to a packet is left in: where a timer
 * of ours hands the packets over, the drift consists of such steps.
 *
 * The error is the slope's standard error: from the points' scatter around their line, or, where
 * that is more, from the scatter of four quarters of the time around it, because a load that comes
 * and goes moves many points together.
 *
 * Memory is fixed. A packet costs a few operations; a line is drawn when a point is complete, and
 * less often as the points become many.
 */
#ifndef SA_DRIFT_H
#define SA_DRIFT_H

#include <stdbool.h>
#include <stdint.h>

enum { SA_DRIFT_POINTS = 600 }; /* one a second */

typedef struct {
    double time; /* s by the device: frames since the first packet, by the nominal rate */
    double late; /* ns by which the hand-over came later than that */
    bool begins; /* is the first of its segment */
} sa_drift_point;

typedef struct {
    double ppm;       /* positive: the device is fast; NaN: not known yet */
    double error_ppm; /* standard error of it; NaN as well */

    double sample_rate;
    bool started;
    int64_t first_frame;
    int64_t first_ns;
    int64_t second;         /* the second under way */
    bool has_best;          /* in it */
    double longest_ns;      /* packet so far */
    sa_drift_point best;    /* the least late so far */
    bool begins;            /* the next point begins a segment */
    int64_t segment_points; /* of the last segment */

    sa_drift_point points[SA_DRIFT_POINTS];
    int64_t added;          /* points so far; the ring holds the last of them */
    int64_t undrawn;        /* those since the line was drawn */
    double slope;           /* ns a second, as it was drawn last */
    double raw_slope;       /* the same from pairs of points, across all segments; NaN: too few */
    double step_ns;         /* more than this between two points is a step; NaN: not known yet */
    sa_drift_point settled; /* the last point that two others of its segment confirmed */
} sa_drift;

void sa_drift_init(sa_drift *drift, double sample_rate);

/* Takes a packet in that ends at the position `end`. True if the line has moved for good. */
bool sa_drift_add(sa_drift *drift, int64_t end, uint32_t frames, int64_t handed_over_ns);

/* What follows is not on the line of what was before. */
void sa_drift_break(sa_drift *drift);

#endif
