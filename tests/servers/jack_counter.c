/* A JACK client that plays the server's own frame count on two ports, so that a recording tells
 * which frames it holds: value = (frame mod 2^23) * 2^-23, exact in float32.
 *
 * Usage: jack_counter NAME. Prints "ready" once it plays. Ends when its standard input does, and
 * prints how many xruns it was told of: "xruns COUNT".
 */
#include <jack/jack.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

enum { PORTS = 2 };
static jack_client_t *client;
static jack_port_t *ports[PORTS];
static _Atomic unsigned xruns;

static int play(jack_nframes_t frames, void *unused) {
    (void)unused;
    uint32_t first = jack_last_frame_time(client);
    for (int port = 0; port < PORTS; port++) {
        float *samples = jack_port_get_buffer(ports[port], frames);
        for (jack_nframes_t i = 0; i < frames; i++) {
            samples[i] = (float)((first + i) & 0x7fffff) * 0x1p-23f;
        }
    }
    return 0;
}

static int count_xrun(void *unused) {
    (void)unused;
    atomic_fetch_add(&xruns, 1);
    return 0;
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "counter";
    client = jack_client_open(name, JackNoStartServer | JackUseExactName, NULL);
    if (!client) {
        fprintf(stderr, "no JACK server\n");
        return 1;
    }
    jack_set_process_callback(client, play, NULL);
    jack_set_xrun_callback(client, count_xrun, NULL);
    static const char *const port_names[PORTS] = {"left", "right"};
    for (int port = 0; port < PORTS; port++) {
        ports[port] = jack_port_register(client, port_names[port], JACK_DEFAULT_AUDIO_TYPE,
                                         JackPortIsOutput, 0);
    }
    if (jack_activate(client) != 0) {
        fprintf(stderr, "cannot activate\n");
        return 1;
    }
    puts("ready");
    fflush(stdout);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    printf("xruns %u\n", atomic_load(&xruns));
    jack_client_close(client);
    return 0;
}
