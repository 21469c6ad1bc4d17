#include "jack_library.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "host_messages.h"
#include "platform.h"

#ifdef __APPLE__
static const char LIBRARY_NAME[] = "libjack.0.dylib";
#elif defined(_WIN32)
static const char LIBRARY_NAME[] = "libjack64.dll";
#else
static const char LIBRARY_NAME[] = "libjack.so.0";
#endif

#define NAMED(name) {"jack_" #name, offsetof(sa_jack_library, name)}

static const struct {
    const char *name;
    size_t offset;
} FUNCTIONS[] = {
    NAMED(get_version_string),
    NAMED(free),
    NAMED(client_open),
    NAMED(client_close),
    NAMED(get_client_name),
    NAMED(activate),
    NAMED(deactivate),
    NAMED(on_info_shutdown),
    NAMED(set_process_callback),
    NAMED(set_port_connect_callback),
    NAMED(set_port_registration_callback),
    NAMED(get_sample_rate),
    NAMED(get_buffer_size),
    NAMED(last_frame_time),
    NAMED(frame_time),
    NAMED(port_register),
    NAMED(port_unregister),
    NAMED(port_name),
    NAMED(port_flags),
    NAMED(port_by_name),
    NAMED(port_by_id),
    NAMED(port_get_buffer),
    NAMED(port_get_latency_range),
    NAMED(port_connected),
    NAMED(port_connected_to),
    NAMED(port_get_connections),
    NAMED(get_ports),
    NAMED(connect),
    NAMED(disconnect),
};

static bool load(sa_jack_library *library, char *reason, size_t reason_bytes) {
    void *handle = sa_library_open(LIBRARY_NAME, reason, reason_bytes);
    if (!handle) {
        return false;
    }
    for (size_t i = 0; i < sizeof FUNCTIONS / sizeof *FUNCTIONS; i++) {
        if (!sa_library_symbol(handle, FUNCTIONS[i].name, (char *)library + FUNCTIONS[i].offset)) {
            snprintf(reason, reason_bytes, "%s has no %s", LIBRARY_NAME, FUNCTIONS[i].name);
            return false;
        }
    }
    library->is_jack2 = strncmp(library->get_version_string(), "1.9.", 4) == 0;
    return true;
}

const sa_jack_library *sa_jack_library_load(char *reason, size_t reason_bytes) {
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static sa_jack_library library;
    static bool loaded;
    pthread_mutex_lock(&mutex);
    loaded = loaded || load(&library, reason, reason_bytes);
    const sa_jack_library *found = loaded ? &library : NULL;
    pthread_mutex_unlock(&mutex);
    if (found) {
        sa_host_messages_capture(); /* libjack prints what nobody listens to */
    }
    return found;
}
