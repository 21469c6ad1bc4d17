/* Promise (gaps.h, lateness.h, standstill.h): whatever a host does and whatever the clocks say,
 * every frame that came is read once and in order or is passed over as overwritten, the losses are
 * what is between the chunks, times go forward, and no packet waits longer than it may. */
#include "check.h"
#include "reader.h"
#include "realtime.h"

enum { RUNS = 50, PACKETS = 3000, LONGEST = 1024, CHUNK_FRAMES = 480, RATE = 48000 };
enum { BLOCK_FRAMES = 64 * CHUNK_FRAMES, BLOCK_ROWS = 256 };

static const int64_t HOLD_NS = 200 * 1000 * 1000;
static const int64_t LONGEST_HOLD_NS = INT64_C(2000) * 1000 * 1000;
static const int64_t DAY_NS = INT64_C(86400) * 1000000000;

typedef struct {
    sa_clock *clock;
    sa_capture *capture;
    sa_reader *reader;
    float frames[BLOCK_FRAMES];
    float peaks[BLOCK_ROWS];
    double squares[BLOCK_ROWS];
    int64_t rows[BLOCK_ROWS * SA_CHUNK_COLUMNS];
    int64_t seen; /* rows of the block that have been looked at */

    uint64_t random;
    uint32_t oddity; /* one packet in so many is odd */
    uint32_t period;
    uint32_t count; /* the host's */
    int64_t pushed; /* frames, each of which tells its number */

    int64_t end; /* of the last chunk */
    int64_t time_ns;
    int64_t lost, captured, overwritten;
    int64_t number; /* that the last frame told */
} host;

static void lend(host *h) {
    memset(h->peaks, 0, sizeof h->peaks);
    memset(h->squares, 0, sizeof h->squares);
    sa_reader_lend(h->reader, &(sa_block){h->frames, h->rows, h->peaks, h->squares, BLOCK_FRAMES,
                                          BLOCK_ROWS, NULL, 0});
    h->seen = 0;
}

/* Numbers wrap where a float ends to be exact. */
static float told(int64_t number) {
    return (float)(number & 0xffffff) * 0x1p-24f;
}

static void check_row(host *h, const int64_t *row) {
    int64_t before = 0;
    for (int column = SA_CHUNK_RING_LOST; column <= SA_CHUNK_SUSPENDED; column++) {
        CHECK(row[column] >= 0);
        before += row[column];
    }
    CHECK_EQUAL(row[SA_CHUNK_FRAME], h->end + before);
    CHECK(row[SA_CHUNK_FRAMES] > 0);
    CHECK(row[SA_CHUNK_TIME_NS] > h->time_ns || h->captured == 0);
    h->end = row[SA_CHUNK_FRAME] + row[SA_CHUNK_FRAMES];
    h->time_ns = row[SA_CHUNK_TIME_NS];
    h->lost += before;
    h->captured += row[SA_CHUNK_FRAMES];
    for (int64_t i = 0; i < row[SA_CHUNK_FRAMES]; i++) {
        int64_t passed = 0; /* over, as overwritten */
        do {
            h->number++;
            CHECK(passed++ <= 2 * LONGEST);
        } while (h->frames[row[SA_CHUNK_OFFSET] + i] != told(h->number));
    }
}

static void read_all(host *h) {
    const sa_progress *progress = &h->reader->progress;
    for (;;) {
        sa_reader_read(h->reader);
        for (; h->seen < progress->rows; h->seen++) {
            check_row(h, h->rows + h->seen * SA_CHUNK_COLUMNS);
        }
        if (progress->waiting == 0) {
            return;
        }
        lend(h);
    }
}

static void check_waiting(host *h, bool looked) {
    sa_ring *packets = &h->capture->packets;
    if (looked || sa_ring_available(packets, 1) == 0) {
        return;
    }
    const sa_packet *first = sa_ring_peek(packets, 0);
    CHECK(sa_clock_now(h->clock) - first->entry_ns <= LONGEST_HOLD_NS);
}

/* A packet that holds what comes `ahead` frames later. */
static void push(host *h, uint32_t frames, int64_t ahead) {
    float block[LONGEST];
    for (uint32_t i = 0; i < frames; i++) {
        block[i] = told(h->pushed + ahead + i);
    }
    h->pushed += frames;
    sa_host_info info = {.host_frame = h->count};
    sa_capture_push(h->capture, block, frames, &info);
}

