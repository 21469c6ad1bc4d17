/* A round trip: a signal is played again and again, and what comes back is kept, frame by frame of
 * the same callback. So frame n of `heard` was captured while frame n of the played signal was
 * handed over, and a signal that comes back d frames later has taken d frames for the way out,
 * the way back, and every buffer between.
 *
 * Who may call what
 *   audio thread   sa_round_trip_exchange (realtime.c), the one writer
 *   any thread     sa_round_trip_look; frames of `heard` before its count may be read
 */
#ifndef SA_ROUND_TRIP_H
#define SA_ROUND_TRIP_H

#include "portaudio_stream.h"

typedef struct {
    /* Set before the stream is opened; the memory is the caller's. */
    const float *signal; /* one channel, played on every output channel */
    int64_t signal_frames;
    float *heard; /* interleaved; zeroed before, so that no page faults on the audio thread */
    int64_t heard_frames;
    uint32_t inputs; /* channels; set by the opening */
    uint32_t outputs;

    int64_t next; /* of the signal; the audio thread's own */

    /* Written by the audio thread, read by anyone. */
    _Atomic int64_t frames;     /* of `heard` that are there */
    _Atomic int64_t overflows;  /* callbacks that carried the host's flag */
    _Atomic int64_t underflows; /* the same, for what is played */
} sa_round_trip;

typedef struct {
    int64_t frames;
    int64_t overflows;
    int64_t underflows;
} sa_round_trip_progress;

/* A duplex stream; it starts, stops and closes like any other. The round trip and its memory must
 * outlive it, and must never be freed if the stream's generation was condemned. */
sa_stream *sa_round_trip_open(sa_generation *generation, sa_round_trip *trip, sa_stream_side input,
                              sa_stream_side output, double sample_rate, int64_t period,
                              int64_t timeout_ns, sa_call_error *error);

sa_round_trip_progress sa_round_trip_look(const sa_round_trip *trip);

#endif
