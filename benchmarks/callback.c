/* What the callback costs: sa_capture_push of 256 stereo frames, beside a bare copy of the same
 * bytes into memory of the same size.
 *
 *   callback hot COUNT FIRST     back to back, a thousand to a measurement: what the code takes
 *   callback paced COUNT FIRST   one each 5.33 ms, as a device calls, one measurement each: what
 *                                a period takes that finds caches as others left them
 *   callback push COUNT          pushes alone, between two getppid calls, for strace, callgrind
 *   callback rung COUNT          the same, for a reader that sleeps by its bell: chunks of four
 *
 * Prints a line for each measurement: its name, a tab, ns for one. FIRST says who begins. The
 * measurement itself takes a clock reading's time, which an empty one shows.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "realtime.h"

enum { RATE = 48000, CHANNELS = 2, PERIOD = 256, BATCH = 1000, RING = 30 * RATE, CHUNK = 4 };

static const int64_t PERIOD_NS = (int64_t)1000000000 * PERIOD / RATE;

static sa_capture *capture;
static float period[PERIOD * CHANNELS];
static unsigned char *memory;
static size_t at;

/* Not a constant, or the compiler would put a slower copy in line than the library's. */
static volatile size_t period_bytes = sizeof period;

static void push(void) {
    sa_host_info host = {0};
    sa_capture_push(capture, period, PERIOD, &host);
}

static void copy(void) {
    memcpy(memory + at, period, period_bytes);
    at = at + sizeof period == sizeof(float) * CHANNELS * RING ? 0 : at + sizeof period;
}

static void nothing(void) {
}

/* What a reader would do, so that the rings never fill. */
static void drain(void) {
    uint64_t packets;
    while ((packets = sa_ring_available(&capture->packets, UINT64_MAX)) > 0) {
        const sa_packet *packet = sa_ring_peek(&capture->packets, 0);
        sa_ring_skip(&capture->frames, packet->frames);
        sa_ring_release(&capture->frames);
        sa_ring_skip(&capture->packets, 1);
        sa_ring_release(&capture->packets);
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} contenders[] = {{"push", push}, {"memcpy", copy}, {"nothing", nothing}};

enum { CONTENDERS = sizeof contenders / sizeof contenders[0] };

static int64_t now_ns(void) {
    return sa_clock_now(sa_clock_real());
}

static void hot(uint64_t count, size_t which) {
    for (uint64_t i = 0; i < count; i++) {
        int64_t start = now_ns();
        for (int n = 0; n < BATCH; n++) {
            contenders[which].run();
        }
        int64_t took = now_ns() - start;
        drain();
        printf("%s\t%.2f\n", contenders[which].name, (double)took / BATCH);
    }
}

static void sleep_until(int64_t when_ns) {
    struct timespec when = {.tv_sec = when_ns / 1000000000, .tv_nsec = when_ns % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) != 0) {
    }
}

/* All take turns, period by period, so that what else the machine does meets all alike. */
static void paced(uint64_t count, size_t first) {
    int64_t due = now_ns();
    for (uint64_t i = 0; i < count * CONTENDERS; i++) {
        size_t which = (first + i) % CONTENDERS;
        due += PERIOD_NS;
        sleep_until(due);
        int64_t start = now_ns();
        contenders[which].run();
        int64_t took = now_ns() - start;
        drain();
        printf("%s\t%" PRId64 "\n", contenders[which].name, took);
    }
}

/* As if the reader slept: nobody has to be woken for the call to be made. */
static void be_rung(sa_sleeper *sleeper) {
    sa_capture_ask_to_be_rung(capture, sleeper, capture->position + CHUNK * PERIOD);
    atomic_fetch_or(&sa_sleeper_doorbell(sleeper)->word, SA_SLEEPS_BY_THE_BELL);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: callback hot|paced|push|rung COUNT [FIRST]\n");
        return 2;
    }
    uint64_t count = strtoull(argv[2], NULL, 10);
    size_t first = argc > 3 ? strtoull(argv[3], NULL, 10) % CONTENDERS : 0;
    capture = sa_capture_create(sa_clock_real(), RATE, CHANNELS, RING, 2 * RING / PERIOD);
    memory = sa_map_for_audio(sizeof(float) * CHANNELS * RING);
    if (!capture || !memory) {
        return 1;
    }
    capture->may_ring = true;
    sa_sleeper *sleeper = sa_sleeper_create(sa_clock_real());
    push(); /* the linker finds names at their first use */
    drain();
    if (strcmp(argv[1], "push") == 0) {
        getppid();
        for (uint64_t i = 0; i < count; i++) {
            push();
            if (i % BATCH == 0) {
                drain();
            }
        }
        getppid();
    } else if (strcmp(argv[1], "rung") == 0) {
        sa_word_wake(&sa_sleeper_doorbell(sleeper)->word);
        getppid();
        for (uint64_t i = 0; i < count; i++) {
            be_rung(sleeper);
            for (int pushes = 0; pushes < CHUNK; pushes++) {
                push();
            }
            drain();
        }
        getppid();
    } else if (strcmp(argv[1], "paced") == 0) {
        paced(count, first);
    } else {
        for (size_t i = 0; i < CONTENDERS; i++) {
            hot(count, (first + i) % CONTENDERS);
        }
    }
    sa_capture_destroy(capture);
    sa_sleeper_destroy(sleeper);
    return 0;
}
