/* What every program here shares: a check that names its place, and numbers that look random. */
#ifndef CHECK_H
#define CHECK_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* _exit: another thread may still run, and must not be met by what exit() takes down. */
#define CHECK(condition)                                                                          \
    do {                                                                                          \
        if (!(condition)) {                                                                       \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);               \
            _exit(1);                                                                             \
        }                                                                                         \
    } while (0)

#define CHECK_EQUAL(left, right)                                                                  \
    do {                                                                                          \
        int64_t left_ = (int64_t)(left), right_ = (int64_t)(right);                               \
        if (left_ != right_) {                                                                    \
            fprintf(stderr, "%s:%d: not equal: %s is %" PRId64 ", %s is %" PRId64 "\n", __FILE__, \
                    __LINE__, #left, left_, #right, right_);                                      \
            _exit(1);                                                                             \
        }                                                                                         \
    } while (0)

/* A seed may be given on the command line, to soak a program with other sequences. */
static inline uint64_t seed_from(int argc, char **argv) {
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    return seed * 0x9e3779b97f4a7c15u | 1; /* xorshift must not start at 0 */
}

/* G. Marsaglia, "Xorshift RNGs", Journal of Statistical Software 8 (14), 2003. */
static inline uint64_t xorshift(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Uniform enough in [0, bound). The upper half, for the lower bits are the weaker ones. */
static inline uint32_t below(uint64_t *state, uint32_t bound) {
    return (uint32_t)(xorshift(state) >> 32) % bound;
}

static inline void sleep_ns(int64_t ns) {
    struct timespec span = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    nanosleep(&span, NULL);
}

/* Waits for the other thread: spins while it may be at it, then sleeps. Never sched_yield, which
 * on a busy machine gives the processor away for milliseconds each time. `idle` counts the calls
 * in a row. */
static inline void stand_by(uint32_t *idle) {
    if (++*idle > 200) {
        sleep_ns(1000);
    }
}

#endif
