#include "timeline.h"

#include <math.h>

/* The loop's bandwidth in Hz falls with its age in s, as that of a line through all packets so far
 * would, down to this: where ±10 ms of jitter leave less than 1 ms (docs/time.md). */
static const double FIRST_BANDWIDTH = 0.45;
static const double LAST_BANDWIDTH = 0.005;

/* A packet followed by one within this part of that one's length was held back. */
static const double AT_ONCE = 0.25;

/* Beyond a period and this much a callback is an outlier, which the loop does not take in. */
static const double OUTLIER_NS = 25e6;

/* If they stay that late for so long, or are later still, it is the loop that is wrong: no host
 * holds that much back to hand it over at once. */
static const double RELOCK_AFTER_NS = 2e9;

/* Times are told no farther away than this, a century: an int64 holds three. */
static const double FARTHEST_NS = 3.2e18;

/* The loop takes no device to be further off its nominal rate than this. */
static const double LARGEST_DRIFT = 0.3;

/* Two measurements of a rate agree if they differ by less than this part. */
static const double RATES_AGREE = 0.05;

void sa_timeline_init(sa_timeline *timeline, double sample_rate, int64_t latency_ns) {
    *timeline = (sa_timeline){
        .sample_rate = sample_rate,
        .frame_ns = 1e9 / sample_rate,
        .error = NAN,
    };
    sa_adc_init(&timeline->adc, sample_rate, latency_ns);
    sa_drift_init(&timeline->drift, sample_rate);
}

/* When the packet's last frame was captured, by its own times. */
static double seen_at(const sa_timeline *timeline, const sa_packet *packet) {
    return (double)(packet->entry_ns - timeline->origin_ns) - timeline->adc.age_ns;
}

static void set_rate(sa_timeline *timeline, double frame_ns) {
    double nominal = 1e9 / timeline->sample_rate;
    timeline->frame_ns =
        fmin(fmax(frame_ns, nominal * (1 - LARGEST_DRIFT)), nominal * (1 + LARGEST_DRIFT));
}

/* A loop that begins at the rate that the device claims does not get to one that is per cent away:
 * it takes that from the drift, if what came since it was locked says so too. */
static void learn_rate(sa_timeline *timeline, const sa_packet *packet) {
    double frames = (double)(timeline->loop_frame - timeline->locked_at);
    double seen = (double)(packet->entry_ns - timeline->origin_ns) / frames;
    double frame_ns = (1e9 + timeline->drift.raw_slope) / timeline->sample_rate; /* or NaN */
    if (frames > 0 && fabs(seen / frame_ns - 1) < RATES_AGREE) {
        set_rate(timeline, frame_ns);
    }
}

static void lock_loop(sa_timeline *timeline, const sa_packet *packet) {
    timeline->locked_at = timeline->loop_frame;
    timeline->origin_ns = packet->entry_ns;
    timeline->loop_time = seen_at(timeline, packet);
    timeline->loop_age = 0;
    timeline->loop_packets = 1;
    timeline->error = NAN;
    timeline->late_since_ns = 0;
    timeline->just_locked = true;
}

/* Takes the last packet's error in. Lost frames bring no evidence: only its own length counts. */
static void correct(sa_timeline *timeline) {
    double span = (double)timeline->last_period / timeline->sample_rate;
    timeline->loop_age += span;
    timeline->loop_packets++;
    double bandwidth = fmax(LAST_BANDWIDTH, FIRST_BANDWIDTH / (1 + timeline->loop_age));
    double omega = fmin(2 * M_PI * bandwidth * span, 0.5);
    if (M_SQRT2 * omega < 1 / (double)timeline->loop_packets) {
        /* The first packets are averaged, for none of them is better than the others. */
        timeline->loop_time += timeline->error / (double)timeline->loop_packets;
        return;
    }
    timeline->loop_time += M_SQRT2 * omega * timeline->error;
    set_rate(timeline,
             timeline->frame_ns + omega * omega * timeline->error / (double)timeline->last_period);
}

/* Is it the loop that is wrong, not the packet? Nothing is handed over before it is there: one
 * that is early was expected too late. Notes in `error` what is left for the loop to take in. */
static bool lost_lock(sa_timeline *timeline, const sa_packet *packet) {
    double error = seen_at(timeline, packet) - timeline->loop_time;
    double limit = OUTLIER_NS + packet->frames * timeline->frame_ns;
    bool outlier = fabs(error) > limit;
    timeline->error = outlier ? NAN : error;
    if (!outlier) {
        timeline->late_since_ns = 0;
        return false;
    }
    if (error < 0 || error > RELOCK_AFTER_NS) {
        return true;
    }
    if (timeline->late_since_ns == 0) {
        timeline->late_since_ns = packet->entry_ns;
    }
    return (double)(packet->entry_ns - timeline->late_since_ns) > RELOCK_AFTER_NS;
}

/* What no device captured has a time that is exact, and the next packet of the device begins anew.
 */
static void pass_idle(sa_timeline *timeline, const sa_packet *packet, int64_t position) {
    if (!timeline->idle) {
        sa_drift_break(&timeline->drift);
    }
    timeline->idle = true;
    timeline->loop_frame = position + packet->frames;
    timeline->origin_ns = packet->host_adc_ns + llround(packet->frames * timeline->frame_ns);
    timeline->loop_time = 0;
    timeline->loop_packets = 0;
    timeline->just_locked = false;
    timeline->error = NAN;
    timeline->last_entry_ns = packet->entry_ns;
    timeline->last_period = packet->frames;
}

void sa_timeline_advance(sa_timeline *timeline, const sa_packet *packet, int64_t position) {
    if (packet->frames == 0) {
        return; /* nothing was handed over */
    }
    if (packet->flags & SA_PACKET_IDLE) {
        pass_idle(timeline, packet, position);
        return;
    }
    timeline->idle = false;
    int64_t end = position + packet->frames;
    int64_t frames = end - timeline->loop_frame;
    double since_last = (double)(packet->entry_ns - timeline->last_entry_ns);
    bool at_once = since_last < AT_ONCE * packet->frames * timeline->frame_ns;
    bool times_jump = sa_adc_take(&timeline->adc, packet);

    /* One that locked the loop and is held back itself gives way to the next. */
    bool lock = timeline->loop_packets == 0 || (timeline->just_locked && at_once) || times_jump;
    timeline->just_locked = false;
    if (!at_once && !isnan(timeline->error)) {
        correct(timeline);
    }
    timeline->loop_frame = end;
    timeline->loop_time += (double)frames * timeline->frame_ns;
    timeline->last_entry_ns = packet->entry_ns;
    timeline->last_period = packet->frames;
    if (lock) {
        lock_loop(timeline, packet);
    } else if (lost_lock(timeline, packet)) {
        learn_rate(timeline, packet);
        lock_loop(timeline, packet);
        sa_drift_break(&timeline->drift);
    }
    if (sa_drift_add(&timeline->drift, end, packet->frames, packet->entry_ns)) {
        lock_loop(timeline, packet); /* the times have moved by less than an outlier does */
    }
}

int64_t sa_timeline_time_of(const sa_timeline *timeline, double position) {
    double since =
        timeline->loop_time + (position - (double)timeline->loop_frame) * timeline->frame_ns;
    /* A position may lie centuries away. */
    return timeline->origin_ns + (int64_t)fmin(fmax(since, -FARTHEST_NS), FARTHEST_NS);
}
