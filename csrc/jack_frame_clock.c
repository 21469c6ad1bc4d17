#include "jack_frame_clock.h"

#include <dlfcn.h>

/* A count that has not moved after this long is of no use: a period is rarely over 100 ms. */
static const long STANDSTILL_NS = 250 * 1000 * 1000;
static const long LOOK_NS = 2 * 1000 * 1000;

enum { JACK_NO_START_SERVER = 1 }; /* JackNoStartServer in jack/types.h */

typedef void *(*client_open)(const char *name, int options, int *status, ...);
typedef int (*client_close)(void *client);

/* PortAudio has loaded the library; without it there is no JACK device. */
static void *jack_function(const char *name) {
    void *library = dlopen("libjack.so.0", RTLD_NOW | RTLD_NOLOAD);
    if (!library) {
        return NULL;
    }
    void *function = dlsym(library, name);
    dlclose(library); /* gives back RTLD_NOLOAD's reference */
    return function;
}

static bool moves(const sa_host_clock *clock) {
    uint32_t first = clock->read(clock->client);
    struct timespec look = {.tv_nsec = LOOK_NS};
    for (long waited = 0; waited < STANDSTILL_NS; waited += LOOK_NS) {
        if (clock->read(clock->client) != first) {
            return true;
        }
        nanosleep(&look, NULL);
    }
    return false;
}

bool sa_jack_frame_clock_open(sa_host_clock *clock) {
    client_open open = (client_open)jack_function("jack_client_open");
    sa_host_clock found = {
        .read = (sa_read_host_clock)jack_function("jack_last_frame_time"),
    };
    if (!open || !found.read) {
        return false;
    }
    found.client = open("stream-audio-clock", JACK_NO_START_SERVER, NULL);
    if (!found.client) {
        return false;
    }
    if (!moves(&found)) {
        sa_jack_frame_clock_close(&found);
        return false;
    }
    *clock = found;
    return true;
}

void sa_jack_frame_clock_close(sa_host_clock *clock) {
    client_close close = (client_close)jack_function("jack_client_close");
    if (clock->client && close) {
        close(clock->client);
    }
    *clock = (sa_host_clock){0};
}
