/* A stream of a generation. Every call goes to the control thread. */
#ifndef SA_PORTAUDIO_STREAM_H
#define SA_PORTAUDIO_STREAM_H

#include "capture.h"
#include "portaudio_generation.h"

typedef struct {
    int32_t device; /* PaDeviceIndex within the generation */
    int32_t channels;
    double sample_rate;
    double latency; /* suggested, seconds */
    int64_t period; /* frames; 0: the host's own */
} sa_stream_settings;

typedef struct sa_stream sa_stream;

/* Opens an input stream that feeds a capture. The capture must outlive the stream, and must never
 * be freed if the stream's generation was condemned: a callback may still come. NULL: see `error`.
 */
sa_stream *sa_stream_open(sa_generation *generation, sa_capture *capture,
                          sa_stream_settings settings, int64_t timeout_ns, sa_call_error *error);

/* A stream of any kind: what sa_stream_open and sa_round_trip_open put into words of PortAudio. */
typedef struct {
    int32_t device;
    int32_t channels;
    double latency; /* suggested, seconds */
} sa_stream_side;

typedef struct {
    sa_stream_side input;
    sa_stream_side output; /* of the same host API; without channels it plays nothing */
    double sample_rate;
    int64_t period; /* frames; 0: the host's own */
    PaStreamCallback *callback;
    void *user_data; /* must outlive the stream, and a condemned generation for good */
} sa_stream_plan;

sa_stream *sa_stream_open_plan(sa_generation *generation, const sa_stream_plan *plan,
                               int64_t timeout_ns, sa_call_error *error);

bool sa_stream_start(sa_stream *stream, int64_t timeout_ns, sa_call_error *error);

/* Waits for what the host still holds, then no callback comes any more. */
bool sa_stream_stop(sa_stream *stream, int64_t timeout_ns, sa_call_error *error);

/* Closes and frees; a stream of a condemned generation is left alone. False: callbacks may still
 * come, see `error`; what they use must stay, and the generation must not be closed. */
bool sa_stream_close(sa_stream *stream, int64_t timeout_ns, sa_call_error *error);

/* 1: the host says that it calls back; 0: it does not (the device or its server is gone);
 * negative: see `error`. */
int sa_stream_is_active(sa_stream *stream, int64_t timeout_ns, sa_call_error *error);

#define SA_UNKNOWN_LATENCY (-1)

/* As the host reports them after opening; a latency that makes no sense is unknown. */
double sa_stream_input_latency(const sa_stream *stream);
double sa_stream_output_latency(const sa_stream *stream);
double sa_stream_sample_rate(const sa_stream *stream);

#endif
