/* A stream that records one source of a PulseAudio server, or PipeWire in its place, and no other;
 * or, of a monitor, what one program plays, until it ends.
 *
 * The server may not move it: a source that goes ends the stream. It has the channels, the map and
 * the rate that were asked for, so a server whose source has these neither mixes nor resamples.
 * Packets go into the capture on the connection's thread; from sa_capture_push on, realtime.h's
 * rules hold. When the stream ends by itself it finishes the capture, so that the reader learns of
 * it at once. PulseAudio's own null sinks and sine sources deliver in lumps of up to 2 s: that is
 * latency, and nothing is lost. While an output sleeps, its monitor is silent (idle.h). What the
 * server says of a monitor's latency is not believed: PulseAudio's figures were off by 0.5 s.
 *
 * Any thread but the connection's own may call these.
 */
#ifndef SA_PULSE_STREAM_H
#define SA_PULSE_STREAM_H

#include "capture.h"
#include "pulse_connection.h"

typedef struct {
    const char *source;      /* the server's own name of it */
    const char *channel_map; /* names of the channels, with commas */
    uint32_t sample_rate;
    uint32_t channels;
    uint32_t fragment;     /* frames that the server is to hand over at once */
    double source_latency; /* seconds, as the source is configured; not of a monitor */
    bool is_monitor;
    int64_t program; /* index of the program that is recorded alone; below 0: none is */
} sa_pulse_settings;

typedef enum {
    SA_PULSE_RUNNING = 0,
    SA_PULSE_SUSPENDED = 1, /* the server has put the source to sleep; it may go on */
    SA_PULSE_ENDED = 2,     /* nothing will come any more */
} sa_pulse_state;

typedef struct {
    int32_t state;                    /* sa_pulse_state */
    bool moved;                       /* it ended because the server moved it all the same */
    char reason[SA_PULSE_TEXT_BYTES]; /* why it ended, in the server's words or, if it was moved,
                                       * the name of the other source */
    int64_t latency_ns;               /* of the last packet, as the server says; 0: it does not */
} sa_pulse_status;

typedef struct sa_pulse_stream sa_pulse_stream;

/* Opens the stream, held still. The capture must outlive it. NULL: see `error`. */
sa_pulse_stream *sa_pulse_stream_open(sa_pulse *pulse, sa_capture *capture,
                                      sa_pulse_settings settings, int64_t timeout_ns,
                                      sa_pulse_error *error);

/* Lets the packets come. */
bool sa_pulse_stream_start(sa_pulse_stream *stream, sa_pulse_error *error);

/* No packet comes after it returned. */
void sa_pulse_stream_stop(sa_pulse_stream *stream);

void sa_pulse_stream_close(sa_pulse_stream *stream);

void sa_pulse_stream_look(sa_pulse_stream *stream, sa_pulse_status *status);

/* Frames that the server hands over at once, as it decided. */
uint32_t sa_pulse_stream_fragment(const sa_pulse_stream *stream);

#endif
