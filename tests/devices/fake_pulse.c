/* A libpulse whose server does as FAKE_PULSE says, for what no real one can be made to do. It has
 * one source, "mic", of two channels, which brings 100 packets of 480 frames of their own count
 * times 2^-20, and is killed.
 *   hole        a hole of 1000 frames after the 50th packet
 *   hole-last   a hole of 1000 frames after the last packet
 *   moved       moved to "other" after the 50th packet, whatever the stream's flags
 *   other       records "other" from the beginning
 *   part        a packet that ends within a frame after the 50th
 *   frozen      is connected to, and never answers
 *   deaf        answers, but no stream becomes ready
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pulse_abi.h"

enum { CHANNELS = 2, FRAMES = 480, PACKETS = 100, HOLE = 1000 };

/* What the handles of libpulse point to; nobody looks into it. */
static long thing;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_t thread;
static _Atomic bool running;
static bool connecting, opening, uncorked;

static pa_context_notify_cb_t on_context;
static pa_server_info_cb_t on_server;
static pa_source_info_cb_t on_sources;
static pa_sink_info_cb_t on_sinks;
static pa_sink_input_info_cb_t on_sink_inputs;
static pa_stream_notify_cb_t on_stream, on_moved;
static pa_stream_request_cb_t on_read;
static void *connection, *recording; /* what callbacks are given */
static pa_context_state_t context_state;
static pa_stream_state_t stream_state;
static const char *recorded;

static float packet[FRAMES * CHANNELS];
static const void *waiting_data;
static size_t waiting;

static bool is(const char *what) {
    const char *mode = getenv("FAKE_PULSE");
    return mode && strcmp(mode, what) == 0;
}

/* ---- the server ---- */

static void hand_over(const void *data, size_t bytes) {
    waiting_data = data;
    waiting = bytes;
    on_read(NULL, bytes, recording);
}

static void bring(int number) {
    for (int i = 0; i < FRAMES * CHANNELS; i++) {
        packet[i] = (float)(number * FRAMES + i / CHANNELS) * 0x1p-20f;
    }
    hand_over(packet, sizeof packet);
    if ((is("hole") && number == 49) || (is("hole-last") && number == PACKETS - 1)) {
        hand_over(NULL, HOLE * CHANNELS * sizeof(float));
    } else if (is("part") && number == 49) {
        hand_over(packet, sizeof packet - sizeof(float));
    } else if (is("moved") && number == 49) {
        recorded = "other";
        on_moved(NULL, recording);
    }
}

static void list(void) {
    pa_server_info server = {.server_name = "fake", .default_source_name = "mic"};
    pa_source_info source = {.name = "mic",
                             .description = "Microphone",
                             .sample_spec = {.rate = 48000, .channels = CHANNELS},
                             .monitor_of_sink = PA_INVALID_INDEX};
    on_server(NULL, &server, connection);
    on_sources(NULL, &source, 0, connection);
    on_sources(NULL, NULL, 1, connection);
    on_sinks(NULL, NULL, 1, connection);
    on_sink_inputs(NULL, NULL, 1, connection);
    on_sources = NULL;
    on_sinks = NULL;
    on_sink_inputs = NULL;
}

static void set_stream(pa_stream_state_t state) {
    stream_state = state;
    on_stream(NULL, recording);
}

static void *run(void *argument) {
    for (int sent = 0; running; usleep(1000)) {
        pthread_mutex_lock(&lock);
        if (connecting) {
            connecting = false;
            context_state = PA_CONTEXT_READY;
            on_context(NULL, connection);
        } else if (on_sources && on_sinks && on_sink_inputs && !is("frozen")) {
            list();
        } else if (opening && !is("deaf")) {
            opening = false;
            set_stream(PA_STREAM_READY);
        } else if (uncorked && sent < PACKETS) {
            bring(sent++);
        } else if (uncorked && on_stream) {
            uncorked = false;
            set_stream(PA_STREAM_FAILED);
        }
        pthread_mutex_unlock(&lock);
    }
    return argument;
}

/* ---- libpulse ---- */

