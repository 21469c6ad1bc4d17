/* A JACK client that plays the server's frame count and logs when: what a recording is timed by.
 *
 * In every cycle it stamps CLOCK_MONOTONIC first, then plays the cycle's frame numbers on two
 * ports: value = (frame mod 2^23) * 2^-23, exact in float32. So each frame that a consumer gets
 * leads to the moment at which it came into being, in a process that no contender can hold up.
 *
 * Usage: jack_cycles NAME. Prints "ready" once it plays. For each line on standard input it
 * prints the number of new log entries and then the entries, as they are in memory. Ends when its
 * standard input does.
 */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */

#include <jack/jack.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PORTS = 2, LOG_LENGTH = 1 << 20 }; /* 93 minutes of 256 frames at 48 kHz */

typedef struct {
    int64_t entry_ns; /* CLOCK_MONOTONIC at entry of the process callback */
    int64_t frame;    /* the cycle's first frame, as JACK counts: modulo 2^32 */
} cycle;

static jack_client_t *client;
static jack_port_t *ports[PORTS];
static cycle cycles[LOG_LENGTH];
static _Atomic size_t logged;

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int play(jack_nframes_t frames, void *unused) {
    (void)unused;
    int64_t entry_ns = now_ns();
    uint32_t first = jack_last_frame_time(client);
    for (int port = 0; port < PORTS; port++) {
        float *samples = jack_port_get_buffer(ports[port], frames);
        for (jack_nframes_t i = 0; i < frames; i++) {
            samples[i] = (float)((first + i) & 0x7fffff) * 0x1p-23f;
        }
    }
    size_t index = atomic_load_explicit(&logged, memory_order_relaxed);
    if (index < LOG_LENGTH) {
        cycles[index] = (cycle){.entry_ns = entry_ns, .frame = first};
        /* Pairs with the acquire in hand_out. */
        atomic_store_explicit(&logged, index + 1, memory_order_release);
    }
    return 0;
}

static void hand_out(void) {
    static size_t handed_out;
    size_t end = atomic_load_explicit(&logged, memory_order_acquire);
    printf("%zu\n", end - handed_out);
    fwrite(cycles + handed_out, sizeof *cycles, end - handed_out, stdout);
    fflush(stdout);
    handed_out = end;
}

int main(int argc, char **argv) {
    memset(cycles, 1, sizeof cycles); /* no page fault in the callback */
    client = jack_client_open(argc > 1 ? argv[1] : "cycles", JackNoStartServer | JackUseExactName,
                              NULL);
    if (!client) {
        fprintf(stderr, "no JACK server\n");
        return 1;
    }
    jack_set_process_callback(client, play, NULL);
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
    for (int c; (c = getchar()) != EOF;) {
        if (c == '\n') {
            hand_out();
        }
    }
    jack_client_close(client);
    return 0;
}
