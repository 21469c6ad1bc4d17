#include "drift.h"

#include <math.h>
#include <stdlib.h>

/* Fewer points than this tell nothing. */
enum { FEWEST_POINTS = 10 };

/* Crystals are within 100 ppm of what they say: an error above that is no knowledge, unless the
 * drift is so many times as large, as of a device that runs at another rate than it says. */
static const double LARGEST_ERROR_PPM = 100;
static const double LARGEST_ERROR_PART = 0.1;

/* Between two points it is a step beyond so many packets, and so many times the median. */
static const double STEP_PACKETS = 1.5;
static const double STEP_MEDIANS = 12;

/* So many of the newest points tell what is usual between two of them. */
enum { STEP_POINTS = 64 };

/* Pairs of points that tell the rate in the rough. */
enum { RAW_PAIRS = 3 };

/* Points that settle a segment. */
enum { SETTLED_POINTS = 3 };

/* A line is drawn after a part of the points has been added: their number by this. */
enum { REDRAW_PART = 32 };

enum { QUARTERS = 4 };

void sa_drift_init(sa_drift *drift, double sample_rate) {
    *drift = (sa_drift){
        .ppm = NAN,
        .error_ppm = NAN,
        .sample_rate = sample_rate,
        .begins = true,
        .step_ns = NAN,
        .raw_slope = NAN,
        .settled = {.late = NAN},
    };
}

static int64_t count_of(const sa_drift *drift) {
    return drift->added < SA_DRIFT_POINTS ? drift->added : SA_DRIFT_POINTS;
}

/* The point that is `index` after the oldest. */
static sa_drift_point *point_at(sa_drift *drift, int64_t index) {
    return &drift->points[(drift->added - count_of(drift) + index) % SA_DRIFT_POINTS];
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int64_t count) {
    qsort(values, (size_t)count, sizeof *values, by_value);
    return values[count / 2];
}

/* How much later a point is than the line through another says. */
static double off_by(const sa_drift_point *point, const sa_drift_point *before, double slope) {
    return point->late - before->late - slope * (point->time - before->time);
}

/* Finds what is a step, and the steps among the newest points, those of the beginning too. */
static void find_steps(sa_drift *drift) {
    int64_t count = count_of(drift);
    int64_t first = count > STEP_POINTS ? count - STEP_POINTS : 0;
    double values[STEP_POINTS], all[STEP_POINTS];
    int64_t pairs = 0;
    for (int64_t i = first + 1; i < count; i++) {
        const sa_drift_point *point = point_at(drift, i), *before = point_at(drift, i - 1);
        double slope = (point->late - before->late) / (point->time - before->time);
        all[i - first - 1] = slope;
        if (!point->begins) {
            values[pairs++] = slope;
        }
    }
    if (count - first > RAW_PAIRS) {
        drift->raw_slope = median(all, count - first - 1);
    }
    if (pairs < FEWEST_POINTS / 2) {
        return;
    }
    double slope = median(values, pairs);
    if (isnan(drift->step_ns)) {
        drift->slope = slope; /* until a line can be drawn: a wrong rate is no row of steps */
    }
    pairs = 0;
    for (int64_t i = first + 1; i < count; i++) {
        if (!point_at(drift, i)->begins) {
            values[pairs++] = fabs(off_by(point_at(drift, i), point_at(drift, i - 1), slope));
        }
    }
    drift->step_ns = fmax(STEP_PACKETS * drift->longest_ns, STEP_MEDIANS * median(values, pairs));
    for (int64_t i = first + 1; i < count; i++) {
        sa_drift_point *point = point_at(drift, i);
        point->begins |= fabs(off_by(point, point_at(drift, i - 1), slope)) > drift->step_ns;
    }
}

/* The mean point of the segment that begins at `*index`, which is moved to its end. */
static sa_drift_point middle_of_segment(sa_drift *drift, int64_t *index) {
    sa_drift_point sum = {0};
    int64_t first = *index;
    do {
        sum.time += point_at(drift, *index)->time;
        sum.late += point_at(drift, *index)->late;
        ++*index;
    } while (*index < count_of(drift) && !point_at(drift, *index)->begins);
    double points = (double)(*index - first);
    return (sa_drift_point){.time = sum.time / points, .late = sum.late / points};
}

