#include "idle.h"

#include <math.h>
#include <stdlib.h>

#include "realtime.h"

/* How many looks in time without a packet mean that none will come: at the beginning, where no
 * sound can be torn apart, and later. */
enum { FIRST_LOOKS = 2, LATER_LOOKS = 30 };

/* A packet may be this late, beside its length. */
static const int64_t LATE_NS = 20 * 1000 * 1000;

/* What is more than this to be filled at once passed while this process or the machine stood
 * still: nobody knows whether the device was silent. */
static const int64_t LONGEST_NS = 10 * 1000 * 1000 * 1000LL;

static int64_t frames_in(const sa_idle *idle, int64_t span_ns) {
    return llround((double)span_ns * 1e-9 * idle->capture->sample_rate);
}

static int64_t span_of(const sa_idle *idle, int64_t frames) {
    return llround((double)frames * 1e9 / idle->capture->sample_rate);
}

bool sa_idle_init(sa_idle *idle, sa_capture *capture, uint32_t period) {
    *idle = (sa_idle){.capture = capture};
    idle->behind_ns = span_of(idle, period) + LATE_NS;
    idle->silence_frames = (uint32_t)frames_in(idle, 2 * SA_IDLE_LOOK_NS);
    idle->silence = calloc((size_t)idle->silence_frames * capture->channels, sizeof(float));
    return idle->silence;
}

void sa_idle_free(sa_idle *idle) {
    free(idle->silence);
    idle->silence = NULL;
}

void sa_idle_begin(sa_idle *idle, int64_t now_ns) {
    idle->base_ns = now_ns;
    idle->looked_ns = now_ns;
}

/* Fills what has passed up to `until_ns`. */
static void fill(sa_idle *idle, int64_t now_ns, int64_t until_ns) {
    int64_t missing = frames_in(idle, until_ns - idle->base_ns) - idle->filled;
    int64_t most = frames_in(idle, LONGEST_NS);
    if (missing > most) {
        sa_capture_leave_out(idle->capture, missing - most, SA_PACKET_SUSPENDED);
        idle->filled += missing - most;
        missing = most;
    }
    while (missing > 0) {
        uint32_t count = missing < idle->silence_frames ? (uint32_t)missing : idle->silence_frames;
        sa_host_info host = {
            .host_now_ns = now_ns,
            .host_adc_ns = idle->base_ns + span_of(idle, idle->filled),
            .flags = SA_PACKET_IDLE,
        };
        sa_capture_push(idle->capture, idle->silence, count, &host);
        idle->filled += count;
        missing -= count;
    }
}

void sa_idle_look(sa_idle *idle, int64_t now_ns, bool asleep, bool alive) {
    if (idle->base_ns == 0) {
        return; /* it has not begun */
    }
    bool in_time = now_ns - idle->looked_ns < 3 * SA_IDLE_LOOK_NS;
    idle->looked_ns = now_ns;
    idle->looks = in_time ? idle->looks + 1 : 0;
    int enough = idle->heard ? LATER_LOOKS : FIRST_LOOKS;
    bool quiet = alive && idle->looks > 0 && (idle->filling || idle->looks >= enough);
    if (asleep || quiet) {
        idle->filling = true;
        fill(idle, now_ns, now_ns - idle->behind_ns);
    }
}

void sa_idle_end(sa_idle *idle, int64_t now_ns, uint32_t frames, bool woken) {
    if (idle->filling || (woken && idle->heard)) {
        fill(idle, now_ns, now_ns - span_of(idle, frames));
    }
    idle->base_ns = now_ns;
    idle->filled = 0;
    idle->looks = 0;
    idle->heard = true;
    idle->filling = false;
}
