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
    }
}
