/* JACK as PortAudio's JACK part calls it, forwarded to the system's library: so the bundled
 * PortAudio records from a JACK server where there is one, and loads where libjack is missing. */
#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <jack/jack.h>

/* Looked up before the first client opens: dlsym takes a lock, and some of these are called on the
 * audio thread. */
#define JACK_FUNCTION(type, name, parameters, arguments) static type(*its_##name) parameters;
JACK_FUNCTIONS
#undef JACK_FUNCTION

static void *library;

/* dlsym gives an object pointer; POSIX promises that it may be used as a function's. */
static bool find(const char *name, void *function_pointer) {
    void *symbol = dlsym(library, name);
    memcpy(function_pointer, &symbol, sizeof symbol);
    return symbol != NULL;
}

static bool find_all(void) {
#define JACK_FUNCTION(type, name, parameters, arguments) &&find(#name, &its_##name)
    return library JACK_FUNCTIONS;
#undef JACK_FUNCTION
}

jack_client_t *jack_client_open(const char *name, jack_options_t options, jack_status_t *status,
                                ...) {
    jack_client_t *(*its_open)(const char *, jack_options_t, jack_status_t *, ...);
    if (!library) {
        /* It stays: its threads and listeners outlive this copy of PortAudio. */
        library = dlopen("libjack.so.0", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    }
    if (!find_all() || !find("jack_client_open", &its_open)) {
        return NULL; /* PortAudio then goes on without JACK */
    }
    return its_open(name, options, status);
}

/* The process has a listener already (csrc/host_messages.c). PortAudio's own would be called when
 * its copy is long unloaded. */
void jack_set_error_function(JackErrorCallbackFunction callback) {
    (void)callback;
}

#define JACK_FUNCTION(type, name, parameters, arguments)                                          \
    type name parameters {                                                                        \
        return its_##name arguments;                                                              \
    }
JACK_FUNCTIONS
