/* Counts of durations in buckets that grow with the duration: up to 64 ns one for each ns, then 64
 * equal ones for each doubling, so that none is wider than 1/64 of what it counts; up to 68 s, in
 * 16 KiB. The layout is that of G. Tene's HdrHistogram.
 *
 * One thread records, and never an audio thread: callbacks' durations come with the packet
 * records; others may read the counts, each of which is a figure of its own.
 */
#ifndef SA_HISTOGRAM_H
#define SA_HISTOGRAM_H

#include <stdint.h>

#include "check.h"

enum {
    SA_HISTOGRAM_STEPS = 64,
    SA_HISTOGRAM_DOUBLINGS = 30, /* the last bucket also counts all that is longer */
    SA_HISTOGRAM_BUCKETS = SA_HISTOGRAM_STEPS * (SA_HISTOGRAM_DOUBLINGS + 1),
};

typedef struct {
    uint64_t counts[SA_HISTOGRAM_BUCKETS];
} sa_histogram;

static inline uint32_t sa_histogram_bucket(int64_t ns) {
    uint64_t value = ns > 0 ? (uint64_t)ns : 0;
    uint32_t doublings = 0;
    while (value >> doublings >= 2 * SA_HISTOGRAM_STEPS) {
        doublings++;
    }
    uint64_t bucket = doublings * SA_HISTOGRAM_STEPS + (value >> doublings);
    return bucket < SA_HISTOGRAM_BUCKETS ? (uint32_t)bucket : SA_HISTOGRAM_BUCKETS - 1;
}

static inline void sa_histogram_record(sa_histogram *histogram, int64_t ns) {
    histogram->counts[sa_histogram_bucket(ns)]++;
}

/* The shortest duration that a bucket counts. */
static inline int64_t sa_histogram_edge(uint32_t bucket) {
    SA_CHECK(bucket < SA_HISTOGRAM_BUCKETS);
    uint32_t doublings = bucket / SA_HISTOGRAM_STEPS;
    if (doublings <= 1) {
        return bucket;
    }
    return (int64_t)(SA_HISTOGRAM_STEPS + bucket % SA_HISTOGRAM_STEPS) << (doublings - 1);
}

#endif
