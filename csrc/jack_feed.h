/* What JACK's process callback works on: our ports, and what their frames are for.
 *
 * Who may call what
 *   JACK's thread            sa_jack_process (realtime.h)
 *   its notification thread  sets `astray`
 *   any thread               sets up before the client is activated; clears `astray`
 */
#ifndef SA_JACK_FEED_H
#define SA_JACK_FEED_H

#include "capture.h"
#include "jack_library.h"
#include "levels.h"
#include "round_trip.h"

typedef struct {
    /* One of these: frames go into the capture, or are exchanged by the round trip. */
    sa_capture *capture;
    sa_round_trip *trip;

    const sa_jack_library *library;
    sa_jack_handle *client;
    sa_jack_port_handle *inputs[SA_MAX_CHANNELS];
    sa_jack_port_handle *outputs[SA_MAX_CHANNELS];
    uint32_t input_count;
    uint32_t output_count;
    sa_jack_port_handle *latency_port; /* whose capture latency is ours */
    bool watched; /* each input has exactly the connection that we made, or nothing is taken */
    float *interleaved; /* `room` frames in, then `room` frames out */
    uint32_t room;
    double frame_ns;

    uint64_t now; /* the server's count, extended to 64 bits; the audio thread's own */

    /* A connection is not as we made it. No frame is taken until a look at it has mended that. */
    _Atomic bool astray;
} sa_jack_feed;

#endif
