/* Each channel's peak and sum of squares, found while the frames are still in the cache. */
#ifndef SA_LEVELS_H
#define SA_LEVELS_H

#include <stdint.h>

enum { SA_MAX_CHANNELS = 64 };

/* Adds `frames` interleaved frames to the running figures of `channels` channels. A channel is
 * exactly zero if its sum of squares is 0 (a NaN or an infinity shows in that sum). */
void sa_levels_add(const float *samples, int64_t frames, uint32_t channels, float *peak,
                   double *sum_of_squares);

#endif
