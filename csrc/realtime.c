#include "realtime.h"

#include "thread_role.h"

/* A figure with one writer needs no locked add. */
static inline void add_to(_Atomic int64_t *figure, int64_t amount) {
    atomic_store_explicit(figure, atomic_load_explicit(figure, memory_order_relaxed) + amount,
                          memory_order_relaxed);
}

static void lose(sa_capture *capture, int64_t frames) {
    capture->carried_loss += frames;
    add_to(&capture->lost, frames);
    atomic_store_explicit(&capture->unrecorded_loss,
                          capture->carried_loss - capture->carried_holes, memory_order_relaxed);
}

void sa_capture_leave_out(sa_capture *capture, int64_t count, uint32_t flags) {
    SA_CLAIM_ROLE(&capture->producer_thread, "producer");
    capture->carried_loss += count;
    capture->carried_holes += count;
    capture->carried_flags |= flags;
    atomic_store_explicit(&capture->unrecorded_holes, capture->carried_holes,
                          memory_order_relaxed);
}

/* Once something did not fit, it takes more room to go on: a reader that is too slow for long gets
 * long stretches with long gaps between them, and not a gap after each packet. */
static inline bool has_room(sa_capture *capture) {
    uint64_t frames = capture->overflowing ? capture->resume_frames : 1;
    uint64_t packets = capture->overflowing ? capture->resume_packets : 1;
    return sa_ring_space(&capture->frames, frames) >= frames &&
           sa_ring_space(&capture->packets, packets) >= packets;
}

/* Wakes the reader if it sleeps until what is there now; once, as the reader asks anew for each
 * sleep. */
static inline void ring_the_reader(sa_capture *capture) {
    /* Pairs with the fence in sa_capture_ask_to_be_rung: the record was published before this
     * looks whether anybody sleeps. */
    atomic_thread_fence(memory_order_seq_cst);
    int64_t wanted = atomic_load_explicit(&capture->ring_at, memory_order_relaxed);
    /* Acquire: the bell was hung before anyone asked. */
    if (capture->position >= wanted &&
        atomic_compare_exchange_strong_explicit(&capture->ring_at, &wanted, SA_NEVER,
                                                memory_order_acquire, memory_order_relaxed)) {
        sa_doorbell_ring(atomic_load_explicit(&capture->doorbell, memory_order_relaxed),
                         SA_RUNG_FOR_A_CHUNK);
    }
}

void sa_capture_push(sa_capture *capture, const float *frames, uint32_t count,
                     const sa_host_info *host) {
    SA_CLAIM_ROLE(&capture->producer_thread, "producer");
    int64_t entry_ns = sa_clock_now(capture->clock);
    add_to(&capture->callbacks, 1);

    uint64_t stored = 0;
    if (frames && count > 0) {
        if (has_room(capture)) {
            stored = sa_ring_space(&capture->frames, count);
            if (stored > count) {
                stored = count;
            }
        }
        capture->overflowing = stored < count;
    }
    if (stored == 0) {
        /* Nothing to publish; the next record tells of it. */
        capture->carried_flags |= host->flags & ~(uint32_t)SA_PACKET_IDLE;
        lose(capture, count);
        return;
    }
    int64_t stored_before = atomic_load_explicit(&capture->stored, memory_order_relaxed);
    sa_ring_copy_in(&capture->frames, frames, stored);
    add_to(&capture->stored, (int64_t)stored);

    sa_packet packet = {
        .position = capture->position + capture->carried_loss,
        .lost_before = capture->carried_loss,
        .stored_before = stored_before,
        .entry_ns = entry_ns,
        .host_adc_ns = host->host_adc_ns,
        .host_now_ns = host->host_now_ns,
        .frames = (uint32_t)stored,
        .flags = host->flags | capture->carried_flags,
    };
    if (capture->counted_by_host) {
        packet.host_frame = host->host_frame;
    } else {
        packet.left_out =
            capture->carried_holes < UINT32_MAX ? (uint32_t)capture->carried_holes : UINT32_MAX;
    }
    capture->carried_flags = 0;
    capture->position = packet.position + (int64_t)stored;
    if (capture->carried_loss != 0) {
        capture->carried_loss = 0;
        capture->carried_holes = 0;
        atomic_store_explicit(&capture->unrecorded_holes, 0, memory_order_relaxed);
        atomic_store_explicit(&capture->unrecorded_loss, 0, memory_order_relaxed);
    }
    if (stored < count) {
        lose(capture, count - (int64_t)stored);
    }
    packet.duration_ns = (uint32_t)(sa_clock_now(capture->clock) - entry_ns);
    sa_ring_copy_in(&capture->packets, &packet, 1);
    /* The one publication: the frames above become visible with their record. */
    sa_ring_publish(&capture->packets);
    if (capture->may_ring) {
        ring_the_reader(capture);
    }
}

/* A broken host may tell any time: centuries away, or none. */
static inline int64_t nanoseconds(PaTime seconds) {
    return seconds > -9e9 && seconds < 9e9 ? (int64_t)(seconds * 1e9) : 0;
}

int sa_portaudio_callback(const void *input, void *output, unsigned long frame_count,
                          const PaStreamCallbackTimeInfo *time, PaStreamCallbackFlags flags,
                          void *user_data) {
    (void)output;
    sa_capture *capture = user_data;
    sa_host_info host = {
        .host_adc_ns = nanoseconds(time->inputBufferAdcTime),
        .host_now_ns = nanoseconds(time->currentTime),
        .flags = flags & paInputOverflow ? SA_PACKET_OVERFLOW : 0,
    };
    sa_capture_push(capture, input, (uint32_t)frame_count, &host);
    return paContinue;
}

