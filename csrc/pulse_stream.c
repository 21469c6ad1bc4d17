#include "pulse_stream.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "idle.h"
#include "realtime.h"

/* So long after its last answer a server is taken to be alive. */
static const int64_t ALIVE_NS = 4000 * 1000 * 1000LL;

struct sa_pulse_stream {
    sa_pulse_listener listener; /* the first member */
    sa_pulse *pulse;
    sa_capture *capture;
    pa_stream *stream;
    size_t frame_bytes;
    uint32_t fragment; /* frames */
    char source[SA_PULSE_TEXT_BYTES];

    /* The loop's thread, or with its lock. */
    bool stopped;
    bool resumed;        /* and no packet has come since */
    int64_t last_ns;     /* when the last packet came; 0: none has */
    int64_t answered_ns; /* when the server told of its time last */
    bool is_monitor;
    sa_idle idle; /* of a monitor */
    int64_t program;
    pa_operation *asked; /* to begin */

    /* Guarded by the connection's mutex. */
    pa_stream_state_t state;
    int error;
    sa_pulse_status status;
};

/* ---- the loop's thread ---- */

/* Tells the end, once; nothing more is pushed. `reason` says why. */
static void end(sa_pulse_stream *stream, bool moved, const char *reason) {
    sa_pulse *pulse = stream->pulse;
    if (stream->stopped) {
        return;
    }
    stream->stopped = true;
    pthread_mutex_lock(&pulse->mutex);
    stream->status.state = SA_PULSE_ENDED;
    stream->status.moved = moved;
    snprintf(stream->status.reason, sizeof stream->status.reason, "%s", reason ? reason : "");
    pthread_mutex_unlock(&pulse->mutex);
    sa_capture_finish(stream->capture);
}

static void on_state(pa_stream *pa, void *user_data) {
    sa_pulse_stream *stream = user_data;
    sa_pulse *pulse = stream->pulse;
    const sa_libpulse *library = &pulse->library;
    pa_stream_state_t state = library->stream_get_state(pa);
    int code = library->context_errno(pulse->context);
    pthread_mutex_lock(&pulse->mutex);
    bool was_ready = stream->state == PA_STREAM_READY;
    stream->state = state;
    stream->error = code;
    sa_pulse_tell(pulse);
    pthread_mutex_unlock(&pulse->mutex);
    if (was_ready && state >= PA_STREAM_FAILED) {
        end(stream, false, library->strerror(code));
    }
}

/* The server was told not to. What comes now is another source's. */
static void on_moved(pa_stream *pa, void *user_data) {
    sa_pulse_stream *stream = user_data;
    const char *now = stream->pulse->library.stream_get_device_name(pa);
    if (!now || strcmp(now, stream->source) != 0) {
        end(stream, true, now);
    }
}

static void on_suspended(pa_stream *pa, void *user_data) {
    sa_pulse_stream *stream = user_data;
    sa_pulse *pulse = stream->pulse;
    bool suspended = pulse->library.stream_is_suspended(pa) > 0;
    stream->resumed |= !suspended;
    pthread_mutex_lock(&pulse->mutex);
    if (stream->status.state != SA_PULSE_ENDED) {
        stream->status.state = suspended ? SA_PULSE_SUSPENDED : SA_PULSE_RUNNING;
    }
    pthread_mutex_unlock(&pulse->mutex);
}

/* libpulse asks the server for its time every 1.5 s at the latest. */
static void on_time(pa_stream *pa, void *user_data) {
    (void)pa;
    sa_pulse_stream *stream = user_data;
    stream->answered_ns = sa_clock_now(stream->capture->clock);
}

static void look(sa_pulse_listener *listener, int64_t now_ns) {
    sa_pulse_stream *stream = (sa_pulse_stream *)listener;
    if (stream->is_monitor && !stream->stopped) {
        bool asleep = stream->pulse->library.stream_is_suspended(stream->stream) > 0;
        sa_idle_look(&stream->idle, now_ns, asleep, now_ns - stream->answered_ns < ALIVE_NS);
    }
}

/* PipeWire goes on with silence where PulseAudio kills the stream. */
static void on_program_ended(sa_pulse_listener *listener, uint32_t index) {
    sa_pulse_stream *stream = (sa_pulse_stream *)listener;
    if (stream->program == (int64_t)index) {
        end(stream, false, "the program's stream has ended");
    }
}

/* How old the first frame is that waits to be read; 0: nobody knows. */
static int64_t age_ns(sa_pulse_stream *stream, pa_stream *pa) {
    pa_usec_t latency = 0;
    int negative = 0;
    if (stream->is_monitor ||
        stream->pulse->library.stream_get_latency(pa, &latency, &negative) < 0 || negative ||
        latency > 60 * 1000000) {
        return 0;
    }
    return (int64_t)latency * 1000;
}

/* While the source slept nothing was captured: what is missing is the time since the last packet
 * less what this one brings. */
