/* Channels of a frame from those of another. Pure functions; any thread. */
#ifndef SA_CHANNELS_H
#define SA_CHANNELS_H

#include <stdint.h>

/* out[o] = sum of gains[o * in_channels + i] * in[i], for each frame. */
void sa_channels_mix(const float *in, int64_t frames, uint32_t in_channels, const float *gains,
                     uint32_t out_channels, float *out);

/* out[o] = in[channels[o]], for each frame, bit for bit. */
void sa_channels_pick(const float *in, int64_t frames, uint32_t in_channels,
                      const uint32_t *channels, uint32_t out_channels, float *out);

#endif