pa_threaded_mainloop *pa_threaded_mainloop_new(void) {
    connecting = opening = uncorked = false;
    on_sources = NULL;
    context_state = 0;
    stream_state = 0;
    return (void *)&thing;
}
void pa_threaded_mainloop_free(pa_threaded_mainloop *loop) {
}
int pa_threaded_mainloop_start(pa_threaded_mainloop *loop) {
    running = true;
    return pthread_create(&thread, NULL, run, NULL);
}
void pa_threaded_mainloop_stop(pa_threaded_mainloop *loop) {
    running = false;
    pthread_join(thread, NULL);
}
void pa_threaded_mainloop_lock(pa_threaded_mainloop *loop) {
    pthread_mutex_lock(&lock);
}
void pa_threaded_mainloop_unlock(pa_threaded_mainloop *loop) {
    pthread_mutex_unlock(&lock);
}
pa_mainloop_api *pa_threaded_mainloop_get_api(pa_threaded_mainloop *loop) {
    return (void *)&thing;
}
const char *pa_strerror(int error) {
    return error == PA_ERR_KILLED ? "Entity killed" : "fake error";
}
char *pa_channel_map_snprint(char *text, size_t bytes, const pa_channel_map *map) {
    snprintf(text, bytes, "front-left,front-right");
    return text;
}
pa_channel_map *pa_channel_map_parse(pa_channel_map *map, const char *text) {
    map->channels = CHANNELS;
    return map;
}
const char *pa_proplist_gets(const pa_proplist *properties, const char *key) {
    return NULL;
}
pa_context *pa_context_new(pa_mainloop_api *loop, const char *name) {
    return (void *)&thing;
}
void pa_context_unref(pa_context *context) {
}
void pa_context_set_state_callback(pa_context *context, pa_context_notify_cb_t callback,
                                   void *user_data) {
    on_context = callback;
    connection = user_data;
}
int pa_context_connect(pa_context *context, const char *server, pa_context_flags_t flags,
                       const pa_spawn_api *spawn) {
    connecting = true;
    return flags & PA_CONTEXT_NOAUTOSPAWN ? 0 : -1;
}
void pa_context_disconnect(pa_context *context) {
}
pa_context_state_t pa_context_get_state(const pa_context *context) {
    return context_state;
}
int pa_context_errno(const pa_context *context) {
    return PA_ERR_KILLED;
}
void pa_operation_cancel(pa_operation *operation) {
}
void pa_operation_unref(pa_operation *operation) {
}
pa_operation *pa_context_get_server_info(pa_context *context, pa_server_info_cb_t callback,
                                         void *user_data) {
    on_server = callback;
    return (void *)&thing;
}
pa_operation *pa_context_get_source_info_list(pa_context *context, pa_source_info_cb_t callback,
                                              void *user_data) {
    on_sources = callback;
    return (void *)&thing;
}
pa_operation *pa_context_get_sink_info_list(pa_context *context, pa_sink_info_cb_t callback,
                                            void *user_data) {
    on_sinks = callback;
    return (void *)&thing;
}
pa_operation *pa_context_get_sink_input_info_list(pa_context *context,
                                                  pa_sink_input_info_cb_t callback,
                                                  void *user_data) {
    on_sink_inputs = callback;
    return (void *)&thing;
}
pa_usec_t pa_rtclock_now(void) {
    return 0;
}
pa_time_event *pa_context_rttime_new(const pa_context *context, pa_usec_t due,
                                     pa_time_event_cb_t callback, void *user_data) {
    return NULL;
}
void pa_context_rttime_restart(const pa_context *context, pa_time_event *event, pa_usec_t due) {
}
void pa_context_set_subscribe_callback(pa_context *context, pa_context_subscribe_cb_t callback,
                                       void *user_data) {
}
pa_operation *pa_context_subscribe(pa_context *context, pa_subscription_mask_t mask,
                                   pa_context_success_cb_t callback, void *user_data) {
    return (void *)&thing;
}
pa_stream *pa_stream_new(pa_context *context, const char *name, const pa_sample_spec *spec,
                         const pa_channel_map *map) {
    return spec->channels == CHANNELS ? (void *)&thing : NULL;
}
void pa_stream_unref(pa_stream *stream) {
}
void pa_stream_set_state_callback(pa_stream *stream, pa_stream_notify_cb_t callback,
                                  void *user_data) {
    on_stream = callback;
    recording = user_data;
}
void pa_stream_set_read_callback(pa_stream *stream, pa_stream_request_cb_t callback,
                                 void *user_data) {
    on_read = callback;
}
void pa_stream_set_moved_callback(pa_stream *stream, pa_stream_notify_cb_t callback,
                                  void *user_data) {
    on_moved = callback;
}
void pa_stream_set_suspended_callback(pa_stream *stream, pa_stream_notify_cb_t callback,
                                      void *user_data) {
}
void pa_stream_set_latency_update_callback(pa_stream *stream, pa_stream_notify_cb_t callback,
                                           void *user_data) {
}
int pa_stream_set_monitor_stream(pa_stream *stream, uint32_t sink_input) {
    return 0;
}
int pa_stream_connect_record(pa_stream *stream, const char *source, const pa_buffer_attr *attr,
                             pa_stream_flags_t flags) {
    recorded = is("other") ? "other" : "mic";
    opening = true;
    return 0;
}
int pa_stream_disconnect(pa_stream *stream) {
    opening = uncorked = false;
    return 0;
}
pa_stream_state_t pa_stream_get_state(const pa_stream *stream) {
    return stream_state;
}
const pa_buffer_attr *pa_stream_get_buffer_attr(pa_stream *stream) {
    static const pa_buffer_attr attributes = {.fragsize = sizeof packet};
    return &attributes;
}
const char *pa_stream_get_device_name(const pa_stream *stream) {
    return recorded;
}
int pa_stream_is_suspended(const pa_stream *stream) {
    return 0;
}
pa_operation *pa_stream_cork(pa_stream *stream, int cork, pa_stream_success_cb_t callback,
                             void *user_data) {
    uncorked = !cork;
    return (void *)&thing;
}
size_t pa_stream_readable_size(const pa_stream *stream) {
    return waiting;
}
int pa_stream_peek(pa_stream *stream, const void **data, size_t *bytes) {
    *data = waiting_data;
    *bytes = waiting;
    return 0;
}
int pa_stream_drop(pa_stream *stream) {
    waiting = 0;
    return 0;
}
int pa_stream_get_latency(pa_stream *stream, pa_usec_t *latency, int *negative) {
    return -1;
}
