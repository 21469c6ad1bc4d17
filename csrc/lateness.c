#include "lateness.h"

#include <math.h>

static const double SECOND_NS = 1e9;

/* The fastest that the floor rises by itself: a device's clock is not further off. */
static const double MOST_DRIFT = 500e-6;

/* What stands out: more than this part of a period, and as many times the jitter. */
static const double STANDS_OUT = 0.75;
static const double TIMES_JITTER = 4;

/* The same for what is seen in hindsight: there the lowest packet counts, not the mean. */
static const double TIMES_SCATTER = 8;
static const double PART_OF_JITTER = 0.25;

/* A packet within this part of a period of the floor shows where the floor is. */
static const double NEAR = 0.5;

/* The mean that is the jitter goes over this time. A packet weighs as much as the time before it,
 * up to so many periods: a burst that makes a stall good does not pass for jitter. */
static const double JITTER_TIME_NS = 5e9;
static const double MOST_WEIGHT_PERIODS = 4;

/* Packets have one size if so many more had it than had others. */
enum { REGULAR = 16, MOST_REGULAR = 64 };

/* A decision in time takes this many packets at least, and no longer than this, while they still
 * fall, that is while the lateness is being made good. */
static const double LEAST_PACKETS = 4;
static const double LONGEST_HOLD_NS = 2e9;

/* The window of hindsight; over how many the mean of their lowest packets goes, and how many that
 * takes at least. */
static const double WINDOW_JITTERS = 64, WINDOW_PERIODS = 64;
enum { SCATTER_WINDOWS = 16, FEW_WINDOWS = 8 };
static const double LONGEST_WINDOW_NS = 2e9;

/* So long a host may take to find its pace. */
static const int64_t SETTLING_NS = 500 * 1000 * 1000;

void sa_lateness_init(sa_lateness *lateness, const sa_capture *capture, int64_t hold_ns) {
    *lateness = (sa_lateness){
        .frame_ns = SECOND_NS / capture->sample_rate,
        .hold_ns = hold_ns,
        .most_held = (int64_t)capture->frames.capacity / 2,
        .asked = -1,
        .risen_to = INFINITY,
    };
}

void sa_lateness_restart(sa_lateness *lateness) {
    *lateness = (sa_lateness){
        .frame_ns = lateness->frame_ns,
        .hold_ns = lateness->hold_ns,
        .most_held = lateness->most_held,
        .unexplained = lateness->unexplained,
        .asked = -1,
        .risen_to = INFINITY,
    };
}

static double period_ns(const sa_lateness *lateness) {
    return lateness->largest * lateness->frame_ns;
}

/* A packet is due when its last frame is complete. */
static double lateness_of(const sa_lateness *lateness, const sa_packet *packet) {
    int64_t frames = packet->position + packet->frames + lateness->lost - lateness->origin;
    return (double)(packet->entry_ns - lateness->origin_ns) - (double)frames * lateness->frame_ns;
}

static double floor_at(const sa_lateness *lateness, int64_t entry_ns) {
    return lateness->floor_ns + (double)(entry_ns - lateness->last_ns) * MOST_DRIFT;
}

static double standing_out_ns(const sa_lateness *lateness) {
    return fmax(STANDS_OUT * period_ns(lateness), TIMES_JITTER * lateness->jitter_ns);
}

/* The same for the lowest packet of a window. */
static double window_stands_out_ns(const sa_lateness *lateness) {
    double usual =
        fmax(TIMES_SCATTER * lateness->scatter_ns, PART_OF_JITTER * lateness->jitter_ns);
    return fmax(STANDS_OUT * period_ns(lateness), usual);
}

static int64_t frames_in(const sa_lateness *lateness, double span_ns) {
    double unit = lateness->regularity >= REGULAR ? lateness->period : 1;
    return (int64_t)(round(span_ns / lateness->frame_ns / unit) * unit);
}

static int64_t end_of(const sa_packet *packet) {
    return packet->position + packet->frames;
}

static bool settling(const sa_lateness *lateness, const sa_packet *packet) {
    return packet->entry_ns - lateness->origin_ns < SETTLING_NS;
}

/* The floor is where the lowest packets are now, `rise_ns` above where it was: so much is lost, if
 * that is `sure`. */
