/* Everything that may run on an audio thread. Nothing else.
 *
 * Bounded and wait-free: no lock, no allocation, no log, no Python; the clock is read through the
 * vDSO. There is one system call, which never blocks: the wake of a reader that sleeps by its
 * doorbell, once a chunk at most, after the record is published. It is made only while somebody
 * sleeps so, and never if the capture may not ring (StreamConfig(doorbell=False)). It may call
 * memcpy, memset, clock_gettime and sa_word_wake; a test reads the object's undefined symbols and
 * fails on any other name. JACK's callback calls libjack through pointers: what JACK made for this
 * very place (jack_port_get_buffer, jack_last_frame_time, jack_frame_time,
 * jack_port_get_latency_range), and with jack2 alone jack_port_connected, which there reads shared
 * memory and on an audio thread never waits (common/JackAPI.cpp, 1.9.21).
 */
#ifndef SA_REALTIME_H
#define SA_REALTIME_H

#include "capture.h"
#include "jack_feed.h"
#include "portaudio_abi.h"
#include "round_trip.h"

/* What a host tells of a callback beside the frames. */
typedef struct {
    int64_t host_adc_ns;
    int64_t host_now_ns;
    uint32_t host_frame;
    uint32_t flags; /* SA_PACKET_… */
} sa_host_info;

/* Stores what fits of `count` interleaved frames, counts the rest, publishes one record.
 * `frames` may be NULL (the host had no buffer): all `count` frames are then lost. */
void sa_capture_push(sa_capture *capture, const float *frames, uint32_t count,
                     const sa_host_info *host);

/* Counts frames that the host says it has not got, with why (SA_PACKET_…, or 0). The next record
 * tells of them, so what finds losses by lateness (lateness.h) sees none there. */
void sa_capture_leave_out(sa_capture *capture, int64_t count, uint32_t flags);

/* PortAudio's callback; `user_data` is the sa_capture. */
int sa_portaudio_callback(const void *input, void *output, unsigned long frame_count,
                          const PaStreamCallbackTimeInfo *time, PaStreamCallbackFlags flags,
                          void *user_data);

/* JACK's process callback; `argument` is the sa_jack_feed. */
int sa_jack_process(uint32_t count, void *argument);

/* Keeps what was heard, as far as there is room, and plays on. `input` may be NULL (the host had
 * no buffer): silence was heard. `flags` are PortAudio's. */
void sa_round_trip_exchange(sa_round_trip *trip, const float *input, float *output, uint32_t count,
                            unsigned long flags);

/* PortAudio's callback of a round trip; `user_data` is the sa_round_trip. */
int sa_round_trip_callback(const void *input, void *output, unsigned long frame_count,
                           const PaStreamCallbackTimeInfo *time, PaStreamCallbackFlags flags,
                           void *user_data);

#endif