void sa_round_trip_exchange(sa_round_trip *trip, const float *input, float *output, uint32_t count,
                            unsigned long flags) {
    add_to(&trip->overflows, (flags & paInputOverflow) != 0);
    add_to(&trip->underflows, (flags & paOutputUnderflow) != 0);
    for (uint32_t frame = 0; frame < count; frame++) {
        for (uint32_t channel = 0; channel < trip->outputs; channel++) {
            *output++ = trip->signal[trip->next];
        }
        trip->next = trip->next + 1 == trip->signal_frames ? 0 : trip->next + 1;
    }
    int64_t done = atomic_load_explicit(&trip->frames, memory_order_relaxed);
    int64_t kept = trip->heard_frames - done < count ? trip->heard_frames - done : count;
    if (input) {
        memcpy(trip->heard + done * trip->inputs, input,
               (size_t)kept * trip->inputs * sizeof *input);
    }
    /* Pairs with the acquire in sa_round_trip_look. */
    atomic_store_explicit(&trip->frames, done + kept, memory_order_release);
}

int sa_round_trip_callback(const void *input, void *output, unsigned long frame_count,
                           const PaStreamCallbackTimeInfo *time, PaStreamCallbackFlags flags,
                           void *user_data) {
    (void)time;
    sa_round_trip_exchange(user_data, input, output, (uint32_t)frame_count, flags);
    return paContinue;
}

/* Whether each input has exactly the connection that we made, in this very cycle. */
static inline bool is_connected(const sa_jack_feed *feed) {
    if (atomic_load_explicit(&feed->astray, memory_order_relaxed)) {
        return false;
    }
    for (uint32_t i = 0; feed->library->is_jack2 && i < feed->input_count; i++) {
        if (feed->library->port_connected(feed->inputs[i]) != 1) {
            return false;
        }
    }
    return true;
}

static const float *gather(const sa_jack_feed *feed, uint32_t period, uint32_t first,
                           uint32_t count) {
    for (uint32_t channel = 0; channel < feed->input_count; channel++) {
        const float *in = feed->library->port_get_buffer(feed->inputs[channel], period);
        float *out = feed->interleaved + channel;
        for (uint32_t i = 0; i < count; i++, out += feed->input_count) {
            *out = in[first + i];
        }
    }
    return feed->interleaved;
}

static void scatter(const sa_jack_feed *feed, uint32_t period, uint32_t first, uint32_t count,
                    const float *interleaved) {
    for (uint32_t channel = 0; channel < feed->output_count; channel++) {
        float *out = feed->library->port_get_buffer(feed->outputs[channel], period);
        const float *in = interleaved + channel;
        for (uint32_t i = 0; i < count; i++, in += feed->output_count) {
            out[first + i] = *in;
        }
    }
}

static sa_host_info jack_times(sa_jack_feed *feed) {
    const sa_jack_library *library = feed->library;
    sa_jack_latency_range latency = {0};
    library->port_get_latency_range(feed->latency_port, SA_JACK_CAPTURE, &latency);
    /* Lost frames show in last_frame_time, the exact number of the cycle under way. frame_time is
     * interpolated, and after a late cycle off by up to two periods for a hundred cycles: a loss
     * would count twice. Both have 32 bits, which at 48 kHz last for a day. */
    feed->now += (uint32_t)(library->frame_time(feed->client) - (uint32_t)feed->now);
    return (sa_host_info){
        .host_frame = library->last_frame_time(feed->client),
        .host_now_ns = (int64_t)((double)feed->now * feed->frame_ns),
        .host_adc_ns = (int64_t)(((double)feed->now - latency.max) * feed->frame_ns),
    };
}

/* Whether what was just copied is of one cycle. The server waits for no client. If the next cycle
 * has begun, its sources write into the very ports that are being read here, so that a frame may
 * have channels of two periods. Measured on a machine under load: of 86 copies in which the count
 * moved 63 were torn, and of 11,000 others none. */
static inline bool is_of_one_cycle(const sa_jack_feed *feed, uint32_t cycle) {
    atomic_thread_fence(memory_order_acquire); /* the samples were read before the count is */
    return feed->library->last_frame_time(feed->client) == cycle;
}

/* Hands frames on, unless they are torn. A server that counts tells of those by the next packet.
 */
static void hand_on(const sa_jack_feed *feed, uint32_t cycle, const float *frames, uint32_t count,
                    const sa_host_info *host) {
    if (is_of_one_cycle(feed, cycle)) {
        sa_capture_push(feed->capture, frames, count, host);
    } else if (!feed->capture->counted_by_host) {
        sa_capture_leave_out(feed->capture, count, 0);
    }
}

int sa_jack_process(uint32_t period, void *argument) {
    sa_jack_feed *feed = argument;
    if (feed->watched && !is_connected(feed)) {
        return 0;
    }
    sa_host_info host = jack_times(feed);
    uint32_t cycle = host.host_frame;
    float *played = feed->interleaved + (size_t)feed->room * feed->input_count;
    for (uint32_t done = 0, count; done < period; done += count, host.host_frame += count) {
        count = period - done < feed->room ? period - done : feed->room;
        const float *heard = gather(feed, period, done, count);
        if (feed->capture) {
            hand_on(feed, cycle, heard, count, &host);
        } else {
            sa_round_trip_exchange(feed->trip, heard, played, count, 0);
            scatter(feed, period, done, count, played);
        }
    }
    return 0;
}
