#include "portaudio_stream.h"

#include <math.h>
#include <stdlib.h>

#include "realtime.h"

/* More is no latency but a fault of the host's. */
static const double LONGEST_LATENCY = 60;

struct sa_stream {
    sa_generation *generation;
    PaStream *stream;
    double input_latency;
    double output_latency;
    double sample_rate;
};

/* What travels to the control thread and back. */
typedef struct {
    sa_stream_plan plan;
    sa_stream stream;
    int active;
} stream_request;

static PaStreamParameters parameters(const sa_stream_side *side) {
    return (PaStreamParameters){
        .device = side->device,
        .channelCount = side->channels,
        .sampleFormat = paFloat32, /* interleaved */
        .suggestedLatency = side->latency,
    };
}

static double sensible_latency(double reported) {
    return reported >= 0 && reported <= LONGEST_LATENCY ? reported : SA_UNKNOWN_LATENCY;
}

static void open_stream(const sa_portaudio *library, void *argument, sa_call_error *error) {
    stream_request *request = argument;
    const sa_stream_plan *plan = &request->plan;
    sa_stream *stream = &request->stream;
    PaStreamParameters input = parameters(&plan->input);
    PaStreamParameters output = parameters(&plan->output);
    /* Clipping and dither would change samples on their way; what the host has is what we want. */
    PaError code = library->open_stream(
        &stream->stream, &input, plan->output.channels > 0 ? &output : NULL, plan->sample_rate,
        (unsigned long)plan->period, paClipOff | paDitherOff, plan->callback, plan->user_data);
    if (code != paNoError) {
        sa_call_failed(library, code, error);
        return;
    }
    const PaStreamInfo *info = library->get_stream_info(stream->stream);
    stream->input_latency = sensible_latency(info ? info->inputLatency : -1);
    stream->output_latency = sensible_latency(info ? info->outputLatency : -1);
    stream->sample_rate = info ? info->sampleRate : plan->sample_rate;
}

static void check(const sa_portaudio *library, PaError code, sa_call_error *error) {
    if (code < 0) {
        sa_call_failed(library, code, error);
    }
}

static void start_stream(const sa_portaudio *library, void *argument, sa_call_error *error) {
    stream_request *request = argument;
    check(library, library->start_stream(request->stream.stream), error);
}

static void stop_stream(const sa_portaudio *library, void *argument, sa_call_error *error) {
    stream_request *request = argument;
    check(library, library->stop_stream(request->stream.stream), error);
}

static void close_stream(const sa_portaudio *library, void *argument, sa_call_error *error) {
    stream_request *request = argument;
    check(library, library->close_stream(request->stream.stream), error);
}

static void is_active(const sa_portaudio *library, void *argument, sa_call_error *error) {
    stream_request *request = argument;
    request->active = library->is_stream_active(request->stream.stream);
    check(library, request->active, error);
}

sa_stream *sa_stream_open_plan(sa_generation *generation, const sa_stream_plan *plan,
                               int64_t timeout_ns, sa_call_error *error) {
    sa_stream *stream = calloc(1, sizeof *stream);
    stream_request request = {.plan = *plan, .stream = {.generation = generation}};
    if (!stream) {
        error->status = SA_CALL_NO_MEMORY;
        return NULL;
    }
    if (!sa_generation_call(generation, open_stream, &request, sizeof request, timeout_ns,
                            error)) {
        free(stream);
        return NULL;
    }
    *stream = request.stream;
    return stream;
}

sa_stream *sa_stream_open(sa_generation *generation, sa_capture *capture,
                          sa_stream_settings settings, int64_t timeout_ns, sa_call_error *error) {
    sa_stream_plan plan = {
        .input = {settings.device, settings.channels, settings.latency},
        .sample_rate = settings.sample_rate,
        .period = settings.period,
        .callback = sa_portaudio_callback,
        .user_data = capture,
    };
    sa_stream *stream = sa_stream_open_plan(generation, &plan, timeout_ns, error);
    if (stream) {
        capture->host_latency_ns = (int64_t)(fmax(stream->input_latency, 0) * 1e9);
    }
    return stream;
}

static bool call(sa_stream *stream, sa_control_call what, int64_t timeout_ns,
                 sa_call_error *error) {
    stream_request request = {.stream = *stream};
    return sa_generation_call(stream->generation, what, &request, sizeof request, timeout_ns,
                              error);
}

bool sa_stream_start(sa_stream *stream, int64_t timeout_ns, sa_call_error *error) {
    return call(stream, start_stream, timeout_ns, error);
}

bool sa_stream_stop(sa_stream *stream, int64_t timeout_ns, sa_call_error *error) {
    return call(stream, stop_stream, timeout_ns, error);
}

bool sa_stream_close(sa_stream *stream, int64_t timeout_ns, sa_call_error *error) {
    bool closed = call(stream, close_stream, timeout_ns, error);
    free(stream); /* our handle only; of a condemned generation nothing else is touched */
    return closed;
}

int sa_stream_is_active(sa_stream *stream, int64_t timeout_ns, sa_call_error *error) {
    stream_request request = {.stream = *stream};
    if (!sa_generation_call(stream->generation, is_active, &request, sizeof request, timeout_ns,
                            error)) {
        return -1;
    }
    return request.active;
}

double sa_stream_input_latency(const sa_stream *stream) {
    return stream->input_latency;
}

double sa_stream_output_latency(const sa_stream *stream) {
    return stream->output_latency;
}

double sa_stream_sample_rate(const sa_stream *stream) {
    return stream->sample_rate;
}
