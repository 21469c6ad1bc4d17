#include "overwritten.h"

/* So many samples that agree are no accident, unless the signal repeats. */
enum { LEAST_RUN = 16 };

static uint32_t smaller(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

static float sample(const sa_capture *capture, uint64_t frame, uint32_t channel) {
    return ((const float *)sa_ring_peek(&capture->frames, frame))[channel];
}

bool sa_overwritten(const sa_capture *capture, bool third) {
    const sa_packet *first = sa_ring_peek(&capture->packets, 0);
    const sa_packet *second = sa_ring_peek(&capture->packets, 1);
    uint32_t frames = smaller(first->frames, second->frames);
    if (third) {
        const sa_packet *packet = sa_ring_peek(&capture->packets, 2);
        frames = smaller(frames, packet->frames);
    }
    uint64_t next = first->frames;
    uint64_t after = next + second->frames;
    for (uint32_t channel = 0; channel < capture->channels; channel++) {
        uint32_t run = 0;
        bool varies = false;
        bool passes = false; /* the packet after the two goes on differently */
        float start = 0;
        for (uint32_t i = 0; i < frames; i++) {
            float value = sample(capture, i, channel);
            if (value != sample(capture, next + i, channel)) {
                run = 0;
                continue;
            }
            if (run++ == 0) {
                start = value;
                varies = passes = false;
            }
            varies |= value != start;
            passes |= !third || value != sample(capture, after + i, channel);
            if (run >= smaller(LEAST_RUN, frames) && varies && passes) {
                return true;
            }
        }
    }
    return false;
}