static int64_t raise_floor(sa_lateness *lateness, const sa_packet *packet, double rise_ns,
                           bool sure) {
    sa_lateness *l = lateness;
    int64_t frames = frames_in(l, rise_ns);
    l->last_ns = packet->entry_ns;
    l->floor_ns += rise_ns;
    if (!sure) {
        l->unexplained += frames;
        l->reference_ns += rise_ns;
        return 0;
    }
    int64_t ahead = l->unexplained < 0 ? -l->unexplained : 0;
    int64_t given_up = frames < ahead ? frames : ahead;
    l->unexplained += given_up;
    l->reference_ns += (double)given_up * l->frame_ns;
    frames -= given_up;
    l->floor_ns -= (double)frames * l->frame_ns;
    l->lost += frames;
    return frames;
}

/* Whether the packets behind `first` have kept their lateness for long enough up to this one. */
static bool keeps_level(sa_lateness *lateness, const sa_packet *first, const sa_packet *packet,
                        double late, double hold) {
    sa_lateness *l = lateness;
    int64_t end = end_of(packet);
    bool fell = late < l->level_ns - NEAR * period_ns(l); /* being made good */
    bool stalled = late > l->level_ns + standing_out_ns(l);
    if (packet == first || fell || stalled) {
        l->level_ns = late;
        l->level_at_ns = packet->entry_ns;
        l->level_frame = end;
    }
    /* A burst brings much audio in no time, and a stall takes time without any. */
    double audio = (double)(end - l->level_frame) * l->frame_ns;
    double time = (double)(packet->entry_ns - l->level_at_ns);
    double all_audio = (double)(end - end_of(first)) * l->frame_ns;
    double all_time = (double)(packet->entry_ns - first->entry_ns);
    return fmin(audio, time) >= hold || fmin(all_audio, all_time) >= fmax(LONGEST_HOLD_NS, hold) ||
           packet->stored_before - first->stored_before >= l->most_held;
}

/* The first packet stands out: looks at those behind it, each once. */
static int64_t look_ahead(sa_lateness *lateness, sa_ring *packets, bool finished,
                          int64_t waited_ns, bool expected) {
    sa_lateness *l = lateness;
    const sa_packet *first = sa_ring_peek(packets, 0);
    if (l->asked != first->stored_before) {
        l->asked = first->stored_before;
        l->seen = 0;
        l->lowest_ns = INFINITY;
    }
    double hold = fmax((double)l->hold_ns, LEAST_PACKETS * period_ns(l));
    bool decided = false;
    for (; !decided && sa_ring_available(packets, l->seen + 1) > l->seen; l->seen++) {
        const sa_packet *packet = sa_ring_peek(packets, l->seen);
        if (packet->flags & SA_PACKET_IDLE) {
            finished = true; /* nothing that tells will come */
            break;
        }
        double late = lateness_of(l, packet);
        if (late - floor_at(l, packet->entry_ns) <= standing_out_ns(l)) {
            l->good_before = packet->stored_before;
            return 0;
        }
        if (late < l->lowest_ns) {
            l->lowest_ns = late;
            l->lowest_at = packet->stored_before;
        }
        decided = keeps_level(l, first, packet, late, hold);
    }
    if (!decided && !finished && (double)waited_ns <= fmax(LONGEST_HOLD_NS, hold)) {
        return SA_UNDECIDED;
    }
    l->good_before = l->lowest_at;
    if (!decided && !expected) {
        return 0;
    }
    bool sure = expected || !settling(l, first);
    return raise_floor(l, first, l->lowest_ns - l->floor_ns, sure);
}

static void note_size(sa_lateness *lateness, uint32_t frames) {
    lateness->largest = frames > lateness->largest ? frames : lateness->largest;
    if (frames == lateness->period) {
        lateness->regularity += lateness->regularity < MOST_REGULAR;
    } else if (lateness->regularity > 0) {
        lateness->regularity--;
    } else {
        lateness->period = frames;
    }
}

/* Frames that were given up, or taken for a slower pace, came after all. */
static void take_back(sa_lateness *lateness, double fall_ns) {
    int64_t frames = frames_in(lateness, fall_ns);
    int64_t most = lateness->lost + lateness->unexplained;
    lateness->unexplained -= frames < most ? frames : most;
}

