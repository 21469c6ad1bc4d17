/* A connection to a PulseAudio server, or to PipeWire in its place: what sources and outputs it
 * has, which are the defaults, what plays, and streams (pulse_stream.h). libpulse makes its
 * callbacks on a thread of the connection's own, which no server can hold up: every question has a
 * deadline, and a server that does not answer hangs nothing.
 *
 * Any thread but an audio thread may call these, also at the same time.
 */
#ifndef SA_PULSE_CONNECTION_H
#define SA_PULSE_CONNECTION_H

#include <pthread.h>

#include "pulse_library.h"
#include "pulse_lists.h"

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
    char name[SA_PULSE_TEXT_BYTES];           /* the server's: "pulseaudio", "PulseAudio (on …)" */
    char default_source[SA_PULSE_TEXT_BYTES]; /* its name, or empty */
    char default_output[SA_PULSE_TEXT_BYTES]; /* likewise */
} sa_pulse_server;

typedef struct sa_pulse sa_pulse;

/* Connects to the server that the environment names, and asks it what it has. Starts none. NULL:
 * see `error`. `library_path` may be NULL. */
sa_pulse *sa_pulse_connect(const char *library_path, const char *application, int64_t timeout_ns,
                           sa_pulse_error *error);

/* No stream of it may be open. */
void sa_pulse_disconnect(sa_pulse *pulse);

/* Asks again what it has. No stream may be open, and nobody may read the lists meanwhile. */
bool sa_pulse_list_again(sa_pulse *pulse, int64_t timeout_ns, sa_pulse_error *error);

/* All as it was when it connected, or was asked again. */
size_t sa_pulse_source_count(const sa_pulse *pulse);
const sa_pulse_source *sa_pulse_source_at(const sa_pulse *pulse, size_t index);
size_t sa_pulse_output_count(const sa_pulse *pulse);
const sa_pulse_output *sa_pulse_output_at(const sa_pulse *pulse, size_t index);
size_t sa_pulse_program_count(const sa_pulse *pulse);
const sa_pulse_program *sa_pulse_program_at(const sa_pulse *pulse, size_t index);

/* What is known of the server now: it tells by itself which are the defaults. */
void sa_pulse_server_now(sa_pulse *pulse, sa_pulse_server *server);

/* How often its sources, the default, or what plays have changed since it connected; -1: it is
 * gone. */
int64_t sa_pulse_changes(sa_pulse *pulse);

/* Rings the bell (see platform.h) at each such change from now on; -1: no longer. */
void sa_pulse_ring_at_changes(sa_pulse *pulse, int bell);

/* ---- for pulse_stream.c ---- */

/* What a stream is told on the loop's thread while it is registered. */
typedef struct sa_pulse_listener {
    void (*look)(struct sa_pulse_listener *listener, int64_t now_ns); /* every SA_IDLE_LOOK_NS */
    void (*program_ended)(struct sa_pulse_listener *listener, uint32_t index);
    struct sa_pulse_listener *next;
} sa_pulse_listener;

/* With the loop locked. The second does nothing for one that is not registered. */
bool sa_pulse_listen(sa_pulse *pulse, sa_pulse_listener *listener);
void sa_pulse_listen_no_more(sa_pulse *pulse, const sa_pulse_listener *listener);

struct sa_pulse {
    sa_libpulse library;
    pa_threaded_mainloop *loop;
    pa_context *context;

    pthread_mutex_t mutex; /* guards what callbacks tell; held for an instant only */
    pthread_cond_t changed;
    pa_context_state_t state;
    int error; /* of the context, once it failed */
    sa_pulse_server server;
    int64_t changes;
    int bell;                    /* -1: none */
    pa_operation *asked_default; /* on the loop's thread */
    sa_pulse_listener *listeners;
    pa_time_event *timer; /* runs while somebody listens */

    sa_pulse_list sources, outputs, programs;
    int lists_to_come;
    bool list_failed, served;
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
