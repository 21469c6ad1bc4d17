/* Promise (ring.h): every frame arrives once, in order and bit for bit, whatever the block sizes,
 * and nothing unread is ever overwritten. Two threads, one ring; a race shows under TSan. */
#include <pthread.h>

#include "check.h"
#include "ring.h"

/* Twelve bytes: a frame that fits neither a cache line nor a page evenly. */
typedef struct {
    uint32_t words[3];
} frame;

enum { LONGEST_BLOCK = 333 };

/* Capacities that are no powers of two, and the smallest there are. */
static const struct round {
    uint64_t capacity;
    uint64_t frames;
} rounds[] = {{1, 4000}, {2, 10000}, {7, 50000}, {331, 1000000}, {1009, 5000000}};

typedef struct {
    sa_ring ring;
    uint64_t frames;
    uint64_t random; /* the producer's own */
} hammer;

static frame frame_at(uint64_t index) {
    uint32_t low = (uint32_t)index;
    return (frame){{low, ~low, low * 2654435761u}};
}

static uint64_t block_length(uint64_t *random, uint64_t left) {
    uint64_t length = 1 + below(random, LONGEST_BLOCK);
    return length < left ? length : left;
}

static void *produce(void *argument) {
    hammer *h = argument;
    frame block[LONGEST_BLOCK];
    uint32_t idle = 0;
    uint64_t sent = 0;
    while (sent < h->frames) {
        uint64_t wanted = block_length(&h->random, h->frames - sent);
        uint64_t space = sa_ring_space(&h->ring, wanted);
        CHECK(space <= h->ring.capacity);
        if (space == 0) {
            /* Full, maybe of what is not published yet. */
            sa_ring_publish(&h->ring);
            stand_by(&idle);
            continue;
        }
        uint64_t count = wanted < space ? wanted : space;
        for (uint64_t i = 0; i < count; i++) {
            block[i] = frame_at(sent + i);
        }
        sa_ring_copy_in(&h->ring, block, count);
        sent += count;
        idle = 0;
        if (below(&h->random, 4) != 0) { /* else the next publication is for two blocks */
            sa_ring_publish(&h->ring);
        }
    }
    sa_ring_publish(&h->ring);
    return NULL;
}

/* Takes `count` frames by copying, or by looking at them where they stand. */
static void take(sa_ring *ring, frame *block, uint64_t count, bool in_place) {
    if (!in_place) {
        sa_ring_copy_out(ring, block, count);
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        memcpy(&block[i], sa_ring_peek(ring, i), sizeof(frame));
    }
    sa_ring_skip(ring, count);
}

static void consume(hammer *h, uint64_t random) {
    frame block[LONGEST_BLOCK];
    uint32_t idle = 0;
    uint64_t received = 0;
    while (received < h->frames) {
        uint64_t wanted = block_length(&random, h->frames - received);
        uint64_t available = sa_ring_available(&h->ring, wanted);
        CHECK(available <= h->ring.capacity);
        if (available == 0) {
            /* Empty, maybe because the producer waits for what is not released yet. */
            sa_ring_release(&h->ring);
            stand_by(&idle);
            continue;
        }
        uint64_t count = wanted < available ? wanted : available;
        take(&h->ring, block, count, below(&random, 4) == 0);
        for (uint64_t i = 0; i < count; i++) {
            frame expected = frame_at(received + i);
            CHECK(memcmp(&block[i], &expected, sizeof expected) == 0);
        }
        received += count;
        idle = 0;
        if (below(&random, 4) != 0) {
            sa_ring_release(&h->ring);
        }
    }
    sa_ring_release(&h->ring);
}

static void play(struct round round, uint64_t seed) {
    hammer h = {.frames = round.frames, .random = seed};
    CHECK(sa_ring_create(&h.ring, round.capacity, sizeof(frame)));
    pthread_t producer;
    CHECK(pthread_create(&producer, NULL, produce, &h) == 0);
    consume(&h, ~seed);
    CHECK(pthread_join(producer, NULL) == 0);
    CHECK_EQUAL(sa_ring_available(&h.ring, 1), 0);
    CHECK_EQUAL(sa_ring_space(&h.ring, round.capacity), round.capacity);
    sa_ring_destroy(&h.ring);
}

int main(int argc, char **argv) {
    uint64_t seed = seed_from(argc, argv);
    uint64_t frames = 0;
    for (size_t i = 0; i < sizeof rounds / sizeof rounds[0]; i++) {
        play(rounds[i], seed + 2 * i);
        frames += rounds[i].frames;
    }
    printf("%" PRIu64 " frames arrived in order and bit for bit\n", frames);
    return 0;
}