static void make_up_for_sleep(sa_pulse_stream *stream, int64_t now_ns, uint32_t frames) {
    bool resumed = stream->resumed;
    stream->resumed = false;
    if (stream->is_monitor) {
        sa_idle_end(&stream->idle, now_ns, frames, resumed);
        return;
    }
    if (!resumed) {
        return;
    }
    double rate = stream->capture->sample_rate;
    int64_t missed = llround((double)(now_ns - stream->last_ns) * 1e-9 * rate) - frames;
    if (stream->last_ns > 0 && missed > 0) {
        sa_capture_leave_out(stream->capture, missed, SA_PACKET_SUSPENDED);
    }
}

static void on_data(pa_stream *pa, size_t bytes, void *user_data) {
    (void)bytes; /* since the last call; what waits may be more */
    sa_pulse_stream *stream = user_data;
    const sa_libpulse *library = &stream->pulse->library;
    sa_capture *capture = stream->capture;
    int64_t age = 0;
    while (!stream->stopped) {
        size_t waiting = library->stream_readable_size(pa);
        const void *data = NULL;
        size_t length = 0;
        if (waiting == 0 || waiting == (size_t)-1) {
            break;
        }
        age = age_ns(stream, pa);
        if (library->stream_peek(pa, &data, &length) < 0 || length == 0) {
            break;
        }
        if (length % stream->frame_bytes != 0) {
            end(stream, false, "the server sent a part of a frame");
            break;
        }
        int64_t now_ns = sa_clock_now(capture->clock);
        uint32_t frames = (uint32_t)(length / stream->frame_bytes);
        make_up_for_sleep(stream, now_ns, frames);
        if (data) {
            sa_host_info host = {
                .host_now_ns = now_ns,
                .host_adc_ns = age > 0 ? now_ns - age : 0,
            };
            sa_capture_push(capture, data, frames, &host);
        } else {
            sa_capture_leave_out(capture, frames, 0);
        }
        stream->last_ns = now_ns;
        library->stream_drop(pa);
    }
    pthread_mutex_lock(&stream->pulse->mutex);
    stream->status.latency_ns = age;
    pthread_mutex_unlock(&stream->pulse->mutex);
}

/* ---- its users ---- */

static bool is_settled(void *argument) {
    const sa_pulse_stream *stream = argument;
    return stream->state >= PA_STREAM_READY;
}

static bool begin(sa_pulse_stream *stream, const sa_pulse_settings *settings) {
    const sa_libpulse *library = &stream->pulse->library;
    union {
        uint16_t number;
        uint8_t first;
    } order = {.number = 1};
    pa_sample_spec spec = {
        .format = order.first ? PA_SAMPLE_FLOAT32LE : PA_SAMPLE_FLOAT32BE,
        .rate = settings->sample_rate,
        .channels = (uint8_t)settings->channels,
    };
    pa_channel_map map;
    if (!library->channel_map_parse(&map, settings->channel_map) ||
        map.channels != settings->channels) {
        return false;
    }
    stream->stream = library->stream_new(stream->pulse->context, settings->source, &spec, &map);
    if (!stream->stream) {
        return false;
    }
    library->stream_set_state_callback(stream->stream, on_state, stream);
    library->stream_set_read_callback(stream->stream, on_data, stream);
    library->stream_set_moved_callback(stream->stream, on_moved, stream);
    library->stream_set_suspended_callback(stream->stream, on_suspended, stream);
    library->stream_set_latency_update_callback(stream->stream, on_time, stream);
    if (settings->program >= 0 &&
        library->stream_set_monitor_stream(stream->stream, (uint32_t)settings->program) < 0) {
        return false;
    }
    pa_buffer_attr attributes = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX,
                                 settings->fragment * (uint32_t)stream->frame_bytes};
    pa_stream_flags_t flags = PA_STREAM_START_CORKED | PA_STREAM_DONT_MOVE |
                              PA_STREAM_NO_REMIX_CHANNELS | PA_STREAM_NO_REMAP_CHANNELS |
                              PA_STREAM_ADJUST_LATENCY | PA_STREAM_INTERPOLATE_TIMING |
                              PA_STREAM_AUTO_TIMING_UPDATE;
    return library->stream_connect_record(stream->stream, settings->source, &attributes, flags) ==
           0;
}

/* Whether the server records what was asked for; with the loop locked. PipeWire records the
 * default where an unknown source is asked for, unless the stream may not be moved. */
static bool is_right(sa_pulse_stream *stream) {
    const sa_libpulse *library = &stream->pulse->library;
    const char *recorded = library->stream_get_device_name(stream->stream);
    return recorded && strcmp(recorded, stream->source) == 0;
}

