/* libpulse's binary interface, as far as this library uses it: PulseAudio's and PipeWire's clients
 * share it.
 *
 * Facts of the interface in our own words, so that no header of PulseAudio is needed to build, and
 * the library is opened at run time where there is one. libpulse.so.0 has kept them since version
 * 5.0 (2014); a structure only ever grows at its end. "docs" in what follows is the manual that
 * the project publishes: www.freedesktop.org/software/pulseaudio/doxygen/, where each name has an
 * entry of its own. tests/native/test_pulse_abi.py compares sizes, offsets, constants and
 * prototypes with the header of the system, where there is one.
 */
#ifndef SA_PULSE_ABI_H
#define SA_PULSE_ABI_H

#include <stddef.h>
#include <stdint.h>

/* Samples (docs: sample.h, channelmap.h). */
#define PA_CHANNELS_MAX 32U
typedef enum pa_sample_format {
    PA_SAMPLE_FLOAT32LE = 5,
    PA_SAMPLE_FLOAT32BE = 6,
} pa_sample_format_t;
typedef struct pa_sample_spec {
    pa_sample_format_t format;
    uint32_t rate;
    uint8_t channels;
} pa_sample_spec;

/* Names of channels. The positions themselves are never used: libpulse turns them into text. */
#define PA_CHANNEL_MAP_SNPRINT_MAX 336
typedef enum pa_channel_position {
    PA_CHANNEL_POSITION_MONO = 0,
} pa_channel_position_t;
typedef struct pa_channel_map {
    uint8_t channels;
    pa_channel_position_t map[PA_CHANNELS_MAX];
} pa_channel_map;
char *pa_channel_map_snprint(char *text, size_t bytes, const pa_channel_map *map);
pa_channel_map *pa_channel_map_parse(pa_channel_map *map, const char *text);

/* Volumes stand within a source's information (docs: volume.h). */
typedef uint32_t pa_volume_t;
typedef struct pa_cvolume {
    uint8_t channels;
    pa_volume_t values[PA_CHANNELS_MAX];
} pa_cvolume;

/* Microseconds. */
typedef uint64_t pa_usec_t;

typedef struct pa_threaded_mainloop pa_threaded_mainloop;
typedef struct pa_mainloop_api pa_mainloop_api;
typedef struct pa_context pa_context;
typedef struct pa_stream pa_stream;
typedef struct pa_operation pa_operation;
typedef struct pa_proplist pa_proplist;
typedef struct pa_spawn_api pa_spawn_api;
typedef struct pa_time_event pa_time_event;

/* The loop on a thread of its own, which makes every callback; its lock keeps them out (docs:
 * thread-mainloop.h). */
pa_threaded_mainloop *pa_threaded_mainloop_new(void);
void pa_threaded_mainloop_free(pa_threaded_mainloop *loop);
int pa_threaded_mainloop_start(pa_threaded_mainloop *loop);
void pa_threaded_mainloop_stop(pa_threaded_mainloop *loop);
void pa_threaded_mainloop_lock(pa_threaded_mainloop *loop);
void pa_threaded_mainloop_unlock(pa_threaded_mainloop *loop);
pa_mainloop_api *pa_threaded_mainloop_get_api(pa_threaded_mainloop *loop);

/* Errors (docs: def.h, error.h). */
enum {
    PA_ERR_NOENTITY = 5,
    PA_ERR_KILLED = 12,
};
const char *pa_strerror(int error);

/* A connection to a server (docs: context.h). */
typedef enum pa_context_state {
    PA_CONTEXT_READY = 4,
    PA_CONTEXT_FAILED = 5,
    PA_CONTEXT_TERMINATED = 6,
} pa_context_state_t;
typedef enum pa_context_flags {
    PA_CONTEXT_NOAUTOSPAWN = 1,
} pa_context_flags_t;
typedef void (*pa_context_notify_cb_t)(pa_context *context, void *user_data);
typedef void (*pa_context_success_cb_t)(pa_context *context, int success, void *user_data);
pa_context *pa_context_new(pa_mainloop_api *loop, const char *name);
void pa_context_unref(pa_context *context);
void pa_context_set_state_callback(pa_context *context, pa_context_notify_cb_t callback,
                                   void *user_data);
int pa_context_connect(pa_context *context, const char *server, pa_context_flags_t flags,
                       const pa_spawn_api *spawn);
