#include "ring.h"

#include <errno.h>
#include <sys/mman.h>

void *sa_map_for_audio(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return NULL;
    }
#ifdef MADV_DONTFORK
    madvise(memory, bytes, MADV_DONTFORK);
#endif
#ifdef MADV_HUGEPAGE
    /* Where it is large enough: fewer translations for a callback to find forgotten. */
    madvise(memory, bytes, MADV_HUGEPAGE);
#endif
    memset(memory, 0, bytes);
#ifdef MADV_NOHUGEPAGE
    /* Those there are stay. But small ones must not become one while a callback writes to them: it
     * would fault, and wait. */
    madvise(memory, bytes, MADV_NOHUGEPAGE);
#endif
    return memory;
}

void sa_unmap_for_audio(void *memory, size_t bytes) {
    munmap(memory, bytes);
}

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
