#include "portaudio_library.h"

#include <dlfcn.h>
#include <string.h>

#include "library_copy.h"

#ifdef __APPLE__
static const char *const LIBRARY_NAMES[] = {"libportaudio.2.dylib",
                                            "/opt/homebrew/lib/libportaudio.2.dylib",
                                            "/usr/local/lib/libportaudio.2.dylib", NULL};
#else
static const char *const LIBRARY_NAMES[] = {"libportaudio.so.2", NULL};
#endif

static bool find_library(const char *path, char *found, size_t bytes, char *reason,
                         size_t reason_bytes) {
    const char *const named[] = {path, NULL};
    for (const char *const *name = path ? named : LIBRARY_NAMES; *name; name++) {
        if (sa_library_path(*name, "Pa_Initialize", found, bytes, reason, reason_bytes)) {
            return true;
        }
    }
    return false;
}

/* dlsym gives an object pointer; POSIX promises that it may be used as a function's. */
static void bind(void *handle, const char *name, void *function_pointer) {
    void *symbol = dlsym(handle, name);
    memcpy(function_pointer, &symbol, sizeof symbol);
}

bool sa_portaudio_load(sa_portaudio *library, const char *path, char *reason,
                       size_t reason_bytes) {
    char found[512];
    memset(library, 0, sizeof *library);
    if (!find_library(path, found, sizeof found, reason, reason_bytes)) {
        return false;
    }
    library->handle = sa_library_copy(found, reason, reason_bytes);
    if (!library->handle) {
        return false;
    }
    /* Every name has been in PortAudio since V19's first release. */
    bind(library->handle, "Pa_Initialize", &library->initialize);
    bind(library->handle, "Pa_Terminate", &library->terminate);
    bind(library->handle, "Pa_GetErrorText", &library->get_error_text);
    bind(library->handle, "Pa_GetLastHostErrorInfo", &library->get_last_host_error);
    bind(library->handle, "Pa_GetHostApiInfo", &library->get_host_api);
    bind(library->handle, "Pa_HostApiTypeIdToHostApiIndex", &library->find_host_api);
    bind(library->handle, "Pa_GetDeviceCount", &library->get_device_count);
    bind(library->handle, "Pa_GetDeviceInfo", &library->get_device);
    bind(library->handle, "Pa_GetDefaultInputDevice", &library->get_default_input);
    bind(library->handle, "Pa_GetDefaultOutputDevice", &library->get_default_output);
    bind(library->handle, "Pa_OpenStream", &library->open_stream);
    bind(library->handle, "Pa_StartStream", &library->start_stream);
    bind(library->handle, "Pa_StopStream", &library->stop_stream);
    bind(library->handle, "Pa_CloseStream", &library->close_stream);
    bind(library->handle, "Pa_IsStreamActive", &library->is_stream_active);
    bind(library->handle, "Pa_GetStreamInfo", &library->get_stream_info);
    return true;
}

void sa_portaudio_unload(sa_portaudio *library) {
    if (library->handle) {
        dlclose(library->handle);
        library->handle = NULL;
    }
}