void pa_context_disconnect(pa_context *context);
pa_context_state_t pa_context_get_state(const pa_context *context);
int pa_context_errno(const pa_context *context);

/* A timer on its loop, for a time of that clock (docs: context.h, rtclock.h). */
struct timeval;
typedef void (*pa_time_event_cb_t)(pa_mainloop_api *loop, pa_time_event *event,
                                   const struct timeval *due, void *user_data);
pa_usec_t pa_rtclock_now(void);
pa_time_event *pa_context_rttime_new(const pa_context *context, pa_usec_t due,
                                     pa_time_event_cb_t callback, void *user_data);
void pa_context_rttime_restart(const pa_context *context, pa_time_event *event, pa_usec_t due);

/* A question that has been asked; a cancelled one is never answered (docs: operation.h). */
void pa_operation_cancel(pa_operation *operation);
void pa_operation_unref(pa_operation *operation);

/* What a server tells of itself, its sources and sinks, and what plays into these (docs:
 * introspect.h). `eol` ends a list: above 0 at its end, below it after an error. */
typedef struct pa_server_info {
    const char *user_name;
    const char *host_name;
    const char *server_version;
    const char *server_name;
    pa_sample_spec sample_spec;
    const char *default_sink_name;
    const char *default_source_name;
    uint32_t cookie;
    pa_channel_map channel_map;
} pa_server_info;
typedef struct pa_source_info {
    const char *name;
    uint32_t index;
    const char *description;
    pa_sample_spec sample_spec;
    pa_channel_map channel_map;
    uint32_t owner_module;
    pa_cvolume volume;
    int mute;
    uint32_t monitor_of_sink; /* PA_INVALID_INDEX: it is no monitor */
    const char *monitor_of_sink_name;
    pa_usec_t latency;
    const char *driver;
    int flags; /* an enumeration there */
    pa_proplist *proplist;
    pa_usec_t configured_latency;
} pa_source_info; /* as far as it is read here; more follows */
typedef struct pa_sink_info {
    const char *name;
    uint32_t index;
    const char *description;
    pa_sample_spec sample_spec;
    pa_channel_map channel_map;
    uint32_t owner_module;
    pa_cvolume volume;
    int mute;
    uint32_t monitor_source;
    const char *monitor_source_name;
} pa_sink_info; /* likewise */
typedef struct pa_sink_input_info {
    uint32_t index;
    const char *name;
    uint32_t owner_module;
    uint32_t client;
    uint32_t sink;
    pa_sample_spec sample_spec;
    pa_channel_map channel_map;
    pa_cvolume volume;
    pa_usec_t buffer_usec;
    pa_usec_t sink_usec;
    const char *resample_method;
    const char *driver;
    int mute;
    pa_proplist *proplist;
    int corked;
} pa_sink_input_info; /* likewise */
#define PA_INVALID_INDEX ((uint32_t)-1)
typedef void (*pa_server_info_cb_t)(pa_context *context, const pa_server_info *info,
                                    void *user_data);
typedef void (*pa_source_info_cb_t)(pa_context *context, const pa_source_info *info, int eol,
                                    void *user_data);
typedef void (*pa_sink_info_cb_t)(pa_context *context, const pa_sink_info *info, int eol,
                                  void *user_data);
typedef void (*pa_sink_input_info_cb_t)(pa_context *context, const pa_sink_input_info *info,
                                        int eol, void *user_data);
pa_operation *pa_context_get_server_info(pa_context *context, pa_server_info_cb_t callback,
                                         void *user_data);
pa_operation *pa_context_get_source_info_list(pa_context *context, pa_source_info_cb_t callback,
                                              void *user_data);
pa_operation *pa_context_get_sink_info_list(pa_context *context, pa_sink_info_cb_t callback,
                                            void *user_data);
pa_operation *pa_context_get_sink_input_info_list(pa_context *context,
                                                  pa_sink_input_info_cb_t callback,
                                                  void *user_data);
const char *pa_proplist_gets(const pa_proplist *properties, const char *key);

