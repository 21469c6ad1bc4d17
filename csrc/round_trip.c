#include "round_trip.h"

#include "realtime.h"

sa_stream *sa_round_trip_open(sa_generation *generation, sa_round_trip *trip, sa_stream_side input,
                              sa_stream_side output, double sample_rate, int64_t period,
                              int64_t timeout_ns, sa_call_error *error) {
    trip->inputs = (uint32_t)input.channels;
    trip->outputs = (uint32_t)output.channels;
    sa_stream_plan plan = {
        .input = input,
        .output = output,
        .sample_rate = sample_rate,
        .period = period,
        .callback = sa_round_trip_callback,
        .user_data = trip,
    };
    return sa_stream_open_plan(generation, &plan, timeout_ns, error);
}

sa_round_trip_progress sa_round_trip_look(const sa_round_trip *trip) {
    return (sa_round_trip_progress){
        /* Pairs with the release in sa_round_trip_exchange: those frames are there. */
        .frames = atomic_load_explicit(&trip->frames, memory_order_acquire),
        .overflows = atomic_load_explicit(&trip->overflows, memory_order_relaxed),
        .underflows = atomic_load_explicit(&trip->underflows, memory_order_relaxed),
    };
}
