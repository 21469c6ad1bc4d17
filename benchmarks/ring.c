/* What a block of 2 KiB costs in the ring, beside its peers and beside bare copying.
 *
 *   ring one BLOCKS CAPACITY FIRST      one thread pushes and pops, again and again
 *   ring single BLOCKS CAPACITY FIRST   one thread pushes, another on another core pops; the next
 *                                       block is pushed when this one has been popped
 *   ring stream BLOCKS CAPACITY FIRST   the same, both as fast as they can
 *
 * FIRST says which queue begins. Prints a line for each: its name, a tab, ns for each block.
 * "memcpy" is two copies through memory of the same size, with no bookkeeping. Blocks that arrive
 * are checked.
 */
#define _GNU_SOURCE /* CPU_SET, pthread_setaffinity_np */

#include <jack/ringbuffer.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "queues.h"
#include "ring.h"

/* ---- ours: frames of stereo float32, as a capture has them ---- */

enum { FRAME_BYTES = 8, BLOCK_FRAMES = BLOCK_BYTES / FRAME_BYTES };

static void *ours_create(size_t blocks) {
    sa_ring *ring = aligned_alloc(SA_CACHE_LINE, sizeof *ring);
    if (!ring || !sa_ring_create(ring, blocks * BLOCK_FRAMES, FRAME_BYTES)) {
        abort();
    }
    return ring;
}

static void ours_destroy(void *queue) {
    sa_ring_destroy(queue);
    free(queue);
}

static bool ours_push(void *queue, const void *block) {
    if (sa_ring_space(queue, BLOCK_FRAMES) < BLOCK_FRAMES) {
        return false;
    }
    sa_ring_copy_in(queue, block, BLOCK_FRAMES);
    sa_ring_publish(queue);
    return true;
}

static bool ours_pop(void *queue, void *block) {
    if (sa_ring_available(queue, BLOCK_FRAMES) < BLOCK_FRAMES) {
        return false;
    }
    sa_ring_copy_out(queue, block, BLOCK_FRAMES);
    sa_ring_release(queue);
    return true;
}

static const queue_kind our_queue = {"sa_ring", ours_create, ours_destroy, ours_push, ours_pop};

/* ---- JACK's, which rounds its size up to a power of two ---- */

static void *jack_create(size_t blocks) {
    return jack_ringbuffer_create(blocks * BLOCK_BYTES);
}

static void jack_destroy(void *queue) {
    jack_ringbuffer_free(queue);
}

static bool jack_push(void *queue, const void *block) {
    if (jack_ringbuffer_write_space(queue) < BLOCK_BYTES) {
        return false;
    }
    jack_ringbuffer_write(queue, block, BLOCK_BYTES);
    return true;
}

static bool jack_pop(void *queue, void *block) {
    if (jack_ringbuffer_read_space(queue) < BLOCK_BYTES) {
        return false;
    }
    jack_ringbuffer_read(queue, block, BLOCK_BYTES);
    return true;
}

static const queue_kind jack_queue = {"jack_ringbuffer", jack_create, jack_destroy, jack_push,
                                      jack_pop};

/* ---- no queue: copying there and back, for one thread alone ---- */

/* Not a constant, or the compiler would put a slower copy in line than the library's. */
static volatile size_t block_bytes = BLOCK_BYTES;

typedef struct {
    unsigned char *memory;
    size_t blocks, in, out;
} copies;

static void *copies_create(size_t blocks) {
    copies *c = calloc(1, sizeof *c);
    c->memory = calloc(blocks, BLOCK_BYTES);
    c->blocks = blocks;
    memset(c->memory, 1, blocks * BLOCK_BYTES);
    return c;
}

static void copies_destroy(void *queue) {
    free(((copies *)queue)->memory);
    free(queue);
}

static bool copies_push(void *queue, const void *block) {
    copies *c = queue;
    memcpy(c->memory + c->in * BLOCK_BYTES, block, block_bytes);
    c->in = c->in + 1 == c->blocks ? 0 : c->in + 1;
    return true;
}

static bool copies_pop(void *queue, void *block) {
    copies *c = queue;
    memcpy(block, c->memory + c->out * BLOCK_BYTES, block_bytes);
    c->out = c->out + 1 == c->blocks ? 0 : c->out + 1;
    return true;
}

