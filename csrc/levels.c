#include "levels.h"

#include <string.h>

/* Frames are taken in rows of so many samples that a row holds whole frames and fills the vector
 * registers; lane i of every row belongs to channel i % channels, so that no lane is ever summed
 * across channels and the compiler can use SIMD without reordering one channel's arithmetic. */
enum { MIN_LANES = 16, MAX_LANES = SA_MAX_CHANNELS + MIN_LANES };

void sa_levels_add(const float *samples, int64_t frames, uint32_t channels, float *peak,
                   double *sum_of_squares) {
    uint32_t lanes = (MIN_LANES + channels - 1) / channels * channels;
    float lane_peak[MAX_LANES];
    double lane_sum[MAX_LANES];
    memset(lane_peak, 0, sizeof lane_peak);
    memset(lane_sum, 0, sizeof lane_sum);

    int64_t total = frames * channels;
    int64_t in_rows = total / lanes * lanes;
    for (int64_t row = 0; row < in_rows; row += lanes) {
        for (uint32_t lane = 0; lane < lanes; lane++) {
            float x = samples[row + lane];
            float size = x < 0 ? -x : x;
            lane_peak[lane] = size > lane_peak[lane] ? size : lane_peak[lane];
            lane_sum[lane] += (double)x * x;
        }
    }
    for (int64_t i = in_rows; i < total; i++) {
        uint32_t lane = (uint32_t)(i - in_rows);
        float x = samples[i];
        float size = x < 0 ? -x : x;
        lane_peak[lane] = size > lane_peak[lane] ? size : lane_peak[lane];
        lane_sum[lane] += (double)x * x;
    }
    for (uint32_t lane = 0; lane < lanes; lane++) {
        uint32_t channel = lane % channels;
        peak[channel] = lane_peak[lane] > peak[channel] ? lane_peak[lane] : peak[channel];
        sum_of_squares[channel] += lane_sum[lane];
    }
}
