/* A connection to a PulseAudio server, or to PipeWire in its place: what sources it has, which is
 * the default, and streams (pulse_stream.h). libpulse makes its callbacks on a thread of the
 * connection's own, which no server can hold up: every question has a deadline, and a server that
 * does not answer hangs nothing.
 *
 * Any thread but an audio thread may call these, also at the same time.
 */
#ifndef SA_PULSE_CONNECTION_H
#define SA_PULSE_CONNECTION_H

#include <pthread.h>

#include "pulse_library.h"

enum {
    SA_PULSE_TEXT_BYTES = 256,
    SA_PULSE_MAP_BYTES = PA_CHANNEL_MAP_SNPRINT_MAX,
};

enum {
    SA_PULSE_OK = 0,
    SA_PULSE_NO_LIBRARY = 1, /* libpulse is not here, or lacks a function */
    SA_PULSE_NO_SERVER = 2,  /* none runs, or it refuses */
    SA_PULSE_NO_ANSWER = 3,  /* the server did not answer in time */
    SA_PULSE_NO_SOURCE = 4,  /* the server has no source of that name */
    SA_PULSE_FAILED = 5,
    SA_PULSE_NO_MEMORY = 6,
};

typedef struct {
    int32_t status;                 /* SA_PULSE_… */
    char text[SA_PULSE_TEXT_BYTES]; /* libpulse's words, or the linker's */
} sa_pulse_error;

typedef struct {
    char name[SA_PULSE_TEXT_BYTES];        /* the server's own, unique there */
    char description[SA_PULSE_TEXT_BYTES]; /* what a desktop shows */
    char channel_map[SA_PULSE_MAP_BYTES];  /* names of the channels, with commas */
    uint32_t sample_rate;
    uint32_t channels;
    int32_t alsa_card; /* the card and device behind it; -1: it is another kind of source */
    int32_t alsa_device;
    double latency; /* seconds that the source holds back, as it is configured now */
    bool is_monitor;
} sa_pulse_source;

typedef struct {
    char name[SA_PULSE_TEXT_BYTES];           /* the server's: "pulseaudio", "PulseAudio (on …)" */
    char default_source[SA_PULSE_TEXT_BYTES]; /* its name, or empty */
    int64_t default_changes;                  /* how often it has become another since the first */
} sa_pulse_server;

typedef struct sa_pulse sa_pulse;

/* Connects to the server that the environment names, and asks it what it has. Starts none. NULL:
 * see `error`. `library_path` may be NULL. */
sa_pulse *sa_pulse_connect(const char *library_path, const char *application, int64_t timeout_ns,
                           sa_pulse_error *error);

/* No stream of it may be open. */
void sa_pulse_disconnect(sa_pulse *pulse);

/* The sources as they were when it connected. */
size_t sa_pulse_source_count(const sa_pulse *pulse);
const sa_pulse_source *sa_pulse_source_at(const sa_pulse *pulse, size_t index);

/* What is known of the server now: it tells by itself which source is the default. */
void sa_pulse_server_now(sa_pulse *pulse, sa_pulse_server *server);

/* ---- for pulse_stream.c ---- */

struct sa_pulse {
    sa_libpulse library;
    pa_threaded_mainloop *loop;
    pa_context *context;

    pthread_mutex_t mutex; /* guards what callbacks tell; held for an instant only */
    pthread_cond_t changed;
    pa_context_state_t state;
    int error; /* of the context, once it failed */
    sa_pulse_server server;
    pa_operation *asked_default; /* on the loop's thread */

    sa_pulse_source *sources;
    size_t source_count;
    size_t source_capacity;
    bool listed, list_failed, served;
};

/* Waits until `is_done` or the deadline; with the mutex held, and not the loop's lock. */
bool sa_pulse_wait(sa_pulse *pulse, bool (*is_done)(void *), void *argument, int64_t deadline_ns);

/* From the loop's thread: something that is waited for may have come. */
void sa_pulse_tell(sa_pulse *pulse);

/* Cancels a question, if it was asked, so that no callback follows; with the loop locked. */
void sa_pulse_forget(sa_pulse *pulse, pa_operation *operation);

/* Fills in an error; `code` is libpulse's. */
bool sa_pulse_failed(const sa_pulse *pulse, int32_t status, int code, sa_pulse_error *error);

#endif
