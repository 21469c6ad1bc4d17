/* A single-producer single-consumer ring of frames: nothing but indices and memory.
 *
 * Guarantees
 *   - Wait-free and bounded on both sides: no lock, no loop that depends on the other thread,
 *     no system call, at most two memcpy a call.
 *   - What has not been read is never overwritten; a producer that finds no room is told so.
 *   - Indices are 64-bit and run freely (they never wrap in practice); the capacity is exact and
 *     need not be a power of two.
 *
 * Who may call what
 *   producer thread  sa_ring_space, sa_ring_copy_in, sa_ring_publish
 *   consumer thread  sa_ring_available, sa_ring_peek, sa_ring_peek_back, sa_ring_skip,
 *                    sa_ring_copy_out, sa_ring_release
 *   any one thread   sa_ring_create, sa_ring_destroy, while neither side runs
 *
 * Copying and publishing are two steps so that a second ring may publish for the first: a capture
 * copies frames in, and only the release of the packet record makes them visible (capture.h).
 */
#ifndef SA_RING_H
#define SA_RING_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "check.h"

enum { SA_CACHE_LINE = 64 };

typedef struct {
    /* The producer's line. */
    alignas(SA_CACHE_LINE) _Atomic uint64_t write_index; /* published; the consumer reads it */
    uint64_t written;                                    /* copied in, published or not */
    uint64_t write_slot;                                 /* written modulo capacity */
    uint64_t seen_read;                                  /* the last read_index the producer saw */

    /* The consumer's line. */
    alignas(SA_CACHE_LINE) _Atomic uint64_t read_index; /* released; the producer reads it */
    uint64_t read;                                      /* copied out, released or not */
    uint64_t read_slot;                                 /* read modulo capacity */
    uint64_t seen_write;                                /* the last write_index the consumer saw */

    /* Constant after creation, so it may be shared by both. */
    alignas(SA_CACHE_LINE) unsigned char *memory;
    uint64_t capacity; /* frames */
    size_t frame_bytes;
} sa_ring;

/* Maps and touches the memory. Returns false (errno set) if there is not enough of it. */
bool sa_ring_create(sa_ring *ring, uint64_t capacity, size_t frame_bytes);
void sa_ring_destroy(sa_ring *ring);

/* Producer: how many frames fit now; exact if fewer than `wanted`, else at least `wanted`. */
static inline uint64_t sa_ring_space(sa_ring *ring, uint64_t wanted) {
    uint64_t space = ring->capacity - (ring->written - ring->seen_read);
    if (space < wanted) {
        /* Pairs with the release in sa_ring_release: the consumer is done with those frames. */
        ring->seen_read = atomic_load_explicit(&ring->read_index, memory_order_acquire);
        space = ring->capacity - (ring->written - ring->seen_read);
    }
    return space;
}

/* Producer: copies `count` frames in; `count` must not exceed sa_ring_space. Not yet visible. */
static inline void sa_ring_copy_in(sa_ring *ring, const void *frames, uint64_t count) {
    SA_CHECK(count <= ring->capacity - (ring->written - ring->seen_read));
    uint64_t first = ring->capacity - ring->write_slot;
    if (first > count) {
        first = count;
    }
    memcpy(ring->memory + ring->write_slot * ring->frame_bytes, frames, first * ring->frame_bytes);
    if (first < count) {
        memcpy(ring->memory, (const unsigned char *)frames + first * ring->frame_bytes,
               (count - first) * ring->frame_bytes);
        ring->write_slot = count - first;
    } else {
        ring->write_slot += count;
        if (ring->write_slot == ring->capacity) {
            ring->write_slot = 0;
        }
    }
    ring->written += count;
}

/* Producer: makes all that was copied in visible. */
static inline void sa_ring_publish(sa_ring *ring) {
    /* Pairs with the acquire in sa_ring_available: the copied bytes come first. */
    atomic_store_explicit(&ring->write_index, ring->written, memory_order_release);
}

/* Consumer: how many frames wait; exact if fewer than `wanted`, else at least `wanted`. */
static inline uint64_t sa_ring_available(sa_ring *ring, uint64_t wanted) {
    uint64_t available = ring->seen_write - ring->read;
    if (available < wanted) {
        /* Pairs with the release in sa_ring_publish. */
        ring->seen_write = atomic_load_explicit(&ring->write_index, memory_order_acquire);
        available = ring->seen_write - ring->read;
    }
    return available;
}

/* Consumer: where the frame `ahead` of the next one stands; `ahead` < sa_ring_available. */
static inline const void *sa_ring_peek(const sa_ring *ring, uint64_t ahead) {
    SA_CHECK(ahead < ring->seen_write - ring->read);
    uint64_t slot = ring->read_slot + ahead;
    if (slot >= ring->capacity) {
        slot -= ring->capacity;
    }
    return ring->memory + slot * ring->frame_bytes;
}

/* Consumer: where the frame `behind` before the next one stands (1: the last that was read). Its
 * room may have been given back, but nobody writes there while the producer is far from having
 * gone around: half the ring must be free. */
static inline const void *sa_ring_peek_back(const sa_ring *ring, uint64_t behind) {
    SA_CHECK(behind > 0 && behind <= ring->read && behind <= ring->capacity / 2);
    uint64_t slot = ring->read_slot >= behind ? ring->read_slot : ring->read_slot + ring->capacity;
    return ring->memory + (slot - behind) * ring->frame_bytes;
}

/* Consumer: moves past `count` frames without copying them; the caller knows that they have been
 * published, with this ring or with another. */
static inline void sa_ring_skip(sa_ring *ring, uint64_t count) {
    SA_CHECK(count <= ring->capacity);
    ring->read_slot += count;
    if (ring->read_slot >= ring->capacity) {
        ring->read_slot -= ring->capacity;
    }
    ring->read += count;
}

/* Consumer: copies `count` frames out; the caller knows that they have been published. */
static inline void sa_ring_copy_out(sa_ring *ring, void *frames, uint64_t count) {
    SA_CHECK(count <= ring->capacity);
    uint64_t first = ring->capacity - ring->read_slot;
    if (first > count) {
        first = count;
    }
    memcpy(frames, ring->memory + ring->read_slot * ring->frame_bytes, first * ring->frame_bytes);
    if (first < count) {
        memcpy((unsigned char *)frames + first * ring->frame_bytes, ring->memory,
               (count - first) * ring->frame_bytes);
    }
    sa_ring_skip(ring, count);
}

/* Consumer: gives the room of all that was copied out or skipped back to the producer. */
static inline void sa_ring_release(sa_ring *ring) {
    /* Pairs with the acquire in sa_ring_space: the bytes have been copied out first. */
    atomic_store_explicit(&ring->read_index, ring->read, memory_order_release);
}

#endif
