/* A generation: one private copy of PortAudio, one control thread that makes all its calls, one
 * device list. PortAudio promises nothing for calls from several threads, cannot refresh its list,
 * and hangs with a driver or server that does; so a new list is a new generation, and
 * a call that outlasts its time condemns the generation: it is never called again, not even to be
 * closed, and its memory is given up (`sa_condemned_generations` counts them).
 *
 * Any thread but an audio thread may call these; calls for one generation are ordered by it.
 */
#ifndef SA_PORTAUDIO_GENERATION_H
#define SA_PORTAUDIO_GENERATION_H

#include "portaudio_library.h"

#include <stdint.h>

enum { SA_TEXT_BYTES = 256 };

/* How far a call got, beside PortAudio's own codes. */
enum {
    SA_CALL_OK = 0,
    SA_CALL_FAILED = 1, /* PortAudio's error stands in code and text */
    SA_CALL_NO_LIBRARY = 2,
    SA_CALL_CONDEMNED = 3, /* the call outlasted its time, or an earlier one did */
    SA_CALL_NO_MEMORY = 4,
    SA_CALL_ASSERTED = 5,     /* PortAudio failed an assertion of its own; condemned, too */
    SA_CALL_UNCONFIGURED = 6, /* there is no device, and ALSA has no configuration */
};

typedef struct {
    int32_t status; /* SA_CALL_… */
    int32_t code;   /* PaErrorCode */
    int64_t host_code;
    char text[SA_TEXT_BYTES];      /* PortAudio's words, or the linker's */
    char host_text[SA_TEXT_BYTES]; /* the host API's own words, or empty */
} sa_call_error;

typedef struct {
    char name[SA_TEXT_BYTES];
    char host_api[SA_TEXT_BYTES];
    int32_t index;
    int32_t host_api_type; /* PaHostApiTypeId */
    int32_t max_input_channels;
    int32_t max_output_channels;
    bool takes_any_number;            /* of channels: an ALSA plug-in that makes them up */
    bool through_pulse;               /* an ALSA plug-in before a sound server, which mixes */
    char pulse_device[SA_TEXT_BYTES]; /* what it asks that for; empty: its default */
    bool is_default_input;            /* of the whole system */
    bool is_host_api_default_input;   /* of its host API */
    bool is_default_output;
    double default_sample_rate;
    double default_low_input_latency;
    double default_high_input_latency;
    double default_low_output_latency;
    double default_high_output_latency;
} sa_device_info;

typedef struct sa_generation sa_generation;

/* Opens the library, initializes it and reads its device list, without ALSA's ways to PulseAudio
 * if that is known to hang. NULL: see `error`. */
sa_generation *sa_generation_open(const char *library_path, bool without_pulse, int64_t timeout_ns,
                                  sa_call_error *error);

/* Terminates and unloads; without effect on a condemned generation, which leaks. No stream of it
 * may be open. */
void sa_generation_close(sa_generation *generation);

/* Never call it again: its host is known to be dead. */
void sa_generation_condemn(sa_generation *generation);
bool sa_generation_is_condemned(sa_generation *generation);
int64_t sa_condemned_generations(void);

size_t sa_generation_device_count(const sa_generation *generation);
const sa_device_info *sa_generation_device(const sa_generation *generation, size_t index);

/* A call to be made on the control thread; it fills in `error` itself on failure. */
typedef void (*sa_control_call)(const sa_portaudio *library, void *request, sa_call_error *error);

/* Makes the call and waits for it, `timeout_ns` at most. The request (of `bytes`) is copied in
 * before and, if the call ended in time, out after: a call that hangs owns its own copy. */
bool sa_generation_call(sa_generation *generation, sa_control_call call, void *request,
                        size_t bytes, int64_t timeout_ns, sa_call_error *error);

/* Fills in an error from PortAudio's code; on the control thread. */
void sa_call_failed(const sa_portaudio *library, PaError code, sa_call_error *error);

#endif
