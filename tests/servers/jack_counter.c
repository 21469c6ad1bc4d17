/* A JACK client that plays the server's own frame count on its ports, so that a recording tells
 * which frames it holds: value = (frame mod 2^23) * 2^-23, exact in float32. The first two ports
 * play the same; each further one is ahead of the one before by 2^16 frames, so that it can be
 * told from the others.
 *
 * Usage: jack_counter NAME [PORTS [LATENCY [SIGN]]]. LATENCY is what its ports report for captured
 * input, in frames, as a sound card's would. Values are multiplied by SIGN. Prints "ready" once it
 * plays, and for each byte of its standard input what the server counts: "frame COUNT", or for an
 * x of how many xruns it was told: "told COUNT", or for a p that it has one port more, which plays
 * nothing: "ports COUNT". Ends when its standard input does, and prints the xruns: "xruns COUNT".
 */
#include <jack/jack.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_PORTS = 64 };
static jack_client_t *client;
static jack_port_t *ports[MAX_PORTS];
static int port_count = 2;
static float sign = 1;
static _Atomic unsigned xruns;

static int play(jack_nframes_t frames, void *unused) {
    (void)unused;
    uint32_t first = jack_last_frame_time(client);
    for (int port = 0; port < port_count; port++) {
        float *samples = jack_port_get_buffer(ports[port], frames);
        uint32_t ahead = port < 2 ? 0 : (uint32_t)(port - 1) << 16;
        for (jack_nframes_t i = 0; i < frames; i++) {
            samples[i] = sign * (float)((first + ahead + i) & 0x7fffff) * 0x1p-23f;
        }
    }
    return 0;
}

static int count_xrun(void *unused) {
    (void)unused;
    atomic_fetch_add(&xruns, 1);
    return 0;
}

static void report_latency(jack_latency_callback_mode_t mode, void *latency) {
    jack_latency_range_t range = {*(jack_nframes_t *)latency, *(jack_nframes_t *)latency};
    for (int port = 0; port < port_count && mode == JackCaptureLatency; port++) {
        jack_port_set_latency_range(ports[port], mode, &range);
    }
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "counter";
    port_count = argc > 2 ? atoi(argv[2]) : port_count;
    if (port_count < 0 || port_count > MAX_PORTS) {
        fprintf(stderr, "0 to %d ports\n", MAX_PORTS);
        return 2;
    }
    client = jack_client_open(name, JackNoStartServer | JackUseExactName, NULL);
    if (!client) {
        fprintf(stderr, "no JACK server\n");
        return 1;
    }
    jack_set_process_callback(client, play, NULL);
    jack_set_xrun_callback(client, count_xrun, NULL);
    static jack_nframes_t latency;
    sign = argc > 4 ? (float)atof(argv[4]) : sign;
    latency = argc > 3 ? (jack_nframes_t)strtoul(argv[3], NULL, 10) : 0;
    jack_set_latency_callback(client, report_latency, &latency);
    /* A port with latency is a sound card's. */
    unsigned long flags = JackPortIsOutput | (latency > 0 ? JackPortIsPhysical : 0);
    for (int port = 0; port < port_count; port++) {
        char port_name[16];
        snprintf(port_name, sizeof port_name, "out_%d", port + 1);
        ports[port] = jack_port_register(client, port_name, JACK_DEFAULT_AUDIO_TYPE, flags, 0);
    }
    if (jack_activate(client) != 0) {
        fprintf(stderr, "cannot activate\n");
        return 1;
    }
    jack_recompute_total_latencies(client);
    puts("ready");
    fflush(stdout);
    char byte;
    int more = 0;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
        if (byte == 'x') {
            printf("told %u\n", atomic_load(&xruns));
        } else if (byte == 'p') {
            char port_name[16];
            snprintf(port_name, sizeof port_name, "more_%d", ++more);
            jack_port_register(client, port_name, JACK_DEFAULT_AUDIO_TYPE, flags, 0);
            printf("ports %d\n", port_count + more);
        } else {
            printf("frame %u\n", jack_last_frame_time(client));
        }
        fflush(stdout);
    }
    printf("xruns %u\n", atomic_load(&xruns));
    jack_client_close(client);
    return 0;
}