/* A callback that is late and holds the next period, which comes again at once. */
static void push_overwritten(host *h) {
    h->count += h->period;
    push(h, h->period, h->period);
    push(h, h->period, 0);
    h->count += h->period;
    h->overwritten += h->period;
}

static int64_t odd_pause(host *h) {
    switch (below(&h->random, 4)) {
    case 0:
        return 0;
    case 1:
        return below(&h->random, 1000) * INT64_C(1000000);
    case 2:
        return below(&h->random, 100) * INT64_C(1000000000);
    default:
        return below(&h->random, 100) * DAY_NS;
    }
}

static bool step(host *h) {
    bool odd = below(&h->random, h->oddity) == 0;
    int64_t period_ns = (int64_t)h->period * 1000000000 / RATE;
    int64_t pause_ns = odd ? odd_pause(h) : period_ns;
    sa_virtual_clock_run_until(h->clock, sa_clock_now(h->clock) + pause_ns, 1000000000);
    uint32_t frames = h->period;
    if (odd && below(&h->random, 2) == 0) {
        frames = 1 + below(&h->random, LONGEST);
    }
    if (odd && below(&h->random, 2) == 0) {
        h->count += below(&h->random, 3) == 0 ? (uint32_t)xorshift(&h->random)
                                              : h->period * below(&h->random, 20);
    }
    if (h->reader->gaps.live && h->capture->counted_by_host && h->period >= 64 &&
        below(&h->random, 100) == 0) {
        push_overwritten(h);
    }
    push(h, frames, 0);
    if (!odd || below(&h->random, 2) == 0) {
        h->count += frames;
    }
    bool looks = below(&h->random, 50) == 0;
    if (looks) {
        int64_t now = sa_clock_now(h->clock);
        int64_t due = below(&h->random, 2) == 0 ? SA_NEVER : now - odd_pause(h) % now;
        if (below(&h->random, 10) == 0) {
            sa_virtual_clock_suspend(h->clock, odd_pause(h));
        }
        sa_gaps_look(&h->reader->gaps, now, sa_clock_suspended(h->clock), due);
    }
    return looks;
}

static int64_t run(host *h, bool counted, bool freewheel) {
    h->clock = sa_virtual_clock_create(1000 * DAY_NS, SA_NEVER);
    h->capture = sa_capture_create(h->clock, RATE, 1, 30 * RATE, 100000);
    h->capture->counted_by_host = counted;
    h->reader = sa_reader_create(h->capture, CHUNK_FRAMES, freewheel, HOLD_NS);
    h->number = -1;
    h->count = (uint32_t)xorshift(&h->random);
    lend(h);
    bool looked = false;
    for (int i = 0; i < PACKETS; i++) {
        looked |= step(h);
        if (below(&h->random, 4) != 0) {
            read_all(h);
            check_waiting(h, looked);
        }
    }
    sa_capture_finish(h->capture);
    read_all(h);
    const sa_progress *progress = &h->reader->progress;
    CHECK(progress->finished);
    CHECK_EQUAL(progress->captured, h->captured);
    CHECK_EQUAL(progress->captured + progress->overwritten, h->pushed);
    CHECK_EQUAL(progress->overwritten, h->overwritten);
    int64_t lost = progress->ring_lost + progress->host_lost + progress->suspended;
    CHECK_EQUAL(progress->captured + lost, progress->position);
    CHECK(lost >= h->lost);
    CHECK(!freewheel || counted || lost == 0);
    sa_reader_destroy(h->reader);
    sa_capture_destroy(h->capture);
    sa_virtual_clock_destroy(h->clock);
    return lost;
}

int main(int argc, char **argv) {
    uint64_t random = seed_from(argc, argv);
    static const uint32_t oddities[] = {2, 10, 100, 3000};
    static const uint32_t periods[] = {1, 64, 256, 1000};
    int64_t lost = 0;
    static host h;
    for (int i = 0; i < RUNS; i++) {
        h = (host){.random = random, .oddity = oddities[i / 4 % 4], .period = periods[i / 16 % 4]};
        lost += run(&h, i % 2 == 0, i / 2 % 2 == 0) > 0;
        random = h.random;
    }
    CHECK(lost > RUNS / 4 && lost < RUNS);
    printf("%d runs of %d packets, something was lost in %" PRId64 "\n", RUNS, PACKETS, lost);
    return 0;
}
