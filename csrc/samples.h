/* Integer samples from floating-point ones. Full scale is 1.0 = 2**(bits - 1), the same on both
 * sides of zero; the nearest integer is taken (half to even), what is beyond the integers is
 * clipped, and not-a-number becomes 0.
 *
 * Pure functions; any thread. Each returns how many samples were clipped: those whose nearest
 * integer is none of the type's, +1.0 itself included.
 */
#ifndef SA_SAMPLES_H
#define SA_SAMPLES_H

#include <stdbool.h>
#include <stdint.h>

int64_t sa_to_int16(const float *samples, int64_t count, int16_t *out);

/* As before, with triangular noise of ±1 step added ahead of the rounding, which makes the error's
 * mean and variance independent of the signal (Lipshitz, Wannamaker, Vanderkooy, "Quantization and
 * Dither: A Theoretical Survey", 1992). The noise of a sample depends on `seed` and on its number,
 * of which `first` is that of samples[0], and on nothing else. */
int64_t sa_to_int16_dithered(const float *samples, int64_t count, int16_t *out, uint64_t first,
                             uint32_t seed);

/* Whether every sample is a 16-bit integer already, so that rounding changes none. */
bool sa_are_int16(const float *samples, int64_t count);

/* 24 or 32 bits in the upper bits of an int32, the others 0. */
int64_t sa_to_int32(const float *samples, int64_t count, uint32_t bits, int32_t *out);

/* How many samples are infinite or not a number; they become 0 in `out`. */
int64_t sa_count_nonfinite(const float *samples, int64_t count);
int64_t sa_zero_nonfinite(const float *samples, int64_t count, float *out);

#endif
