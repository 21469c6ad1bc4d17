#include "virtual_signal.h"

#include <math.h>
#include <string.h>

static void spread(float *samples, uint32_t channels, float value) {
    for (uint32_t channel = 0; channel < channels; channel++) {
        samples[channel] = value;
    }
}

void sa_signal_fill(sa_signal signal, float *samples, int64_t frame, uint32_t count,
                    uint32_t channels, double cycles_per_frame, double amplitude, uint64_t seed) {
    switch (signal) {
    case SA_SIGNAL_SINE:
        for (uint32_t i = 0; i < count; i++) {
            /* The phase is reduced before the multiplication, so that it stays exact for days. */
            double cycles = (double)(frame + i) * cycles_per_frame;
            double phase = 2 * M_PI * (cycles - floor(cycles));
            spread(samples + (size_t)i * channels, channels, (float)(amplitude * sin(phase)));
        }
        break;
    case SA_SIGNAL_NOISE:
        for (uint64_t i = 0; i < (uint64_t)count * channels; i++) {
            uint64_t index = (uint64_t)frame * channels + i;
            samples[i] = (float)(amplitude * sa_uniform(index ^ sa_mix(seed)));
        }
        break;
    case SA_SIGNAL_SILENCE:
        memset(samples, 0, (size_t)count * channels * sizeof(float));
        break;
    case SA_SIGNAL_COUNTER:
        for (uint32_t i = 0; i < count; i++) {
            uint32_t counter = (uint32_t)((frame + i) & 0x7fffff);
            spread(samples + (size_t)i * channels, channels, (float)counter * 0x1p-23f);
        }
        break;
    case SA_SIGNAL_CHIRP:
    case SA_SIGNAL_ROOM:
        break; /* sa_signal_fill_at */
    }
}

static const double CHIRP_FROM_HZ = 200, CHIRP_TO_HZ = 3500;

static double chirp(double seconds) {
    /* The frequency rises exponentially: its integral is the phase. */
    double rise = log(CHIRP_TO_HZ / CHIRP_FROM_HZ);
    double cycles = CHIRP_FROM_HZ / rise * (exp(rise * (seconds - floor(seconds))) - 1);
    return sin(2 * M_PI * cycles);
}

/* Numbers a second; a smooth line leads through them. */
static const double ROOM_RATE = 8000;

static double room(double seconds, uint64_t seed) {
    double place = seconds * ROOM_RATE;
    double whole = floor(place), x = place - whole;
    double y[4];
    for (int i = 0; i < 4; i++) {
        y[i] = sa_uniform((uint64_t)((int64_t)whole + i) ^ sa_mix(seed));
    }
    /* Catmull and Rom's spline (1974): through y[1] at 0 and y[2] at 1. */
    double a = -y[0] + 3 * y[1] - 3 * y[2] + y[3];
    double b = 2 * y[0] - 5 * y[1] + 4 * y[2] - y[3];
    /* It may swing beyond the numbers by a quarter. */
    return 0.8 * (y[1] + x / 2 * (y[2] - y[0] + x * (b + x * a)));
}

void sa_signal_fill_at(sa_signal signal, float *samples, double seconds, double step,
                       uint32_t count, uint32_t channels, double amplitude, uint64_t seed) {
    for (uint32_t i = 0; i < count; i++) {
        double at = seconds + i * step;
        double value = signal == SA_SIGNAL_CHIRP ? chirp(at) : room(at, seed);
        spread(samples + (size_t)i * channels, channels, (float)(amplitude * value));
    }
}
