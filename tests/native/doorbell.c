/* Promise (doorbell.h, capture.h): a reader that asks to be rung, looks, and then sleeps, is woken
 * by the push that brings what it waits for, whatever the two threads do at that moment; by no
 * push before it; and no ring is made while nobody asks. A wake that got lost would show as a
 * sleep that lasts for all of GIVE_UP_NS. */
#include <pthread.h>

#include "capture.h"
#include "check.h"
#include "realtime.h"
#include "wait.h"

enum { CHUNKS = 20000, PERIOD = 8, CHANNELS = 1, RATE = 48000, LONGEST_SPIN = 400 };

static const int64_t GIVE_UP_NS = INT64_C(5) * 1000000000;

typedef struct {
    sa_capture *capture;
    _Atomic int64_t asked; /* packets that the reader has asked for so far */
    uint64_t random;
} house;

static void spin(uint64_t *random) {
    for (volatile uint32_t i = below(random, LONGEST_SPIN); i > 0; i--) {
    }
}

static void push(sa_capture *capture) {
    static const float silence[PERIOD * CHANNELS];
    sa_host_info host = {.host_frame = (uint32_t)capture->position};
    sa_capture_push(capture, silence, PERIOD, &host);
}

static void *audio_thread(void *argument) {
    house *h = argument;
    uint32_t idle = 0;
    for (int64_t pushed = 0; pushed < CHUNKS;) {
        /* About when the reader asks, on either side of it. */
        if (atomic_load_explicit(&h->asked, memory_order_relaxed) > pushed) {
            spin(&h->random);
            push(h->capture);
            pushed++;
            idle = 0;
        } else {
            stand_by(&idle);
        }
    }
    return NULL;
}

static void take_all(sa_capture *capture) {
    uint64_t packets = sa_ring_available(&capture->packets, UINT64_MAX);
    sa_ring_skip(&capture->frames, packets * PERIOD);
    sa_ring_release(&capture->frames);
    sa_ring_skip(&capture->packets, packets);
    sa_ring_release(&capture->packets);
}

static sa_capture *a_capture(void) {
    sa_capture *capture = sa_capture_create(sa_clock_real(), RATE, CHANNELS, 64 * PERIOD, 128);
    CHECK(capture);
    capture->may_ring = true;
    capture->counted_by_host = true; /* else a late packet waits for others to tell of a loss */
    return capture;
}

static void nothing_is_lost_between_asking_and_sleeping(uint64_t seed) {
    sa_sleeper *sleeper = sa_sleeper_create(sa_clock_real());
    sa_doorbell *bell = sa_sleeper_doorbell(sleeper);
    house h = {.capture = a_capture(), .random = seed};
    uint64_t random = seed ^ 0x5555;
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, audio_thread, &h) == 0);
    for (int64_t chunk = 1; chunk <= CHUNKS; chunk++) {
        atomic_store_explicit(&h.asked, chunk, memory_order_relaxed);
        spin(&random);
        sa_capture_ask_to_be_rung(h.capture, sleeper, chunk * PERIOD);
        if (sa_ring_available(&h.capture->packets, 1) == 0) {
            int64_t until = sa_clock_now(sa_clock_real()) + GIVE_UP_NS;
            CHECK(sa_doorbell_sleep(bell, SA_RUNG_FOR_A_CHUNK, until) == SA_RUNG_FOR_A_CHUNK);
            /* A ring for the chunk before may have been on its way still; then it is to be looked
             * for once more. */
            while (sa_ring_available(&h.capture->packets, 1) == 0) {
                CHECK(sa_doorbell_sleep(bell, SA_RUNG_FOR_A_CHUNK, until) == SA_RUNG_FOR_A_CHUNK);
            }
        }
        sa_capture_be_rung_no_more(h.capture);
        take_all(h.capture);
    }
    CHECK(pthread_join(thread, NULL) == 0);
    sa_capture_destroy(h.capture);
    sa_sleeper_destroy(sleeper);
}

static void only_the_push_that_completes_a_chunk_rings(void) {
    sa_sleeper *sleeper = sa_sleeper_create(sa_clock_real());
    _Atomic uint32_t *word = &sa_sleeper_doorbell(sleeper)->word;
    sa_capture *capture = a_capture();
    push(capture);
    CHECK_EQUAL(atomic_load(word), 0); /* nobody has asked */
    sa_capture_ask_to_be_rung(capture, sleeper, 4 * PERIOD);
    for (int packet = 2; packet <= 6; packet++) {
        push(capture);
        CHECK_EQUAL(atomic_load(word), packet < 4 ? 0 : SA_RUNG_FOR_A_CHUNK);
        CHECK_EQUAL(atomic_load(&capture->ring_at), packet < 4 ? 4 * PERIOD : SA_NEVER);
    }
    atomic_store(word, 0);
    push(capture);
    CHECK_EQUAL(atomic_load(word), 0); /* once for each time that it was asked to */
    sa_capture_ask_to_be_rung(capture, sleeper, 8 * PERIOD);
    sa_capture_be_rung_no_more(capture);
    push(capture);
    CHECK_EQUAL(atomic_load(word), 0);
    capture->may_ring = false;
    sa_capture_ask_to_be_rung(capture, sleeper, 9 * PERIOD);
    push(capture);
    CHECK_EQUAL(atomic_load(word), 0);
    sa_sleeper_destroy(sleeper); /* the capture still holds the bell */
    capture->may_ring = true;
    sa_sleeper *other = sa_sleeper_create(sa_clock_real());
    sa_capture_ask_to_be_rung(capture, other, 0);
    push(capture);
    sa_capture_destroy(capture);
    sa_sleeper_destroy(other);
}

