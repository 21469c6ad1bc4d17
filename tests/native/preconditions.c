/* Promise (check.h): in a check build a call that breaks what a function trusts its caller with
 * ends the program, and names what was not so. Each case is played in a child of its own. */
#ifndef SA_CHECKS
#error "build with -DSA_CHECKS"
#endif

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "channels.h"
#include "check.h"
#include "doorbell.h"
#include "histogram.h"
#include "levels.h"
#include "reader.h"
#include "samples.h"

enum { CAPACITY = 8, CHUNK = 4 };

static sa_ring a_ring(void) {
    sa_ring ring;
    CHECK(sa_ring_create(&ring, CAPACITY, sizeof(float)));
    return ring;
}

static sa_reader *a_reader(void) {
    sa_capture *capture = sa_capture_create(sa_clock_real(), 48000, 1, 100, 10);
    CHECK(capture);
    sa_reader *reader = sa_reader_create(capture, CHUNK, true, 0);
    CHECK(reader);
    return reader;
}

static void copies_more_in_than_there_is_room_for(void) {
    sa_ring ring = a_ring();
    float frames[CAPACITY + 1] = {0};
    sa_ring_copy_in(&ring, frames, CAPACITY + 1);
}

static void peeks_at_what_has_not_come(void) {
    sa_ring ring = a_ring();
    sa_ring_peek(&ring, 0);
}

static void peeks_back_before_the_first(void) {
    sa_ring ring = a_ring();
    sa_ring_peek_back(&ring, 1);
}

static void skips_more_than_it_holds(void) {
    sa_ring ring = a_ring();
    sa_ring_skip(&ring, CAPACITY + 1);
}

static void copies_out_more_than_it_holds(void) {
    sa_ring ring = a_ring();
    float frames[CAPACITY + 1];
    sa_ring_copy_out(&ring, frames, CAPACITY + 1);
}

static void reads_without_a_block(void) {
    sa_reader_read(a_reader());
}

static void lends_a_block_too_small_for_a_chunk(void) {
    float frames[CHUNK];
    int64_t row[SA_CHUNK_COLUMNS];
    float peak;
    double squares;
    sa_block block = {frames, row, &peak, &squares, CHUNK - 1, 1, NULL, 0};
    sa_reader_lend(a_reader(), &block);
}

static void joins_rows_that_are_not_there(void) {
    sa_reader_join(a_reader(), 0, CHUNK);
}

static void judges_a_packet_that_has_not_come(void) {
    sa_verdict verdict;
    sa_gaps_judge(&a_reader()->gaps, false, &verdict);
}

static void asks_for_a_pace_before_any_packet(void) {
    sa_pace pace = {0};
    sa_pace_due(&pace, CHUNK, 1e9 / 48000);
}

static void asks_for_a_bucket_that_is_not_there(void) {
    sa_histogram_edge(SA_HISTOGRAM_BUCKETS);
}

static void picks_a_channel_that_is_not_there(void) {
    const float in[2] = {0};
    const uint32_t channel = 2;
    float out;
    sa_channels_pick(in, 1, 2, &channel, 1, &out);
}

static void looks_for_levels_of_too_many_channels(void) {
    const float sample = 0;
    float peak = 0;
    double squares = 0;
    sa_levels_add(&sample, 0, SA_MAX_CHANNELS + 1, &peak, &squares);
}

static void holds_a_bell_that_is_gone(void) {
    sa_doorbell bell = {0};
    sa_doorbell_hold(&bell);
}

static void makes_integers_of_bits_that_none_has(void) {
    const float sample = 0;
    int32_t made;
    sa_to_int32(&sample, 1, 20, &made);
}

static const struct {
    const char *said;
    void (*play)(void);
} cases[] = {
    {"count <= ring->capacity", copies_more_in_than_there_is_room_for},
    {"ahead < ring->seen_write", peeks_at_what_has_not_come},
    {"behind <= ring->read", peeks_back_before_the_first},
    {"count <= ring->capacity", skips_more_than_it_holds},
    {"count <= ring->capacity", copies_out_more_than_it_holds},
    {"reader->block.frames != NULL", reads_without_a_block},
    {"block->capacity_frames >= reader->chunk_frames", lends_a_block_too_small_for_a_chunk},
    {"first < reader->progress.rows", joins_rows_that_are_not_there},
    {"sa_ring_available", judges_a_packet_that_has_not_come},
    {"pace->packets > 0", asks_for_a_pace_before_any_packet},
    {"bucket < SA_HISTOGRAM_BUCKETS", asks_for_a_bucket_that_is_not_there},
    {"channels[o] < in_channels", picks_a_channel_that_is_not_there},
    {"channels <= SA_MAX_CHANNELS", looks_for_levels_of_too_many_channels},
    {"bell->holders", holds_a_bell_that_is_gone},
    {"bits == 24 || bits == 32", makes_integers_of_bits_that_none_has},
};

enum { CASES = sizeof cases / sizeof cases[0] };

static void expect_abort(void (*play)(void), const char *expected) {
    char said[4096];
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        dup2(ends[1], STDERR_FILENO);
        play();
        _exit(0);
    }
    close(ends[1]);
    size_t length = 0;
    ssize_t got;
    while ((got = read(ends[0], said + length, sizeof said - 1 - length)) > 0) {
        length += (size_t)got;
    }
    said[length] = '\0';
    close(ends[0]);
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
    CHECK_EQUAL(WTERMSIG(status), SIGABRT);
    CHECK(strstr(said, "not so: ") && strstr(said, expected));
}

int main(void) {
    for (int i = 0; i < CASES; i++) {
        expect_abort(cases[i].play, cases[i].said);
    }
    printf("%d broken promises end the program and are named\n", CASES);
    return 0;
}
