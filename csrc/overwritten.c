#include "overwritten.h"

/* So many samples that agree are no accident, unless the signal repeats. */
enum { LEAST_RUN = 16 };

static float sample(const sa_ring *ring, int64_t frame, size_t channel) {
    const void *found = frame < 0 ? sa_ring_peek_back(ring, (uint64_t)-frame)
                                  : sa_ring_peek(ring, (uint64_t)frame);
    return ((const float *)found)[channel];
}

bool sa_overwritten(const sa_ring *ring, int64_t from, uint32_t frames, bool third) {
    uint32_t enough = frames < LEAST_RUN ? frames : LEAST_RUN;
    for (size_t channel = 0; channel < ring->frame_bytes / sizeof(float); channel++) {
        uint32_t run = 0;
        bool varies = false;
        bool passes = false; /* the third goes on differently */
        float start = 0;
        for (uint32_t i = 0; i < frames; i++) {
            float value = sample(ring, from + i, channel);
            if (value != sample(ring, from + frames + i, channel)) {
                run = 0;
                continue;
            }
            if (run++ == 0) {
                start = value;
                varies = passes = false;
            }
            varies |= value != start;
            passes |= !third || value != sample(ring, from + 2 * (int64_t)frames + i, channel);
            if (run >= enough && varies && passes) {
                return true;
            }
        }
    }
    return false;
}