static void a_wake_is_kept_until_it_is_answered(void) {
    sa_sleeper *sleeper = sa_sleeper_create(sa_clock_real());
    sa_doorbell *bell = sa_sleeper_doorbell(sleeper);
    sa_doorbell_ring(bell, SA_RUNG_FOR_A_CHUNK);
    CHECK(!sa_sleeper_sleep(sleeper, 0)); /* which is not what that sleep is for */
    sa_sleeper_wake(sleeper);
    CHECK(sa_sleeper_sleep(sleeper, SA_NEVER));
    CHECK(!sa_sleeper_sleep(sleeper, 0));
    uint32_t both = SA_RUNG_FOR_A_CHUNK | SA_RUNG_TO_WAKE;
    CHECK_EQUAL(sa_doorbell_sleep(bell, both, SA_NEVER), SA_RUNG_FOR_A_CHUNK);
    sa_sleeper_destroy(sleeper);
}

/* The wait itself: what comes later than it watches for is rung for, and read. */
typedef struct {
    sa_reader *reader;
    sa_sleeper *sleeper;
    _Atomic int64_t rows;
} listener;

static void *listen_for_chunks(void *argument) {
    listener *l = argument;
    while (!l->reader->progress.finished) {
        sa_wait_and_read(&l->reader, 1, l->sleeper, SA_NEVER, NULL, 0);
        atomic_store(&l->rows, l->reader->progress.rows);
    }
    return NULL;
}

static void a_late_packet_is_rung_for(bool may_ring) {
    enum { PACKETS = 40 };
    sa_capture *capture = a_capture();
    capture->may_ring = may_ring;
    listener l = {.reader = sa_reader_create(capture, PERIOD, false, 0),
                  .sleeper = sa_sleeper_create(sa_clock_real())};
    float frames[PACKETS * PERIOD];
    int64_t rows[PACKETS * SA_CHUNK_COLUMNS];
    float peaks[PACKETS];
    double squares[PACKETS];
    sa_block block = {frames, rows, peaks, squares, PACKETS * PERIOD, PACKETS, NULL, 0};
    sa_reader_lend(l.reader, &block);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, listen_for_chunks, &l) == 0);
    int64_t give_up = sa_clock_now(sa_clock_real()) + 2 * GIVE_UP_NS;
    for (int64_t packet = 1; packet < PACKETS; packet++) {
        /* Periods are a sixth of a millisecond long: the next is late when this is seen. */
        while (may_ring && packet > 2 && atomic_load(&capture->ring_at) == SA_NEVER) {
            CHECK(sa_clock_now(sa_clock_real()) < give_up);
            sleep_ns(20 * 1000);
        }
        push(capture);
        while (atomic_load(&l.rows) < packet) {
            CHECK(sa_clock_now(sa_clock_real()) < give_up);
            CHECK(may_ring || atomic_load(&capture->ring_at) == SA_NEVER);
            sleep_ns(20 * 1000);
        }
    }
    sa_capture_finish(capture);
    sa_sleeper_wake(l.sleeper);
    CHECK(pthread_join(thread, NULL) == 0);
    sa_reader_destroy(l.reader);
    sa_capture_destroy(capture);
    sa_sleeper_destroy(l.sleeper);
}

/* The end of a capture whose reader sleeps for a chunk that is far away: nobody else wakes it. */
static void the_end_wakes_whoever_sleeps_for_longer(bool may_ring) {
    enum { ENDS = 20 };
    for (int end = 0; end < ENDS; end++) {
        sa_capture *capture = a_capture();
        capture->may_ring = may_ring;
        listener l = {.reader = sa_reader_create(capture, PERIOD, false, 0),
                      .sleeper = sa_sleeper_create(sa_clock_real())};
        float frames[16 * PERIOD];
        int64_t rows[16 * SA_CHUNK_COLUMNS];
        float peaks[16];
        double squares[16];
        sa_block block = {frames, rows, peaks, squares, 16 * PERIOD, 16, NULL, 0};
        sa_reader_lend(l.reader, &block);
        l.reader->chunks_at_once = 1000 * RATE / PERIOD;
        push(capture); /* from which it is known when the last of the chunks is due */
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, listen_for_chunks, &l) == 0);
        int64_t give_up = sa_clock_now(sa_clock_real()) + GIVE_UP_NS;
        while (atomic_load(&l.rows) < 1 && sa_clock_now(sa_clock_real()) < give_up) {
            sleep_ns(end * 10 * 1000);
        }
        sa_capture_finish(capture);
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(sa_clock_now(sa_clock_real()) < give_up);
        sa_reader_destroy(l.reader);
        sa_capture_destroy(capture);
        sa_sleeper_destroy(l.sleeper);
    }
}

int main(int argc, char **argv) {
    only_the_push_that_completes_a_chunk_rings();
    a_wake_is_kept_until_it_is_answered();
    a_late_packet_is_rung_for(true);
    a_late_packet_is_rung_for(false);
    the_end_wakes_whoever_sleeps_for_longer(true);
    the_end_wakes_whoever_sleeps_for_longer(false);
    nothing_is_lost_between_asking_and_sleeping(seed_from(argc, argv));
    printf("doorbell: %d sleeps ended by the push that they waited for\n", CHUNKS);
    return 0;
}