static const queue_kind no_queue = {"memcpy", copies_create, copies_destroy, copies_push,
                                    copies_pop};

/* ---- the loops ---- */

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Every block is numbered at both ends. */
static void mark(unsigned char *block, uint64_t number) {
    memcpy(block, &number, sizeof number);
    memcpy(block + BLOCK_BYTES - sizeof number, &number, sizeof number);
}

static void check(const unsigned char *block, uint64_t number) {
    if (memcmp(block, &number, sizeof number) != 0 ||
        memcmp(block + BLOCK_BYTES - sizeof number, &number, sizeof number) != 0) {
        fprintf(stderr, "block %llu is not what was pushed\n", (unsigned long long)number);
        exit(1);
    }
}

static double one_thread(const queue_kind *kind, uint64_t blocks, size_t capacity) {
    void *queue = kind->create(capacity);
    unsigned char in[BLOCK_BYTES] = {0}, out[BLOCK_BYTES];
    int64_t start = 0;
    for (uint64_t number = 0; number < blocks + capacity; number++) {
        if (number == capacity) {
            start = now_ns(); /* all of the memory has been touched */
        }
        mark(in, number);
        if (!kind->push(queue, in) || !kind->pop(queue, out)) {
            abort();
        }
        check(out, number);
    }
    double each = (double)(now_ns() - start) / (double)blocks;
    kind->destroy(queue);
    return each;
}

typedef struct {
    const queue_kind *kind;
    void *queue;
    uint64_t blocks;
    bool one_at_a_time;
    _Atomic uint64_t popped;
} transfer;

static void stay_on(int core) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(core, &cores);
    if (pthread_setaffinity_np(pthread_self(), sizeof cores, &cores) != 0) {
        fprintf(stderr, "cannot run on core %d: two are needed\n", core);
        exit(1);
    }
}

static inline void pause_a_little(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void *pop_all(void *argument) {
    transfer *t = argument;
    unsigned char block[BLOCK_BYTES];
    stay_on(1);
    for (uint64_t number = 0; number < t->blocks; number++) {
        while (!t->kind->pop(t->queue, block)) {
            pause_a_little();
        }
        check(block, number);
        if (t->one_at_a_time) {
            atomic_store_explicit(&t->popped, number + 1, memory_order_release);
        }
    }
    return NULL;
}

static double two_threads(const queue_kind *kind, uint64_t blocks, size_t capacity,
                          bool one_at_a_time) {
    transfer t = {kind, kind->create(capacity), blocks, one_at_a_time, 0};
    unsigned char block[BLOCK_BYTES] = {0};
    pthread_t consumer;
    stay_on(0);
    if (pthread_create(&consumer, NULL, pop_all, &t) != 0) {
        abort();
    }
    int64_t start = now_ns();
    for (uint64_t number = 0; number < blocks; number++) {
        mark(block, number);
        while (!kind->push(t.queue, block)) {
            pause_a_little();
        }
        while (one_at_a_time &&
               atomic_load_explicit(&t.popped, memory_order_acquire) != number + 1) {
            pause_a_little();
        }
    }
    pthread_join(consumer, NULL);
    double each = (double)(now_ns() - start) / (double)blocks;
    kind->destroy(t.queue);
    return each;
}

int main(int argc, char **argv) {
    static const queue_kind *const kinds[] = {&no_queue, &our_queue, &jack_queue, &boost_queue,
                                              &moodycamel_queue};
    if (argc != 5) {
        fprintf(stderr, "usage: ring one|single|stream BLOCKS CAPACITY FIRST\n");
        return 2;
    }
    bool one = strcmp(argv[1], "one") == 0;
    bool single = strcmp(argv[1], "single") == 0;
    uint64_t blocks = strtoull(argv[2], NULL, 10);
    size_t capacity = strtoull(argv[3], NULL, 10);
    size_t first = strtoull(argv[4], NULL, 10);
    size_t count = sizeof kinds / sizeof kinds[0];
    for (size_t i = 0; i < count; i++) {
        /* Each round begins with another one. */
        const queue_kind *kind = kinds[(first + i) % count];
        if (one) {
            printf("%s\t%.2f\n", kind->name, one_thread(kind, blocks, capacity));
        } else if (kind != &no_queue) {
            printf("%s\t%.2f\n", kind->name, two_threads(kind, blocks, capacity, single));
        }
    }
    return 0;
}