static bool settle(sa_pulse_stream *stream, double source_latency, int64_t timeout_ns,
                   sa_pulse_error *error) {
    sa_pulse *pulse = stream->pulse;
    const sa_libpulse *library = &pulse->library;
    int64_t deadline_ns = sa_clock_now(sa_clock_real()) + timeout_ns;
    pthread_mutex_lock(&pulse->mutex);
    bool told = sa_pulse_wait(pulse, is_settled, stream, deadline_ns);
    bool ready = stream->state == PA_STREAM_READY;
    int code = stream->error;
    pthread_mutex_unlock(&pulse->mutex);
    if (!told) {
        error->status = SA_PULSE_NO_ANSWER;
        return false;
    }
    if (!ready) {
        int32_t status = code == PA_ERR_NOENTITY ? SA_PULSE_NO_SOURCE : SA_PULSE_FAILED;
        return sa_pulse_failed(pulse, status, code, error);
    }
    library->threaded_mainloop_lock(pulse->loop);
    bool right = is_right(stream);
    const pa_buffer_attr *attributes = library->stream_get_buffer_attr(stream->stream);
    stream->fragment = attributes ? attributes->fragsize / (uint32_t)stream->frame_bytes : 0;
    double latency = stream->fragment / stream->capture->sample_rate + source_latency;
    stream->capture->host_latency_ns = (int64_t)(latency * 1e9);
    library->threaded_mainloop_unlock(pulse->loop);
    return right || sa_pulse_failed(pulse, SA_PULSE_NO_SOURCE, PA_ERR_NOENTITY, error);
}

sa_pulse_stream *sa_pulse_stream_open(sa_pulse *pulse, sa_capture *capture,
                                      sa_pulse_settings settings, int64_t timeout_ns,
                                      sa_pulse_error *error) {
    memset(error, 0, sizeof *error);
    sa_pulse_stream *stream = calloc(1, sizeof *stream);
    if (!stream) {
        error->status = SA_PULSE_NO_MEMORY;
        return NULL;
    }
    stream->pulse = pulse;
    stream->capture = capture;
    stream->frame_bytes = settings.channels * sizeof(float);
    stream->is_monitor = settings.is_monitor;
    stream->program = settings.program;
    stream->listener = (sa_pulse_listener){.look = look, .program_ended = on_program_ended};
    if (stream->is_monitor && !sa_idle_init(&stream->idle, capture, settings.fragment)) {
        free(stream);
        error->status = SA_PULSE_NO_MEMORY;
        return NULL;
    }
    snprintf(stream->source, sizeof stream->source, "%s", settings.source);
    pulse->library.threaded_mainloop_lock(pulse->loop);
    bool listens = !stream->is_monitor || sa_pulse_listen(pulse, &stream->listener);
    bool begun = listens && begin(stream, &settings);
    int code = pulse->library.context_errno(pulse->context);
    pulse->library.threaded_mainloop_unlock(pulse->loop);
    if (!begun) {
        sa_pulse_failed(pulse, SA_PULSE_FAILED, code, error);
    } else if (settle(stream, settings.source_latency, timeout_ns, error)) {
        return stream;
    }
    sa_pulse_stream_close(stream);
    return NULL;
}

bool sa_pulse_stream_start(sa_pulse_stream *stream, sa_pulse_error *error) {
    sa_pulse *pulse = stream->pulse;
    const sa_libpulse *library = &pulse->library;
    memset(error, 0, sizeof *error);
    library->threaded_mainloop_lock(pulse->loop);
    if (stream->is_monitor) {
        stream->answered_ns = sa_clock_now(stream->capture->clock);
        sa_idle_begin(&stream->idle, stream->answered_ns);
    }
    stream->asked = library->stream_cork(stream->stream, 0, NULL, NULL);
    int code = library->context_errno(pulse->context);
    library->threaded_mainloop_unlock(pulse->loop);
    return stream->asked || sa_pulse_failed(pulse, SA_PULSE_FAILED, code, error);
}

void sa_pulse_stream_stop(sa_pulse_stream *stream) {
    sa_pulse *pulse = stream->pulse;
    const sa_libpulse *library = &pulse->library;
    library->threaded_mainloop_lock(pulse->loop);
    stream->stopped = true;
    library->threaded_mainloop_unlock(pulse->loop);
}

void sa_pulse_stream_close(sa_pulse_stream *stream) {
    sa_pulse *pulse = stream->pulse;
    const sa_libpulse *library = &pulse->library;
    library->threaded_mainloop_lock(pulse->loop);
    stream->stopped = true;
    sa_pulse_listen_no_more(pulse, &stream->listener);
    sa_pulse_forget(pulse, stream->asked);
    if (stream->stream) {
        library->stream_set_state_callback(stream->stream, NULL, NULL);
        library->stream_set_read_callback(stream->stream, NULL, NULL);
        library->stream_set_moved_callback(stream->stream, NULL, NULL);
        library->stream_set_suspended_callback(stream->stream, NULL, NULL);
        library->stream_set_latency_update_callback(stream->stream, NULL, NULL);
        library->stream_disconnect(stream->stream);
        library->stream_unref(stream->stream);
    }
    library->threaded_mainloop_unlock(pulse->loop);
    sa_idle_free(&stream->idle);
    free(stream);
}

void sa_pulse_stream_look(sa_pulse_stream *stream, sa_pulse_status *status) {
    pthread_mutex_lock(&stream->pulse->mutex);
    *status = stream->status;
    pthread_mutex_unlock(&stream->pulse->mutex);
}

uint32_t sa_pulse_stream_fragment(const sa_pulse_stream *stream) {
    return stream->fragment;
}
