/* Promise (capture.h, reader.h): no frame is lost without an exact record of it. A hasty producer,
 * a slow and irregular reader, rings that overflow; each sample tells its own position, and the
 * chunks' positions and losses must agree with it to the frame. */
#include <pthread.h>

#include "check.h"
#include "reader.h"
#include "realtime.h"

enum { CHANNELS = 3, LONGEST_PERIOD = 240, CHUNK_FRAMES = 441, LAST_PUSH = 77 };

/* Long enough that a host loss is believed only once the next packet confirms it. */
static const int64_t HOLD_NS = INT64_C(60) * 1000000000;

static const struct round {
    const char *what;
    uint64_t ring_frames;
    uint64_t packet_slots;
    uint32_t pushes;
    bool host_loses; /* the host has a frame clock, and frames never reach the callback */
    int64_t limit;   /* where the reader ends; 0: with the device */
} rounds[] = {
    {"frames run out", 1013, 509, 12000, false, 0},
    {"a packet never fits", 97, 61, 6000, false, 0},
    {"records run out", 65521, 7, 12000, false, 0},
    {"the host loses frames too", 2003, 13, 12000, true, 0},
    {"the reader ends before the device", 2003, 13, 6000, true, 300007},
};

typedef struct {
    sa_capture *capture;
    struct round round;
    uint64_t random;
    int64_t played; /* frames that the device went through, whoever lost them; after the join */
    int64_t pushed; /* frames given to sa_capture_push */
    _Atomic bool unheard; /* the reader has come to its end */
} device;

/* Every channel differs, so that a slip by one sample shows. Exact in float32 up to 2^24. */
static float sample_at(int64_t position, int channel) {
    float value = (float)position * 0x1p-24f;
    return channel == 1 ? -value : value;
}

static void push(device *d, uint32_t count, bool no_buffer) {
    static const int64_t any_time = 1;
    float block[LONGEST_PERIOD * CHANNELS];
    for (uint32_t i = 0; i < count; i++) {
        for (int channel = 0; channel < CHANNELS; channel++) {
            block[i * CHANNELS + (uint32_t)channel] = sample_at(d->played + i, channel);
        }
    }
    sa_host_info host = {
        .host_adc_ns = any_time, .host_now_ns = any_time, .host_frame = (uint32_t)d->played};
    sa_capture_push(d->capture, no_buffer ? NULL : block, count, &host);
    d->played += count;
    d->pushed += count;
}

static bool has_room(sa_capture *capture) {
    return sa_ring_space(&capture->packets, 1) > 0 && sa_ring_space(&capture->frames, 1) > 0;
}

static void wait_for_room(device *d) {
    uint32_t idle = 0;
    while (!has_room(d->capture) && !atomic_load(&d->unheard)) {
        stand_by(&idle);
    }
}

static void *produce(void *argument) {
    device *d = argument;
    push(d, 1, false); /* fits always: the host's count is reckoned from the first packet */
    for (uint32_t i = 0; i < d->round.pushes; i++) {
        bool no_buffer = below(&d->random, 100) == 0;
        push(d, 1 + below(&d->random, LONGEST_PERIOD), no_buffer);
        if (no_buffer) {
            /* The next push is recorded, so there are gaps however busy the machine is. */
            wait_for_room(d);
        }
        if (d->round.host_loses && below(&d->random, 20) == 0) {
            d->played += 1 + below(&d->random, 1000);
        }
        if (below(&d->random, 15) == 0) {
            sleep_ns(below(&d->random, 300000));
        }
    }
    push(d, LAST_PUSH, true); /* so that there always is a loss after the last record */
    sa_capture_finish(d->capture);
    return NULL;
}

/* What the listener knows so far: all that it was told must add up to `end`. */
typedef struct {
    sa_reader *reader;
    uint64_t random;
    int64_t end; /* position after the last chunk */
    int64_t captured, ring_lost, host_lost, gaps;
} listener;

/* Blocks of every size, each no larger than it says: ASan sees a sample too many. */
static sa_block new_block(listener *l) {
    int64_t rows = 1 + below(&l->random, 9);
    int64_t frames = CHUNK_FRAMES + below(&l->random, 4 * CHUNK_FRAMES);
    sa_block block = {
        .frames = malloc((size_t)frames * CHANNELS * sizeof(float)),
        .rows = malloc((size_t)rows * SA_CHUNK_COLUMNS * sizeof(int64_t)),
        .peaks = calloc((size_t)rows * CHANNELS, sizeof(float)),
        .squares = calloc((size_t)rows * CHANNELS, sizeof(double)),
        .capacity_frames = frames,
        .capacity_rows = rows,
    };
    CHECK(block.frames && block.rows && block.peaks && block.squares);
    return block;
}

static void free_block(sa_block block) {
    free(block.frames);
    free(block.rows);
    free(block.peaks);
    free(block.squares);
}

