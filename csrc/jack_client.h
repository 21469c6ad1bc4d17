/* A client of a JACK server: it lists ports, and has a stream of its own.
 *
 * Ports are named exactly and connected one by one, so that no other client is ever recorded. In
 * each cycle the process callback makes sure that each input has the one connection that was
 * made; a cycle in which one has not is not taken.
 *
 * A call may hang for as long as the server is frozen, so callers give each a thread and a time.
 * Any thread but an audio thread may call these; calls for one client are ordered by it.
 *
 * A client is closed as soon as its server has gone, on a thread of its own; its memory stays
 * until sa_jack_client_close.
 *
 * When a client opens, jack2's library closes and frees all those of the process whose server has
 * gone (common/JackLibGlobals.h, 1.9.21). So those are closed here first, and calls for them find
 * that out.
 */
#ifndef SA_JACK_CLIENT_H
#define SA_JACK_CLIENT_H

#include "jack_feed.h"

enum { SA_JACK_NAME_BYTES = 321, SA_JACK_REASON_BYTES = 256 };

typedef struct sa_jack_client sa_jack_client;

typedef struct {
    char name[SA_JACK_NAME_BYTES]; /* "client:port" */
    uint32_t flags;                /* SA_JACK_… */
    uint32_t latency;              /* frames, of capture for an output, of playback for an input */
} sa_jack_port;

typedef enum {
    SA_JACK_OPEN = 0,
    SA_JACK_ABSENT = 1,  /* no library, or no server */
    SA_JACK_STANDS = 2,  /* the server does not count: frozen, or just dead */
    SA_JACK_REFUSED = 3, /* it does not want us; see `reason` */
} sa_jack_status;

/* Opens a client that lists, and does not run yet. `reason` has SA_JACK_REASON_BYTES. */
sa_jack_status sa_jack_client_open(const char *name, sa_jack_client **client, char *reason);

/* Ends the callbacks and closes; what was lent to it may be freed then. The client is freed. */
void sa_jack_client_close(sa_jack_client *client);

/* Whether the server has gone, or given the client up. */
bool sa_jack_client_gone(const sa_jack_client *client);

/* Whether the server's count moves; true where there is none to look at. Takes a period, or a
 * third of a second if it does not move. */
bool sa_jack_client_server_runs(sa_jack_client *client);

/* Whether it counted within the last four periods, as far as can be told; waits for nothing. */
bool sa_jack_client_server_ran(sa_jack_client *client);

/* The server's own now; 0 when it has gone. */
uint32_t sa_jack_client_sample_rate(sa_jack_client *client);
uint32_t sa_jack_client_period(sa_jack_client *client);
const char *sa_jack_client_name(const sa_jack_client *client);

/* Copies out as many of the audio ports with these flags as there is room for; how many there are,
 * or -1 when the server has gone. */
int64_t sa_jack_client_ports(sa_jack_client *client, uint32_t flags, sa_jack_port *ports,
                             size_t room);

/* Rings the bell (see platform.h) whenever ports come or go from now on; -1: no longer. For a
 * client without a stream, which the server then tells, but never runs. False: it will not. */
bool sa_jack_client_ring_at_changes(sa_jack_client *client, int bell);

/* What the stream is for. One of the two must outlive the callbacks. */
typedef struct {
    sa_capture *capture;
    sa_round_trip *trip;
    uint32_t inputs;
    uint32_t outputs;
    /* Names of ports, one for each of ours; NULL: nothing is connected, the user does that. */
    const char *const *sources;
    const char *const *targets;
} sa_jack_plan;

/* Makes the ports. False: see `reason`. */
bool sa_jack_client_prepare(sa_jack_client *client, const sa_jack_plan *plan, char *reason);

/* Starts the callbacks and makes the connections. False: see `reason`. */
bool sa_jack_client_start(sa_jack_client *client, char *reason);

/* Ends the callbacks and takes the ports away: what was lent to it may be freed then, and it can
 * be prepared again. False: it is only to be closed. */
bool sa_jack_client_rest(sa_jack_client *client);

/* Looks at the connections, and takes foreign ones away. False: what was to be recorded is not
 * there any more, or not connected; see `reason`. */
bool sa_jack_client_look(sa_jack_client *client, char *reason);

#endif
