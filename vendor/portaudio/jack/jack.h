/* What PortAudio's JACK part calls of JACK, declared so that building needs no header of JACK's.
 *
 * Facts of JACK's interface (jackaudio.org/api/jack_8h.html), which JACK 1, jack2 and PipeWire
 * share. jack_shim.c defines each function; what it takes and gives stands there once more, in the
 * list that makes the definition.
 */
#ifndef STREAM_AUDIO_JACK_H
#define STREAM_AUDIO_JACK_H

#include <jack/types.h>

/* JACK_FUNCTION(what it gives, name, (what it takes), (the names of what it takes)) */
#define JACK_FUNCTIONS                                                                            \
    JACK_FUNCTION(int, jack_client_close, (jack_client_t * client), (client))                     \
    JACK_FUNCTION(int, jack_client_name_size, (void), ())                                         \
    JACK_FUNCTION(char *, jack_get_client_name, (jack_client_t * client), (client))               \
    JACK_FUNCTION(int, jack_activate, (jack_client_t * client), (client))                         \
    JACK_FUNCTION(int, jack_deactivate, (jack_client_t * client), (client))                       \
    JACK_FUNCTION(int, jack_set_process_callback,                                                 \
                  (jack_client_t * client, JackProcessCallback callback, void *argument),         \
                  (client, callback, argument))                                                   \
    JACK_FUNCTION(int, jack_set_sample_rate_callback,                                             \
                  (jack_client_t * client, JackSampleRateCallback callback, void *argument),      \
                  (client, callback, argument))                                                   \
    JACK_FUNCTION(int, jack_set_xrun_callback,                                                    \
                  (jack_client_t * client, JackXRunCallback callback, void *argument),            \
                  (client, callback, argument))                                                   \
    JACK_FUNCTION(void, jack_on_shutdown,                                                         \
                  (jack_client_t * client, JackShutdownCallback callback, void *argument),        \
                  (client, callback, argument))                                                   \
    JACK_FUNCTION(jack_nframes_t, jack_get_sample_rate, (jack_client_t * client), (client))       \
    JACK_FUNCTION(jack_nframes_t, jack_get_buffer_size, (jack_client_t * client), (client))       \
    JACK_FUNCTION(jack_nframes_t, jack_frame_time, (const jack_client_t *client), (client))       \
    JACK_FUNCTION(jack_port_t *, jack_port_register,                                              \
                  (jack_client_t * client, const char *name, const char *type,                    \
                   unsigned long flags, unsigned long buffer_size),                               \
                  (client, name, type, flags, buffer_size))                                       \
    JACK_FUNCTION(int, jack_port_unregister, (jack_client_t * client, jack_port_t * port),        \
                  (client, port))                                                                 \
    JACK_FUNCTION(void *, jack_port_get_buffer, (jack_port_t * port, jack_nframes_t frames),      \
                  (port, frames))                                                                 \
    JACK_FUNCTION(const char *, jack_port_name, (const jack_port_t *port), (port))                \
    JACK_FUNCTION(int, jack_port_name_size, (void), ())                                           \
    JACK_FUNCTION(int, jack_port_connected, (const jack_port_t *port), (port))                    \
    JACK_FUNCTION(jack_nframes_t, jack_port_get_latency, (jack_port_t * port), (port))            \
    JACK_FUNCTION(jack_port_t *, jack_port_by_name, (jack_client_t * client, const char *name),   \
                  (client, name))                                                                 \
    JACK_FUNCTION(const char **, jack_get_ports,                                                  \
                  (jack_client_t * client, const char *name_pattern, const char *type_pattern,    \
                   unsigned long flags),                                                          \
                  (client, name_pattern, type_pattern, flags))                                    \
    JACK_FUNCTION(int, jack_connect,                                                              \
                  (jack_client_t * client, const char *source, const char *destination),          \
                  (client, source, destination))                                                  \
    JACK_FUNCTION(int, jack_port_disconnect, (jack_client_t * client, jack_port_t * port),        \
                  (client, port))

#define JACK_FUNCTION(type, name, parameters, arguments) type name parameters;
JACK_FUNCTIONS
#undef JACK_FUNCTION

jack_client_t *jack_client_open(const char *name, jack_options_t options, jack_status_t *status,
                                ...);
void jack_set_error_function(JackErrorCallbackFunction callback);

#endif
