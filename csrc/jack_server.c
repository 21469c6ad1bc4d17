#include "jack_server.h"

#include <dlfcn.h>

/* The longest period that is taken for life: 8192 frames at 44.1 kHz last 186 ms. */
static const long STANDSTILL_NS = 300 * 1000 * 1000;
static const long LOOK_NS = 1000 * 1000;

sa_host_clock sa_jack_frame_clock(void) {
    sa_host_clock clock = {0};
    void *library = dlopen("libjack.so.0", RTLD_NOW | RTLD_NOLOAD);
    if (library) {
        const char *(*version)(void) =
            (const char *(*)(void))dlsym(library, "jack_get_version_string");
        if (version && strncmp(version(), "1.9.", 4) == 0) {
            clock.read = (sa_read_host_clock)dlsym(library, "jack_last_frame_time");
        }
        dlclose(library); /* gives back RTLD_NOLOAD's reference; the library stays loaded */
    }
    return clock;
}

bool sa_jack_server_runs(void) {
    sa_host_clock clock = sa_jack_frame_clock();
    if (!clock.read) {
        return true;
    }
    uint32_t first = clock.read(clock.client);
    struct timespec look = {.tv_nsec = LOOK_NS};
    for (long waited = 0; waited < STANDSTILL_NS; waited += LOOK_NS) {
        nanosleep(&look, NULL);
        if (clock.read(clock.client) != first) {
            return true;
        }
    }
    return false;
}
