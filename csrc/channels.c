#include "channels.h"

#include "check.h"

static inline void mix(const float *in, int64_t frames, uint32_t in_channels, const float *gains,
                       uint32_t out_channels, float *out) {
    for (int64_t frame = 0; frame < frames; frame++) {
        for (uint32_t o = 0; o < out_channels; o++) {
            float sum = 0;
            for (uint32_t i = 0; i < in_channels; i++) {
                sum += gains[o * in_channels + i] * in[frame * in_channels + i];
            }
            out[frame * out_channels + o] = sum;
        }
    }
}

void sa_channels_mix(const float *in, int64_t frames, uint32_t in_channels, const float *gains,
                     uint32_t out_channels, float *out) {
    if (in_channels == 2 && out_channels == 1) {
        mix(in, frames, 2, gains, 1,
            out); /* by far the most frequent; this way it is vectorised */
    } else {
        mix(in, frames, in_channels, gains, out_channels, out);
    }
}

void sa_channels_pick(const float *in, int64_t frames, uint32_t in_channels,
                      const uint32_t *channels, uint32_t out_channels, float *out) {
    for (int64_t frame = 0; frame < frames; frame++) {
        for (uint32_t o = 0; o < out_channels; o++) {
            SA_CHECK(channels[o] < in_channels);
            out[frame * out_channels + o] = in[frame * in_channels + channels[o]];
        }
    }
}
