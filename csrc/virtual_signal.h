/* The signals that a virtual device can play. Not for an audio thread: it may call libm. */
#ifndef SA_VIRTUAL_SIGNAL_H
#define SA_VIRTUAL_SIGNAL_H

#include <stdbool.h>
#include <stdint.h>

typedef enum {
    SA_SIGNAL_SINE = 0,
    SA_SIGNAL_NOISE = 1,   /* white, uniform in ±amplitude, the same for the same seed */
    SA_SIGNAL_SILENCE = 2, /* exactly zero */
    SA_SIGNAL_COUNTER = 3, /* (frame mod 2^23) * 2^-23 in every channel: tells its own position */
    /* Heard alike by every device, whatever its rate, drift and start: they depend on time alone.
     */
    SA_SIGNAL_CHIRP = 4, /* 200 to 3500 Hz, each second anew */
    SA_SIGNAL_ROOM = 5,  /* noise up to about 4 kHz */
} sa_signal;

/* Whether sa_signal_fill_at makes it. */
static inline bool sa_signal_is_of_time(sa_signal signal) {
    return signal >= SA_SIGNAL_CHIRP;
}

/* Fills `count` frames, the first of which is heard at `seconds`, and each of them `step` later
 * than the one before it. */
void sa_signal_fill_at(sa_signal signal, float *samples, double seconds, double step,
                       uint32_t count, uint32_t channels, double amplitude, uint64_t seed);

/* Fills `count` frames from position `frame` on. Any position can be asked for at any time. */
void sa_signal_fill(sa_signal signal, float *samples, int64_t frame, uint32_t count,
                    uint32_t channels, double cycles_per_frame, double amplitude, uint64_t seed);

/* A well-mixed 64-bit number for each input (the finalizer of S. Vigna's SplitMix64). */
static inline uint64_t sa_mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Uniform in [-1, 1). */
static inline double sa_uniform(uint64_t x) {
    return (double)(sa_mix(x) >> 11) * 0x1p-52 - 1.0;
}

#endif