static void move_reference(sa_lateness *lateness, const sa_packet *packet, double late) {
    sa_lateness *l = lateness;
    if (settling(l, packet)) {
        l->reference_ns = l->floor_ns;
    } else if (late < l->reference_ns - window_stands_out_ns(l)) {
        take_back(l, l->reference_ns - late);
        l->reference_ns = late;
    } else {
        double most = (double)(packet->entry_ns - l->last_ns) * MOST_DRIFT;
        double away = l->floor_ns - l->reference_ns;
        l->reference_ns += fmax(-most, fmin(away, most));
    }
}

/* Moves the floor on to the packet. */
static void take_in(sa_lateness *lateness, const sa_packet *packet) {
    sa_lateness *l = lateness;
    note_size(l, packet->frames);
    double late = lateness_of(l, packet);
    l->floor_ns = fmin(floor_at(l, packet->entry_ns), late);
    move_reference(l, packet, late);
    double time = (double)(packet->entry_ns - l->last_ns);
    double weight = fmin(time, MOST_WEIGHT_PERIODS * period_ns(l));
    if (weight > 0) {
        double most = standing_out_ns(l) / 2; /* what was lost does not pass for it either */
        double height = fmin(late - l->floor_ns, most);
        l->watched_ns = fmin(l->watched_ns + weight, JITTER_TIME_NS);
        l->jitter_ns += (height - l->jitter_ns) * weight / l->watched_ns;
    }
}

static void open_window(sa_lateness *lateness, const sa_packet *packet) {
    lateness->window_ns = packet->entry_ns;
    lateness->window_frame = end_of(packet);
    lateness->window_lowest = INFINITY;
}

/* Whether the floor has risen below packets none of which stood out. */
static int64_t hindsight(sa_lateness *lateness, const sa_packet *packet) {
    sa_lateness *l = lateness;
    if (packet->stored_before > l->good_before) {
        double height = lateness_of(l, packet) - l->floor_ns;
        l->window_lowest = fmin(l->window_lowest, height);
    }
    double time = (double)(packet->entry_ns - l->window_ns);
    double audio = (double)(end_of(packet) - l->window_frame) * l->frame_ns;
    double enough = fmin(WINDOW_JITTERS * l->jitter_ns, LONGEST_WINDOW_NS);
    enough = fmax(enough, WINDOW_PERIODS * period_ns(l));
    if (fmin(time, audio) < enough) {
        return 0;
    }
    double lowest = l->window_lowest;
    double before = l->risen_to;
    l->risen_to = lowest > window_stands_out_ns(l) ? lowest : INFINITY;
    open_window(l, packet);
    if (l->risen_to < INFINITY && before < INFINITY) {
        l->risen_to = INFINITY;
        return raise_floor(l, packet, fmin(lowest, before), l->windows >= FEW_WINDOWS);
    }
    if (l->risen_to == INFINITY && lowest < INFINITY) {
        l->windows += l->windows < SCATTER_WINDOWS;
        l->scatter_ns += (lowest - l->scatter_ns) / l->windows;
    }
    return 0;
}

int64_t sa_lateness_judge(sa_lateness *lateness, sa_ring *packets, bool finished,
                          int64_t waited_ns, bool expected) {
    sa_lateness *l = lateness;
    const sa_packet *packet = sa_ring_peek(packets, 0);
    if (l->origin_ns == 0) {
        l->origin_ns = l->last_ns = packet->entry_ns;
        l->origin = end_of(packet);
        open_window(l, packet);
    }
    int64_t lost = 0;
    double height = lateness_of(l, packet) - floor_at(l, packet->entry_ns);
    if (height > standing_out_ns(l) && packet->stored_before >= l->good_before) {
        lost = look_ahead(l, packets, finished, waited_ns, expected);
        if (lost == SA_UNDECIDED) {
            return SA_UNDECIDED;
        }
    }
    take_in(l, packet);
    int64_t in_hindsight = hindsight(l, packet);
    l->last_ns = packet->entry_ns;
    return lost + in_hindsight;
}

int64_t sa_lateness_unexplained(const sa_lateness *lateness) {
    int64_t rising = 0;
    if (lateness->risen_to < INFINITY) {
        rising = frames_in(lateness, fmin(lateness->risen_to, lateness->window_lowest));
    }
    return lateness->unexplained + rising;
}
