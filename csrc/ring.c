#include "ring.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

bool sa_ring_create(sa_ring *ring, uint64_t capacity, size_t frame_bytes) {
    memset(ring, 0, sizeof *ring);
    if (capacity == 0 || frame_bytes == 0 || capacity > SIZE_MAX / 2 / frame_bytes) {
        errno = EINVAL;
        return false;
    }
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t bytes = (capacity * frame_bytes + page - 1) / page * page;
    void *memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return false;
    }
#ifdef MADV_DONTFORK
    /* A fork would make every page copy-on-write, and the faults would hit the audio thread. */
    madvise(memory, bytes, MADV_DONTFORK);
#endif
    /* Touch every page now, so that the audio thread never takes the first fault on one. */
    memset(memory, 0, bytes);
    ring->memory = memory;
    ring->capacity = capacity;
    ring->frame_bytes = frame_bytes;
    ring->mapped_bytes = bytes;
    return true;
}

void sa_ring_destroy(sa_ring *ring) {
    if (ring->memory) {
        munmap(ring->memory, ring->mapped_bytes);
        ring->memory = NULL;
    }
}
