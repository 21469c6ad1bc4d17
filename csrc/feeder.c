#include "feeder.h"

#include <stdlib.h>

#include "realtime.h"

/* One that finds the ring full looks again after this long. */
static const int64_t ROOM_LOOK_NS = 200 * 1000;

struct sa_feeder {
    sa_capture *capture;
    sa_sleeper *sleeper;
    uint32_t period;
    bool freewheel;
    _Atomic bool stop;

    /* The feeding thread's own. */
    bool started;
    int64_t started_ns;
    int64_t frame; /* the next one */
};

sa_feeder *sa_feeder_create(sa_clock *clock, sa_capture *capture, uint32_t period,
                            bool freewheel) {
    sa_feeder *feeder = calloc(1, sizeof *feeder);
    if (!feeder) {
        return NULL;
    }
    feeder->sleeper = sa_sleeper_create(clock);
    if (!feeder->sleeper) {
        free(feeder);
        return NULL;
    }
    feeder->capture = capture;
    feeder->period = period;
    feeder->freewheel = freewheel;
    return feeder;
}

/* Sleeps until then; false if it is to stop. */
/* Relaxed: it says nothing of other memory, and the wake that follows it ends a sleep. */
static bool stopped(sa_feeder *feeder) {
    return atomic_load_explicit(&feeder->stop, memory_order_relaxed);
}

static bool sleep_until(sa_feeder *feeder, int64_t when_ns) {
    const sa_clock *clock = sa_sleeper_clock(feeder->sleeper);
    while (!stopped(feeder) && sa_clock_now(clock) < when_ns) {
        sa_sleeper_sleep(feeder->sleeper, when_ns);
    }
    return !stopped(feeder);
}

static bool wait_for_room(sa_feeder *feeder, uint32_t count) {
    sa_capture *capture = feeder->capture;
    const sa_clock *clock = sa_sleeper_clock(feeder->sleeper);
    while (sa_ring_space(&capture->packets, 1) == 0 ||
           sa_ring_space(&capture->frames, count) < count) {
        if (!sleep_until(feeder, sa_clock_now(clock) + ROOM_LOOK_NS)) {
            return false;
        }
    }
    return !stopped(feeder);
}

/* When the packet that ends before the frame `end` would have been captured. */
static int64_t due_ns(const sa_feeder *feeder, int64_t end) {
    return feeder->started_ns + (int64_t)((double)end / feeder->capture->sample_rate * 1e9);
}

bool sa_feeder_push(sa_feeder *feeder, const float *frames, int64_t count) {
    sa_capture *capture = feeder->capture;
    if (!feeder->started) {
        feeder->started = true;
        feeder->started_ns = sa_clock_now(capture->clock);
    }
    while (count > 0) {
        uint32_t packet = count < feeder->period ? (uint32_t)count : feeder->period;
        int64_t end = feeder->frame + packet;
        if (!feeder->freewheel && !sleep_until(feeder, due_ns(feeder, end))) {
            return false;
        }
        if (!wait_for_room(feeder, packet)) {
            return false;
        }
        /* The frame count says that nothing was lost, however late a packet is. */
        sa_host_info host = {.host_frame = (uint32_t)feeder->frame};
        sa_capture_push(capture, frames, packet, &host);
        feeder->frame = end;
        frames += (size_t)packet * capture->channels;
        count -= packet;
    }
    return true;
}

void sa_feeder_end(sa_feeder *feeder) {
    sa_capture_finish(feeder->capture);
    sa_sleeper_retire(feeder->sleeper);
}

void sa_feeder_stop(sa_feeder *feeder) {
    atomic_store_explicit(&feeder->stop, true, memory_order_relaxed);
    sa_sleeper_wake(feeder->sleeper);
}

void sa_feeder_destroy(sa_feeder *feeder) {
    sa_sleeper_destroy(feeder->sleeper);
    free(feeder);
}