static void check_chunk(listener *l, const int64_t *row, const float *samples,
                        const float *peaks) {
    int64_t frames = row[SA_CHUNK_FRAMES];
    int64_t lost = row[SA_CHUNK_RING_LOST] + row[SA_CHUNK_HOST_LOST];
    CHECK(row[SA_CHUNK_RING_LOST] >= 0 && row[SA_CHUNK_HOST_LOST] >= 0);
    CHECK_EQUAL(row[SA_CHUNK_FRAME], l->end + lost);
    CHECK(frames > 0 && frames <= CHUNK_FRAMES);
    for (int64_t i = 0; i < frames; i++) {
        for (int channel = 0; channel < CHANNELS; channel++) {
            float expected = sample_at(row[SA_CHUNK_FRAME] + i, channel);
            CHECK(samples[i * CHANNELS + channel] == expected);
        }
    }
    l->end = row[SA_CHUNK_FRAME] + frames;
    for (int channel = 0; channel < CHANNELS; channel++) {
        CHECK(peaks[channel] == sample_at(l->end - 1, 0)); /* the counter only rises */
    }
    l->captured += frames;
    l->ring_lost += row[SA_CHUNK_RING_LOST];
    l->host_lost += row[SA_CHUNK_HOST_LOST];
    l->gaps += lost > 0;
}

static void check_block(listener *l) {
    const sa_block *block = &l->reader->block;
    int64_t offset = 0;
    for (int64_t i = 0; i < l->reader->progress.rows; i++) {
        const int64_t *row = block->rows + i * SA_CHUNK_COLUMNS;
        CHECK_EQUAL(row[SA_CHUNK_OFFSET], offset);
        check_chunk(l, row, block->frames + offset * CHANNELS, block->peaks + i * CHANNELS);
        offset += row[SA_CHUNK_FRAMES];
    }
}

static void listen(listener *l) {
    sa_block block = new_block(l);
    sa_reader_lend(l->reader, &block);
    while (!l->reader->progress.finished) {
        sa_reader_read(l->reader);
        if (l->reader->progress.waiting > 0) {
            check_block(l);
            free_block(block);
            block = new_block(l);
            sa_reader_lend(l->reader, &block);
        }
        if (below(&l->random, 3) == 0) {
            sleep_ns(below(&l->random, 200000));
        }
    }
    check_block(l);
    free_block(block);
}

static int64_t trailing_loss(const sa_progress *progress) {
    return progress->trailing_ring_lost + progress->trailing_host_lost;
}

/* The reader's figures against the sum of what its chunks told. */
static void check_chunks(const listener *l) {
    const sa_progress *progress = &l->reader->progress;
    CHECK_EQUAL(progress->captured, l->captured);
    CHECK_EQUAL(progress->ring_lost, l->ring_lost + progress->trailing_ring_lost);
    CHECK_EQUAL(progress->host_lost, l->host_lost + progress->trailing_host_lost);
    CHECK_EQUAL(progress->position, l->end + trailing_loss(progress));
    CHECK_EQUAL(progress->position,
                progress->captured + progress->ring_lost + progress->host_lost);
}

/* The producer's counters, and the reader's figures, against what the device really did. */
static void check_device(const sa_progress *progress, const device *d) {
    sa_capture_counts counts = sa_capture_count(d->capture);
    CHECK_EQUAL(counts.stored + counts.lost, d->pushed);
    CHECK_EQUAL(counts.callbacks, d->round.pushes + 2);
    CHECK(progress->ring_highest <= (int64_t)d->round.ring_frames);
    if (d->round.limit > 0) {
        CHECK_EQUAL(progress->position, d->round.limit);
        return;
    }
    CHECK_EQUAL(progress->captured, counts.stored);
    CHECK_EQUAL(progress->ring_lost, counts.lost);
    CHECK_EQUAL(progress->captured + progress->ring_lost, d->pushed);
    CHECK(progress->trailing_ring_lost >= LAST_PUSH);
    if (d->round.host_loses) {
        /* What the host lost after the last packet, no packet can tell. */
        CHECK(progress->host_lost > 0 && progress->position <= d->played);
    } else {
        CHECK_EQUAL(progress->host_lost, 0);
        CHECK_EQUAL(progress->position, d->played);
    }
}

/* Returns the gaps that were met. */
static int64_t play(struct round round, uint64_t seed) {
    device d = {.round = round, .random = seed};
    d.capture =
        sa_capture_create(sa_clock_real(), 48000, CHANNELS, round.ring_frames, round.packet_slots);
    CHECK(d.capture);
    d.capture->counted_by_host = round.host_loses;
    listener l = {.random = ~seed};
    l.reader = sa_reader_create(d.capture, CHUNK_FRAMES, true, HOLD_NS);
    CHECK(l.reader);
    if (round.limit > 0) {
        l.reader->limit = round.limit;
    }

    pthread_t producer;
    CHECK(pthread_create(&producer, NULL, produce, &d) == 0);
    listen(&l);
    atomic_store(&d.unheard, true);
    CHECK(pthread_join(producer, NULL) == 0);
    check_chunks(&l);
    check_device(&l.reader->progress, &d);
    CHECK(l.captured > 0 && l.gaps > 10); /* else the round shows nothing */
    sa_reader_destroy(l.reader);
    sa_capture_destroy(d.capture);
    return l.gaps;
}

int main(int argc, char **argv) {
    uint64_t seed = seed_from(argc, argv);
    for (size_t i = 0; i < sizeof rounds / sizeof rounds[0]; i++) {
        printf("%s: %" PRId64 " gaps; ", rounds[i].what, play(rounds[i], seed + 2 * i));
    }
    printf("every lost frame is accounted for\n");
    return 0;
}
