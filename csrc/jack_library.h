/* libjack, opened at run time: JACK's interface as far as it is used, in declarations of our own.
 *
 * Any implementation will do that the linker finds under JACK's name: jack2, JACK 1, PipeWire's.
 * The interface is that of jack/jack.h, which the JACK project keeps binary compatible; its
 * manual (jackaudio.org/api) has an entry for each name without "jack_".
 */
#ifndef SA_JACK_LIBRARY_H
#define SA_JACK_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sa_jack_handle sa_jack_handle;           /* jack_client_t */
typedef struct sa_jack_port_handle sa_jack_port_handle; /* jack_port_t */

typedef struct {
    uint32_t min;
    uint32_t max;
} sa_jack_latency_range;

enum { SA_JACK_INPUT = 1, SA_JACK_OUTPUT = 2, SA_JACK_PHYSICAL = 4 }; /* JackPortFlags */
enum { SA_JACK_NO_START_SERVER = 1 };                                 /* JackOptions */
enum { SA_JACK_CAPTURE = 0, SA_JACK_PLAYBACK = 1 }; /* jack_latency_callback_mode_t */
#define SA_JACK_AUDIO "32 bit float mono audio"     /* JACK_DEFAULT_AUDIO_TYPE */

typedef struct {
    bool is_jack2; /* what only its source code promises may be relied on */

    const char *(*get_version_string)(void);
    void (*free)(void *);
    sa_jack_handle *(*client_open)(const char *, int, int *, ...);
    int (*client_close)(sa_jack_handle *);
    const char *(*get_client_name)(sa_jack_handle *);
    int (*activate)(sa_jack_handle *);
    int (*deactivate)(sa_jack_handle *);
    void (*on_info_shutdown)(sa_jack_handle *, void (*)(int, const char *, void *), void *);
    int (*set_process_callback)(sa_jack_handle *, int (*)(uint32_t, void *), void *);
    int (*set_port_connect_callback)(sa_jack_handle *, void (*)(uint32_t, uint32_t, int, void *),
                                     void *);
    int (*set_port_registration_callback)(sa_jack_handle *, void (*)(uint32_t, int, void *),
                                          void *);
    uint32_t (*get_sample_rate)(sa_jack_handle *);
    uint32_t (*get_buffer_size)(sa_jack_handle *);
    uint32_t (*last_frame_time)(const sa_jack_handle *);
    uint32_t (*frame_time)(const sa_jack_handle *);
    sa_jack_port_handle *(*port_register)(sa_jack_handle *, const char *, const char *,
                                          unsigned long, unsigned long);
    int (*port_unregister)(sa_jack_handle *, sa_jack_port_handle *);
    const char *(*port_name)(const sa_jack_port_handle *);
    int (*port_flags)(const sa_jack_port_handle *);
    sa_jack_port_handle *(*port_by_name)(sa_jack_handle *, const char *);
    sa_jack_port_handle *(*port_by_id)(sa_jack_handle *, uint32_t);
    void *(*port_get_buffer)(sa_jack_port_handle *, uint32_t);
    void (*port_get_latency_range)(sa_jack_port_handle *, int, sa_jack_latency_range *);
    int (*port_connected)(const sa_jack_port_handle *);
    int (*port_connected_to)(const sa_jack_port_handle *, const char *);
    const char **(*port_get_connections)(const sa_jack_port_handle *);
    const char **(*get_ports)(sa_jack_handle *, const char *, const char *, unsigned long);
    int (*connect)(sa_jack_handle *, const char *, const char *);
    int (*disconnect)(sa_jack_handle *, const char *, const char *);
} sa_jack_library;

/* The library, which once loaded stays so. NULL: it is not installed, or is none; see `reason`. */
const sa_jack_library *sa_jack_library_load(char *reason, size_t reason_bytes);

#endif
