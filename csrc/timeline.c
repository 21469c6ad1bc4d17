#include "timeline.h"

#include <math.h>

/* The loop's bandwidth in Hz: wide at first to lock quickly, then narrow to filter well. */
static const double FIRST_BANDWIDTH = 2.0;
static const double LAST_BANDWIDTH = 0.05;

/* Beyond a period and this much a callback is an outlier: it pulls the loop no further. */
static const double OUTLIER_NS = 25e6;

/* If they stay that late for so long, or are later still, it is the loop that is wrong: no host
 * holds that much back to hand it over at once. */
static const double RELOCK_AFTER_NS = 2e9;

void sa_timeline_init(sa_timeline *timeline, double sample_rate) {
    *timeline = (sa_timeline){
        .sample_rate = sample_rate,
        .frame_ns = 1e9 / sample_rate,
    };
}

static void lock_loop(sa_timeline *timeline, const sa_packet *packet, int64_t end) {
    timeline->origin_ns = packet->entry_ns;
    timeline->loop_frame = end;
    timeline->loop_time = 0;
    timeline->loop_age = 0;
    timeline->late_since_ns = 0;
}

void sa_timeline_advance(sa_timeline *timeline, const sa_packet *packet, int64_t position) {
    int64_t end = position + packet->frames;
    timeline->last_period = packet->frames;
    if (timeline->origin_ns == 0) {
        lock_loop(timeline, packet, end);
        return;
    }
    double frames = (double)(end - timeline->loop_frame);
    double predicted = timeline->loop_time + frames * timeline->frame_ns;
    double error = (double)(packet->entry_ns - timeline->origin_ns) - predicted;
    double limit = OUTLIER_NS + packet->frames * timeline->frame_ns;
    if (fabs(error) <= limit) {
        timeline->late_since_ns = 0;
    } else if (timeline->late_since_ns == 0 && error > 0) {
        timeline->late_since_ns = packet->entry_ns;
    }
    /* Nothing is handed over before it is there: one that is early was expected too late. */
    bool late_for_long = timeline->late_since_ns != 0 &&
                         (double)(packet->entry_ns - timeline->late_since_ns) > RELOCK_AFTER_NS;
    if (error < -limit || error > RELOCK_AFTER_NS || late_for_long) {
        lock_loop(timeline, packet, end);
        return;
    }
    error = fmin(error, limit);
    double span = frames / timeline->sample_rate;
    timeline->loop_age += span;
    double bandwidth = 1.0 / (1.0 + timeline->loop_age);
    bandwidth = fmin(FIRST_BANDWIDTH, fmax(LAST_BANDWIDTH, bandwidth));
    double omega = fmin(2 * M_PI * bandwidth * span, 0.5);
    timeline->loop_time = predicted + M_SQRT2 * omega * error;
    timeline->frame_ns += omega * omega * error / frames;
    timeline->loop_frame = end;
}

int64_t sa_timeline_time_of(const sa_timeline *timeline, double position) {
    double since =
        timeline->loop_time + (position - (double)timeline->loop_frame) * timeline->frame_ns;
    return timeline->origin_ns + (int64_t)since;
}
