#include "pulse_library.h"

#include <stdio.h>

#include "platform.h"

static const char LIBRARY_NAME[] = "libpulse.so.0";

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
    return true;
}
