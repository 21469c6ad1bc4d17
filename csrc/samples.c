#include "samples.h"

#include <string.h>

#include "check.h"
#include "processors.h"

/* The loops are free of branches, so that the compiler turns them into vector instructions. */

/* 2**23: a float32 of this size has no fraction, so adding it rounds, half to even. */
static const float NO_FRACTION = 8388608.0F;

/* For sizes up to 2**23. */
static inline float nearest(float x) {
    return x >= 0 ? (x + NO_FRACTION) - NO_FRACTION : (x - NO_FRACTION) + NO_FRACTION;
}

/* A NaN is smaller and larger than nothing, and becomes 0. */
static inline float clipped(float x, float lowest, float highest) {
    float not_above = x > highest ? highest : x;
    float within = not_above < lowest ? lowest : not_above;
    return x == x ? within : 0.0F;
}

static inline int32_t is_clipped(float x, float lowest, float highest) {
    return (x >= highest + 0.5F) | (x < lowest - 0.5F);
}

static const float LOWEST_16 = -32768.0F, HIGHEST_16 = 32767.0F;

/* The nearest 16-bit integer, half to even. Between 2**23 and 2**24 neighbouring float32 are 1
 * apart, and so are their bits: in the sum they are the integer, counted from 1.5 * 2**23. */
static inline int16_t to_16(float x) {
    const float middle = 12582912.0F;
    float sum = clipped(x, LOWEST_16, HIGHEST_16) + middle;
    int32_t bits;
    int32_t bits_of_middle;
    memcpy(&bits, &sum, sizeof bits);
    memcpy(&bits_of_middle, &middle, sizeof bits_of_middle);
    return (int16_t)(bits - bits_of_middle);
}

SA_LOOP int64_t to_int16(const float *samples, int64_t count, int16_t *out) {
    int32_t clips = 0;
    for (int64_t i = 0; i < count; i++) {
        float x = samples[i] * 32768.0F;
        clips += is_clipped(x, LOWEST_16, HIGHEST_16);
        out[i] = to_16(x);
    }
    return clips;
}

SA_FOR_EACH_PROCESSOR(int64_t, sa_to_int16, (const float *samples, int64_t count, int16_t *out),
                      to_int16, (samples, count, out))

/* Samples that are counted at a time: sums of 32 bits fill the vector registers with twice as
 * many. */
enum { COUNTED_AT_ONCE = 4096 };

static inline int64_t piece_from(int64_t from, int64_t count) {
    return count - from < COUNTED_AT_ONCE ? count : from + COUNTED_AT_ONCE;
}

/* Infinity less infinity is no number. */
static inline bool is_finite(float x) {
    return x - x == 0;
}

int64_t sa_zero_nonfinite(const float *samples, int64_t count, float *out) {
    int64_t all = 0;
    for (int64_t from = 0; from < count; from += COUNTED_AT_ONCE) {
        int64_t until = piece_from(from, count);
        int32_t found = 0;
        for (int64_t i = from; i < until; i++) {
            float x = samples[i];
            found += !is_finite(x);
            out[i] = is_finite(x) ? x : 0.0F;
        }
        all += found;
    }
    return all;
}

SA_LOOP int64_t count_nonfinite(const float *samples, int64_t count) {
    int64_t all = 0;
    for (int64_t from = 0; from < count; from += COUNTED_AT_ONCE) {
        int64_t until = piece_from(from, count);
        int32_t found = 0;
        for (int64_t i = from; i < until; i++) {
            found += !is_finite(samples[i]);
        }
        all += found;
    }
    return all;
}

SA_FOR_EACH_PROCESSOR(int64_t, sa_count_nonfinite, (const float *samples, int64_t count),
                      count_nonfinite, (samples, count))

/* A number's 32 bits thoroughly mixed (the constants are Chris Wellons's "lowbias32", 2018, which
 * he put into the public domain). */
static inline uint32_t mixed(uint32_t x) {
    x ^= x >> 16;
    x *= 0x7FEB352DU;
    x ^= x >> 15;
    x *= 0x846CA68BU;
    return x ^ x >> 16;
}

SA_LOOP int64_t to_int16_dithered(const float *samples, int64_t count, int16_t *out,
                                  uint64_t first, uint32_t seed) {
    int32_t clips = 0;
    uint32_t key = mixed(seed);
    uint32_t number = (uint32_t)first;
    for (int64_t i = 0; i < count; i++) {
        uint32_t random = mixed((number + (uint32_t)i) ^ key);
        /* The difference of two even distributions is a triangular one. */
        int32_t difference = (int32_t)(random & 0xFFFF) - (int32_t)(random >> 16);
        float x = samples[i] * 32768.0F;
        clips += is_clipped(x, LOWEST_16, HIGHEST_16);
        float y = x + (float)difference * (1.0F / 65536.0F);
        out[i] = to_16(y);
    }
    return clips;
}

SA_FOR_EACH_PROCESSOR(int64_t, sa_to_int16_dithered,
                      (const float *samples, int64_t count, int16_t *out, uint64_t first,
                       uint32_t seed),
                      to_int16_dithered, (samples, count, out, first, seed))

SA_LOOP bool are_int16(const float *samples, int64_t count) {
    enum { AT_A_TIME = 256 };
    for (int64_t from = 0; from < count; from += AT_A_TIME) {
        int64_t until = count - from < AT_A_TIME ? count : from + AT_A_TIME;
        int32_t others = 0;
        for (int64_t i = from; i < until; i++) {
            float x = samples[i] * 32768.0F;
            others |= nearest(clipped(x, LOWEST_16, HIGHEST_16)) != x;
        }
        if (others) {
            return false;
        }
    }
    return true;
}

SA_FOR_EACH_PROCESSOR(bool, sa_are_int16, (const float *samples, int64_t count), are_int16,
                      (samples, count))

/* A sample as an integer of 24 bits. */
static inline int32_t to_24(float x) {
    return (int32_t)nearest(clipped(x, -8388608.0F, 8388607.0F));
}

static int64_t to_upper_24(const float *samples, int64_t count, int32_t *out) {
    int32_t clips = 0;
    for (int64_t i = 0; i < count; i++) {
        float x = samples[i] * 8388608.0F;
        clips += is_clipped(x, -8388608.0F, 8388607.0F);
        out[i] = to_24(x) * 256;
    }
    return clips;
}

static int64_t to_32(const float *samples, int64_t count, int32_t *out) {
    /* The largest float32 below 2**31. */
    const float highest = 2147483520.0F;
    int32_t clips = 0;
    for (int64_t i = 0; i < count; i++) {
        float x = samples[i] * 2147483648.0F;
        bool beyond = x >= 2147483648.0F;
        clips += beyond | (x < -2147483648.0F);
        float within = clipped(x, -2147483648.0F, highest);
        bool has_fraction = within > -NO_FRACTION && within < NO_FRACTION;
        float whole = has_fraction ? nearest(within) : within;
        out[i] = beyond ? INT32_MAX : (int32_t)whole;
    }
    return clips;
}

int64_t sa_to_int32(const float *samples, int64_t count, uint32_t bits, int32_t *out) {
    SA_CHECK(bits == 24 || bits == 32);
    return bits == 24 ? to_upper_24(samples, count, out) : to_32(samples, count, out);
}
