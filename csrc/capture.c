#include "capture.h"

#include "platform.h"

sa_capture *sa_capture_create(const sa_clock *clock, double sample_rate, uint32_t channels,
                              uint64_t ring_frames, uint64_t packet_slots) {
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
    return capture;
}

void sa_capture_destroy(sa_capture *capture) {
    sa_ring_destroy(&capture->frames);
    sa_ring_destroy(&capture->packets);
    sa_unmap_for_audio(capture, sizeof *capture);
}

void sa_capture_finish(sa_capture *capture) {
    /* Pairs with the acquire in sa_reader_read: every record was published before. */
    atomic_store_explicit(&capture->finished, true, memory_order_release);
}

sa_capture_counts sa_capture_count(sa_capture *capture) {
    return (sa_capture_counts){
        .stored = atomic_load_explicit(&capture->stored, memory_order_relaxed),
        .lost = atomic_load_explicit(&capture->lost, memory_order_relaxed),
        .unrecorded_loss = atomic_load_explicit(&capture->unrecorded_loss, memory_order_relaxed),
        .callbacks = atomic_load_explicit(&capture->callbacks, memory_order_relaxed),
    };
}
