#include "ring.h"

#include <errno.h>

#include "platform.h"

bool sa_ring_create(sa_ring *ring, uint64_t capacity, size_t frame_bytes) {
    memset(ring, 0, sizeof *ring);
    if (capacity == 0 || frame_bytes == 0 || capacity > SIZE_MAX / 2 / frame_bytes) {
        errno = EINVAL;
        return false;
    }
    ring->memory = sa_map_for_audio(capacity * frame_bytes);
    ring->capacity = capacity;
    ring->frame_bytes = frame_bytes;
    return ring->memory != NULL;
}

void sa_ring_destroy(sa_ring *ring) {
    if (ring->memory) {
        sa_unmap_for_audio(ring->memory, ring->capacity * ring->frame_bytes);
        ring->memory = NULL;
    }
}
