#include "feed.h"

#include "realtime.h"
#include "thread_role.h"

int64_t sa_feed_room(sa_capture *capture) {
    SA_CLAIM_ROLE(&capture->producer_thread, "producer");
    /* After an overflow a push waits for more room than a frame. */
    uint64_t least = capture->overflowing ? capture->resume_frames : 1;
    uint64_t packets = capture->overflowing ? capture->resume_packets : 1;
    uint64_t room = sa_ring_space(&capture->frames, UINT64_MAX);
    bool fits = room >= least && sa_ring_space(&capture->packets, packets) >= packets;
    SA_GIVE_UP_ROLE(&capture->producer_thread);
    return fits ? (int64_t)room : 0;
}

int64_t sa_feed_push(sa_capture *capture, int64_t left_out, const float *frames, uint32_t count,
                     int64_t time_ns) {
    if (left_out > 0) {
        sa_capture_leave_out(capture, left_out, 0);
    }
    sa_host_info host = {0};
    if (time_ns != SA_STAMP_ON_ARRIVAL) {
        host.host_adc_ns = time_ns != 0 ? time_ns : 1; /* 0: unknown */
        host.host_now_ns = sa_clock_now(capture->clock);
    }
    int64_t before = atomic_load_explicit(&capture->stored, memory_order_relaxed);
    sa_capture_push(capture, frames, count, &host);
    int64_t stored = atomic_load_explicit(&capture->stored, memory_order_relaxed) - before;
    SA_GIVE_UP_ROLE(&capture->producer_thread);
    return stored;
}
