#include "capture.h"

#include "check.h"
#include "platform.h"

sa_capture *sa_capture_create(const sa_clock *clock, double sample_rate, uint32_t channels,
                              uint64_t ring_frames, uint64_t packet_slots) {
    SA_CHECK(sample_rate > 0 && channels > 0);
    sa_capture *capture = sa_map_for_audio(sizeof *capture);
    if (!capture) {
        return NULL;
    }
    if (!sa_ring_create(&capture->frames, ring_frames, channels * sizeof(float)) ||
        !sa_ring_create(&capture->packets, packet_slots, sizeof(sa_packet))) {
        sa_capture_destroy(capture);
        return NULL;
    }
    capture->clock = clock;
    capture->sample_rate = sample_rate;
    capture->channels = channels;
    capture->resume_frames = ring_frames > 8 ? ring_frames / 8 : 1;
    capture->resume_packets = packet_slots > 8 ? packet_slots / 8 : 1;
    atomic_init(&capture->ring_at, SA_NEVER);
    return capture;
}

void sa_capture_destroy(sa_capture *capture) {
    sa_doorbell_let_go(atomic_load_explicit(&capture->doorbell, memory_order_relaxed));
    sa_ring_destroy(&capture->frames);
    sa_ring_destroy(&capture->packets);
    sa_unmap_for_audio(capture, sizeof *capture);
}

void sa_capture_hang_bell(sa_capture *capture, const sa_sleeper *sleeper) {
    sa_doorbell *bell = sa_sleeper_doorbell(sleeper);
    if (bell && !atomic_load_explicit(&capture->doorbell, memory_order_relaxed)) {
        /* Release: whoever sees the bell sees what it is made of. */
        atomic_store_explicit(&capture->doorbell, sa_doorbell_hold(bell), memory_order_release);
        /* Pairs with the fence in sa_capture_finish. */
        atomic_thread_fence(memory_order_seq_cst);
    }
}

void sa_capture_abandon(sa_capture *capture) {
    sa_ring *frames = &capture->frames;
    sa_empty_for_audio(frames->memory, frames->capacity * frames->frame_bytes);
}

void sa_capture_ask_to_be_rung(sa_capture *capture, const sa_sleeper *sleeper, int64_t position) {
    if (!capture->may_ring) {
        return;
    }
    sa_capture_hang_bell(capture, sleeper);
    /* Release: whoever sees the position sees the bell. */
    atomic_store_explicit(&capture->ring_at, position, memory_order_release);
    /* Pairs with the fence in sa_capture_push: of two threads that first write and then look, at
     * least one sees what the other wrote. */
    atomic_thread_fence(memory_order_seq_cst);
}

void sa_capture_be_rung_no_more(sa_capture *capture) {
    /* Relaxed: a ring that is under way ends the next sleep too soon, and nothing else. */
    atomic_store_explicit(&capture->ring_at, SA_NEVER, memory_order_relaxed);
}

void sa_capture_finish(sa_capture *capture) {
    /* Pairs with the acquire in sa_reader_read: every record was published before. */
    atomic_store_explicit(&capture->finished, true, memory_order_release);
    /* Pairs with the fences in sa_capture_hang_bell and sa_capture_ask_to_be_rung: the reader sees
     * the end before it sleeps, or this wakes it. */
    atomic_thread_fence(memory_order_seq_cst);
    sa_doorbell *bell = atomic_load_explicit(&capture->doorbell, memory_order_acquire);
    if (bell) {
        sa_doorbell_ring(bell, SA_RUNG_TO_WAKE);
    }
}

sa_capture_counts sa_capture_count(sa_capture *capture) {
    return (sa_capture_counts){
        .stored = atomic_load_explicit(&capture->stored, memory_order_relaxed),
        .lost = atomic_load_explicit(&capture->lost, memory_order_relaxed),
        .unrecorded_loss = atomic_load_explicit(&capture->unrecorded_loss, memory_order_relaxed),
        .unrecorded_holes = atomic_load_explicit(&capture->unrecorded_holes, memory_order_relaxed),
        .callbacks = atomic_load_explicit(&capture->callbacks, memory_order_relaxed),
    };
}