/* What changes at the server (docs: subscribe.h). */
typedef enum pa_subscription_mask {
    PA_SUBSCRIPTION_MASK_SOURCE = 2,
    PA_SUBSCRIPTION_MASK_SINK_INPUT = 4,
    PA_SUBSCRIPTION_MASK_SERVER = 128,
} pa_subscription_mask_t;
typedef enum pa_subscription_event_type {
    PA_SUBSCRIPTION_EVENT_SOURCE = 1,
    PA_SUBSCRIPTION_EVENT_SINK_INPUT = 2,
    PA_SUBSCRIPTION_EVENT_SERVER = 7,
    PA_SUBSCRIPTION_EVENT_FACILITY_MASK = 0xF,
    PA_SUBSCRIPTION_EVENT_NEW = 0x00,
    PA_SUBSCRIPTION_EVENT_CHANGE = 0x10,
    PA_SUBSCRIPTION_EVENT_REMOVE = 0x20,
    PA_SUBSCRIPTION_EVENT_TYPE_MASK = 0x30,
} pa_subscription_event_type_t;
typedef void (*pa_context_subscribe_cb_t)(pa_context *context, pa_subscription_event_type_t type,
                                          uint32_t index, void *user_data);
void pa_context_set_subscribe_callback(pa_context *context, pa_context_subscribe_cb_t callback,
                                       void *user_data);
pa_operation *pa_context_subscribe(pa_context *context, pa_subscription_mask_t mask,
                                   pa_context_success_cb_t callback, void *user_data);

/* A stream that records (docs: stream.h, def.h). */
typedef enum pa_stream_state {
    PA_STREAM_READY = 2,
    PA_STREAM_FAILED = 3,
    PA_STREAM_TERMINATED = 4,
} pa_stream_state_t;
typedef enum pa_stream_flags {
    PA_STREAM_START_CORKED = 0x1,
    PA_STREAM_INTERPOLATE_TIMING = 0x2,
    PA_STREAM_AUTO_TIMING_UPDATE = 0x8,
    PA_STREAM_NO_REMAP_CHANNELS = 0x10,
    PA_STREAM_NO_REMIX_CHANNELS = 0x20,
    PA_STREAM_DONT_MOVE = 0x200,
    PA_STREAM_ADJUST_LATENCY = 0x2000,
} pa_stream_flags_t;
typedef struct pa_buffer_attr { /* bytes; all bits set: the server's choice */
    uint32_t maxlength;
    uint32_t tlength;
    uint32_t prebuf;
    uint32_t minreq;
    uint32_t fragsize; /* what the server hands over at once */
} pa_buffer_attr;
typedef void (*pa_stream_notify_cb_t)(pa_stream *stream, void *user_data);
typedef void (*pa_stream_request_cb_t)(pa_stream *stream, size_t bytes, void *user_data);
typedef void (*pa_stream_success_cb_t)(pa_stream *stream, int success, void *user_data);
pa_stream *pa_stream_new(pa_context *context, const char *name, const pa_sample_spec *spec,
                         const pa_channel_map *map);
void pa_stream_unref(pa_stream *stream);
void pa_stream_set_state_callback(pa_stream *stream, pa_stream_notify_cb_t callback,
                                  void *user_data);
void pa_stream_set_read_callback(pa_stream *stream, pa_stream_request_cb_t callback,
                                 void *user_data);
void pa_stream_set_moved_callback(pa_stream *stream, pa_stream_notify_cb_t callback,
                                  void *user_data);
void pa_stream_set_suspended_callback(pa_stream *stream, pa_stream_notify_cb_t callback,
                                      void *user_data);
void pa_stream_set_latency_update_callback(pa_stream *stream, pa_stream_notify_cb_t callback,
                                           void *user_data);
int pa_stream_set_monitor_stream(pa_stream *stream, uint32_t sink_input);
int pa_stream_connect_record(pa_stream *stream, const char *source, const pa_buffer_attr *attr,
                             pa_stream_flags_t flags);
int pa_stream_disconnect(pa_stream *stream);
pa_stream_state_t pa_stream_get_state(const pa_stream *stream);
const pa_buffer_attr *pa_stream_get_buffer_attr(pa_stream *stream);
const char *pa_stream_get_device_name(const pa_stream *stream);
int pa_stream_is_suspended(const pa_stream *stream);
pa_operation *pa_stream_cork(pa_stream *stream, int cork, pa_stream_success_cb_t callback,
                             void *user_data);

/* What waits to be read: its bytes, the first block (NULL with a length: a hole), and how long ago
 * that was recorded. */
size_t pa_stream_readable_size(const pa_stream *stream);
int pa_stream_peek(pa_stream *stream, const void **data, size_t *bytes);
int pa_stream_drop(pa_stream *stream);
int pa_stream_get_latency(pa_stream *stream, pa_usec_t *latency, int *negative);

#endif