static void draw_line(sa_drift *drift) {
    drift->undrawn = 0;
    find_steps(drift);
    int64_t count = count_of(drift);
    int64_t segments = 0;
    double times = 0, products = 0; /* sums of squares and of products, around the middles */
    for (int64_t first = 0, end = 0; end < count; first = end, segments++) {
        sa_drift_point middle = middle_of_segment(drift, &end);
        for (int64_t i = first; i < end; i++) {
            double time = point_at(drift, i)->time - middle.time;
            times += time * time;
            products += time * (point_at(drift, i)->late - middle.late);
        }
    }
    int64_t freedom = count - segments - 1;
    if (freedom < FEWEST_POINTS / 2 || !(times > 0)) {
        return;
    }
    drift->slope = products / times;
    double squares = 0, quarters[QUARTERS] = {0};
    for (int64_t first = 0, end = 0; end < count; first = end) {
        sa_drift_point middle = middle_of_segment(drift, &end);
        for (int64_t i = first; i < end; i++) {
            double off = off_by(point_at(drift, i), &middle, drift->slope);
            squares += off * off;
            quarters[i * QUARTERS / count] += off;
        }
    }
    /* Of one point: by the points themselves, and as the quarters' sums would have it. */
    double variance = squares / (double)freedom;
    double by_quarters = 0;
    for (int i = 0; i < QUARTERS; i++) {
        by_quarters +=
            quarters[i] * quarters[i] / (double)count * (double)QUARTERS / (QUARTERS - 2);
    }
    /* A device that is fast gains on our clock: its lateness falls. */
    double ratio = 1 / (1 + drift->slope * 1e-9);
    double error_ppm = sqrt(fmax(variance, by_quarters) / times) * 1e-3 * ratio * ratio;
    double ppm = (ratio - 1) * 1e6;
    double largest = fmax(LARGEST_ERROR_PPM, LARGEST_ERROR_PART * fabs(ppm));
    bool known = count >= FEWEST_POINTS && error_ppm <= largest;
    drift->ppm = known ? ppm : NAN;
    drift->error_ppm = known ? error_ppm : NAN;
}

/* Has a new segment settled elsewhere than the one before? */
static bool moved(sa_drift *drift, const sa_drift_point *point) {
    if (drift->segment_points < SETTLED_POINTS) {
        return false;
    }
    double off = off_by(point, &drift->settled, drift->slope);
    drift->settled = *point;
    return fabs(off) > drift->step_ns; /* NaN, nothing settled before: no */
}

/* The second is over: its point joins the others. True if it shows that the line has moved. */
static bool take_point(sa_drift *drift) {
    sa_drift_point point = drift->best;
    drift->has_best = false;
    if (drift->added > 0) {
        double off = off_by(&point, point_at(drift, count_of(drift) - 1), drift->slope);
        drift->begins |= fabs(off) > drift->step_ns; /* NaN: no */
    }
    point.begins = drift->begins;
    drift->begins = false;
    drift->segment_points = point.begins ? 1 : drift->segment_points + 1;
    drift->points[drift->added++ % SA_DRIFT_POINTS] = point;
    drift->undrawn++;
    if (drift->undrawn * REDRAW_PART >= count_of(drift)) {
        draw_line(drift);
    }
    return moved(drift, &point);
}

bool sa_drift_add(sa_drift *drift, int64_t end, uint32_t frames, int64_t handed_over_ns) {
    if (!drift->started) {
        drift->started = true;
        drift->first_frame = end;
        drift->first_ns = handed_over_ns;
    }
    drift->longest_ns = fmax(drift->longest_ns, frames / drift->sample_rate * 1e9);
    double time = (double)(end - drift->first_frame) / drift->sample_rate;
    double late = (double)(handed_over_ns - drift->first_ns) - time * 1e9;
    int64_t second = (int64_t)time;
    bool line_moved = false;
    if (second != drift->second) {
        line_moved = drift->has_best && take_point(drift);
        drift->second = second;
    }
    if (!drift->has_best || late < drift->best.late) {
        drift->has_best = true;
        drift->best = (sa_drift_point){.time = time, .late = late};
    }
    return line_moved;
}

void sa_drift_break(sa_drift *drift) {
    drift->has_best = false;
    drift->begins = true;
}
