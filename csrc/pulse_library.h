/* libpulse, opened at run time: never linked, never bundled, never unloaded again. */
#ifndef SA_PULSE_LIBRARY_H
#define SA_PULSE_LIBRARY_H

#include <stdbool.h>

#include "pulse_abi.h"

/* The functions, by their names without "pa_". */
#define SA_PULSE_FUNCTIONS(F)                                                                     \
    F(channel_map_snprint)                                                                        \
    F(channel_map_parse)                                                                          \
    F(threaded_mainloop_new)                                                                      \
    F(threaded_mainloop_free)                                                                     \
    F(threaded_mainloop_start)                                                                    \
    F(threaded_mainloop_stop)                                                                     \
    F(threaded_mainloop_lock)                                                                     \
    F(threaded_mainloop_unlock)                                                                   \
    F(threaded_mainloop_get_api)                                                                  \
    F(strerror)                                                                                   \
    F(context_new)                                                                                \
    F(context_unref)                                                                              \
    F(context_set_state_callback)                                                                 \
    F(context_connect)                                                                            \
    F(context_disconnect)                                                                         \
    F(context_get_state)                                                                          \
    F(context_errno)                                                                              \
    F(rtclock_now)                                                                                \
    F(context_rttime_new)                                                                         \
    F(context_rttime_restart)                                                                     \
    F(operation_cancel)                                                                           \
    F(operation_unref)                                                                            \
    F(context_get_server_info)                                                                    \
    F(context_get_source_info_list)                                                               \
    F(context_get_sink_info_list)                                                                 \
    F(context_get_sink_input_info_list)                                                           \
    F(proplist_gets)                                                                              \
    F(context_set_subscribe_callback)                                                             \
    F(context_subscribe)                                                                          \
    F(stream_new)                                                                                 \
    F(stream_unref)                                                                               \
    F(stream_set_state_callback)                                                                  \
    F(stream_set_read_callback)                                                                   \
    F(stream_set_moved_callback)                                                                  \
    F(stream_set_suspended_callback)                                                              \
    F(stream_set_latency_update_callback)                                                         \
    F(stream_set_monitor_stream)                                                                  \
    F(stream_connect_record)                                                                      \
    F(stream_disconnect)                                                                          \
    F(stream_get_state)                                                                           \
    F(stream_get_buffer_attr)                                                                     \
    F(stream_get_device_name)                                                                     \
    F(stream_is_suspended)                                                                        \
    F(stream_cork)                                                                                \
    F(stream_readable_size)                                                                       \
    F(stream_peek)                                                                                \
    F(stream_drop)                                                                                \
    F(stream_get_latency)

#define SA_PULSE_MEMBER(name) __typeof__(pa_##name) *name;
typedef struct {
    SA_PULSE_FUNCTIONS(SA_PULSE_MEMBER)
} sa_libpulse;

/* Opens the library at `path` (NULL: where the system's linker finds it). On failure returns false
 * and says why in `reason`. */
bool sa_libpulse_load(sa_libpulse *library, const char *path, char *reason, size_t reason_bytes);

#endif
