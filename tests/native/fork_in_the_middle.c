/* Promise (ring.c): a fork does not reach the audio thread. A child does not get the rings' pages
 * (else they would be copy-on-write, and the faults would hit the audio thread), and a parent that
 * forks while a producer pushes loses nothing. */
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "check.h"
#include "reader.h"
#include "realtime.h"
#include "wait.h"

enum {
    FORKS = 20,
    PERIOD = 48,
    LONGEST_RUN = 20000 * PERIOD, /* frames; only a machine that stands still comes near it */
    RING_FRAMES = 480000,         /* ten seconds: only a loss by the fork itself can show */
    CHUNK_FRAMES = 480,
    ROWS = LONGEST_RUN / CHUNK_FRAMES + 1,
};

typedef struct {
    sa_capture *capture;
    _Atomic bool stop;
    int64_t pushed;
} device;

static float sample_at(int64_t position) {
    return (float)position * 0x1p-24f;
}

static void *produce(void *argument) {
    device *d = argument;
    const sa_host_info host = {.host_frame = 0};
    while (!atomic_load(&d->stop) && d->pushed + PERIOD <= LONGEST_RUN) {
        float block[PERIOD];
        for (int i = 0; i < PERIOD; i++) {
            block[i] = sample_at(d->pushed + i);
        }
        sa_capture_push(d->capture, block, PERIOD, &host);
        d->pushed += PERIOD;
        sleep_ns(200000);
    }
    sa_capture_finish(d->capture);
    return NULL;
}

static size_t pages_of(const sa_ring *ring) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (ring->capacity * ring->frame_bytes + page - 1) / page;
}

/* How many of the ring's pages this process has. mincore tells it without touching them. */
static size_t pages_here(const sa_ring *ring) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t here = 0;
    for (size_t offset = 0; offset < ring->capacity * ring->frame_bytes; offset += page) {
        unsigned char resident;
        if (mincore(ring->memory + offset, page, &resident) == 0) {
            here++;
        } else if (errno != ENOMEM) {
            return SIZE_MAX;
        }
    }
    return here;
}

static void fork_once(const sa_capture *capture) {
    /* The capture itself is kept out of the child too: what is asked for there is copied. */
    const sa_ring frames = {.memory = capture->frames.memory,
                            .capacity = capture->frames.capacity,
                            .frame_bytes = capture->frames.frame_bytes};
    const sa_ring packets = {.memory = capture->packets.memory,
                             .capacity = capture->packets.capacity,
                             .frame_bytes = capture->packets.frame_bytes};
    CHECK_EQUAL(pages_here(&frames), pages_of(&frames));
    CHECK_EQUAL(pages_here(&packets), pages_of(&packets));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK_EQUAL(pages_here(&frames), 0);
        CHECK_EQUAL(pages_here(&packets), 0);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK_EQUAL(WEXITSTATUS(status), 0);
}

static void check_frames(const sa_reader *reader) {
    int64_t end = 0;
    for (int64_t i = 0; i < reader->progress.rows; i++) {
        const int64_t *row = reader->block.rows + i * SA_CHUNK_COLUMNS;
        CHECK_EQUAL(row[SA_CHUNK_FRAME], end);
        for (int64_t frame = 0; frame < row[SA_CHUNK_FRAMES]; frame++) {
            CHECK(reader->block.frames[end + frame] == sample_at(end + frame));
        }
        end += row[SA_CHUNK_FRAMES];
    }
    CHECK_EQUAL(end, reader->progress.captured);
}

int main(void) {
    device d = {.capture = sa_capture_create(sa_clock_real(), 48000, 1, RING_FRAMES, 20000)};
    CHECK(d.capture);
    sa_reader *reader = sa_reader_create(d.capture, CHUNK_FRAMES, true, 0);
    sa_sleeper *sleeper = sa_sleeper_create(sa_clock_real());
    CHECK(reader && sleeper);
    /* One block for the whole run, so that all of it is still there to be checked at the end. */
    sa_block block = {
        .frames = calloc(LONGEST_RUN + CHUNK_FRAMES, sizeof(float)),
        .rows = calloc(ROWS * SA_CHUNK_COLUMNS, sizeof(int64_t)),
        .peaks = calloc(ROWS, sizeof(float)),
        .squares = calloc(ROWS, sizeof(double)),
        .capacity_frames = LONGEST_RUN + CHUNK_FRAMES,
        .capacity_rows = ROWS,
    };
    CHECK(block.frames && block.rows && block.peaks && block.squares);
    sa_reader_lend(reader, &block);

    pthread_t producer;
    CHECK(pthread_create(&producer, NULL, produce, &d) == 0);
    for (int i = 0; i < FORKS; i++) {
        /* Between two forks the reader takes at least one chunk more. */
        sa_wait_and_read(&reader, 1, sleeper, SA_NEVER, NULL, 0);
        fork_once(d.capture);
    }
    atomic_store(&d.stop, true);
    CHECK(pthread_join(producer, NULL) == 0);
    sa_reader_read(reader);

    CHECK(reader->progress.finished);
    CHECK_EQUAL(reader->progress.ring_lost, 0);
    CHECK_EQUAL(reader->progress.captured, d.pushed);
    check_frames(reader);
    printf("%d forks, no child got a page of the rings, all %" PRId64 " frames are there\n", FORKS,
           d.pushed);
    free(block.frames);
    free(block.rows);
    free(block.peaks);
    free(block.squares);
    sa_sleeper_destroy(sleeper);
    sa_reader_destroy(reader);
    sa_capture_destroy(d.capture);
    return 0;
}
