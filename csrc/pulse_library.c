#include "pulse_library.h"

#include <stdatomic.h>
#include <stdio.h>

#include "platform.h"

static const char LIBRARY_NAME[] = "libpulse.so.0";

/* libpulse prints to stderr what ails it: a folder that is another user's, a line in its
 * configuration. libpulsecommon, which it is linked to and which ALSA's plug-in shares, can be
 * told not to. That is no part of libpulse's interface, so it is done where it can be done; both
 * functions have been there, with opaque arguments, since version 3.0 (2012). */
static void silence(void *handle) {
    static atomic_flag done = ATOMIC_FLAG_INIT;
    void *(*parse)(const char *) = NULL;
    int (*set)(void *) = NULL;
    if (!atomic_flag_test_and_set(&done) &&
        sa_library_symbol(handle, "pa_log_parse_target", &parse) &&
        sa_library_symbol(handle, "pa_log_set_target", &set)) {
        void *nowhere = parse("null");
        if (nowhere) {
            set(nowhere); /* keeps it */
        }
    }
}

bool sa_libpulse_load(sa_libpulse *library, const char *path, char *reason, size_t reason_bytes) {
    const char *name = path ? path : LIBRARY_NAME;
    void *handle = sa_library_open(name, reason, reason_bytes);
    if (!handle) {
        return false;
    }
#define BIND(function)                                                                            \
    if (!sa_library_symbol(handle, "pa_" #function, &library->function)) {                        \
        snprintf(reason, reason_bytes, "%s has no pa_" #function, name);                          \
        sa_library_close(handle);                                                                 \
        return false;                                                                             \
    }
    SA_PULSE_FUNCTIONS(BIND)
#undef BIND
    silence(handle);
    return true;
}
