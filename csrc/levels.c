#include "levels.h"

#include <string.h>

#include "check.h"
#include "processors.h"

/* Frames are taken in rows of so many samples that a row holds whole frames; lane i of every row
 * belongs to channel i % channels, so that no lane is ever summed across channels. One channel's
 * squares are thus added in the same order however wide the machine's registers are. */
enum { MIN_LANES = 16, MAX_LANES = SA_MAX_CHANNELS + MIN_LANES, WIDTH = 4 };

/* Vectors of the compiler's (GCC, Clang): their loop takes a third of the time of a plain one,
 * which the compiler does not keep in registers. */
typedef float floats __attribute__((vector_size(WIDTH * sizeof(float))));
typedef int32_t ints __attribute__((vector_size(WIDTH * sizeof(int32_t))));
typedef double doubles __attribute__((vector_size(WIDTH * sizeof(double))));

typedef struct {
    floats peak;
    doubles sum;
} lanes_of_four;

/* Each the larger one; the second where the first is a NaN. */
static inline floats larger(floats a, floats b) {
    ints first = a > b;
    return (floats)(((ints)a & first) | ((ints)b & ~first));
}

static inline void add_four(lanes_of_four *lanes, const float *samples) {
    const ints all_but_sign = {INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX};
    floats x;
    memcpy(&x, samples, sizeof x);
    lanes->peak = larger((floats)((ints)x & all_but_sign), lanes->peak);
    doubles wide = __builtin_convertvector(x, doubles);
    lanes->sum += wide * wide;
}

/* Rows of 16 samples, which hold whole frames of 1, 2, 4, 8 or 16 channels. */
SA_LOOP void rows_of_16(const float *samples, int64_t count, float *peak, double *sum) {
    lanes_of_four a = {0};
    lanes_of_four b = {0};
    lanes_of_four c = {0};
    lanes_of_four d = {0};
    for (int64_t row = 0; row < count; row += 4 * WIDTH) {
        add_four(&a, samples + row);
        add_four(&b, samples + row + WIDTH);
        add_four(&c, samples + row + 2 * WIDTH);
        add_four(&d, samples + row + 3 * WIDTH);
    }
    const lanes_of_four all[] = {a, b, c, d};
    for (int i = 0; i < 4; i++) {
        memcpy(peak + i * WIDTH, &all[i].peak, sizeof all[i].peak);
        memcpy(sum + i * WIDTH, &all[i].sum, sizeof all[i].sum);
    }
}

SA_FOR_EACH_PROCESSOR(static void, add_rows_of_16,
                      (const float *samples, int64_t count, float *peak, double *sum), rows_of_16,
                      (samples, count, peak, sum))

static inline void add_row(const float *samples, uint32_t count, float *peak, double *sum) {
    for (uint32_t lane = 0; lane < count; lane++) {
        float x = samples[lane];
        float size = x < 0 ? -x : x;
        peak[lane] = size > peak[lane] ? size : peak[lane];
        sum[lane] += (double)x * x;
    }
}

void sa_levels_add(const float *samples, int64_t frames, uint32_t channels, float *peak,
                   double *sum_of_squares) {
    SA_CHECK(frames >= 0 && channels > 0 && channels <= SA_MAX_CHANNELS);
    uint32_t lanes = (MIN_LANES + channels - 1) / channels * channels;
    float lane_peak[MAX_LANES];
    double lane_sum[MAX_LANES];
    memset(lane_peak, 0, sizeof lane_peak);
    memset(lane_sum, 0, sizeof lane_sum);

    int64_t total = frames * channels;
    int64_t in_rows = total / lanes * lanes;
    if (lanes == 4 * WIDTH) {
        add_rows_of_16(samples, in_rows, lane_peak, lane_sum);
    } else {
        for (int64_t row = 0; row < in_rows; row += lanes) {
            add_row(samples + row, lanes, lane_peak, lane_sum);
        }
    }
    add_row(samples + in_rows, (uint32_t)(total - in_rows), lane_peak, lane_sum);
    for (uint32_t frame = 0; frame < lanes; frame += channels) {
        for (uint32_t channel = 0; channel < channels; channel++) {
            float size = lane_peak[frame + channel];
            peak[channel] = size > peak[channel] ? size : peak[channel];
            sum_of_squares[channel] += lane_sum[frame + channel];
        }
    }
}
