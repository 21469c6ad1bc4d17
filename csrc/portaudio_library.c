#include "portaudio_library.h"

#include <string.h>

#include "platform.h"
#include "portaudio_restraints.h"

#ifdef __APPLE__
static const char *const LIBRARY_NAMES[] = {"libportaudio.2.dylib",
                                            "/opt/homebrew/lib/libportaudio.2.dylib",
                                            "/usr/local/lib/libportaudio.2.dylib", NULL};
#elif defined(_WIN32)
static const char *const LIBRARY_NAMES[] = {"portaudio.dll", NULL};
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
    sa_portaudio_restrain(library->handle);
    /* Every name has been in PortAudio since V19's first release. */
    sa_library_symbol(library->handle, "Pa_Initialize", &library->initialize);
    sa_library_symbol(library->handle, "Pa_Terminate", &library->terminate);
    sa_library_symbol(library->handle, "Pa_GetErrorText", &library->get_error_text);
    sa_library_symbol(library->handle, "Pa_GetLastHostErrorInfo", &library->get_last_host_error);
    sa_library_symbol(library->handle, "Pa_GetHostApiInfo", &library->get_host_api);
    sa_library_symbol(library->handle, "Pa_GetDeviceCount", &library->get_device_count);
    sa_library_symbol(library->handle, "Pa_GetDeviceInfo", &library->get_device);
    sa_library_symbol(library->handle, "Pa_GetDefaultInputDevice", &library->get_default_input);
    sa_library_symbol(library->handle, "Pa_GetDefaultOutputDevice", &library->get_default_output);
    sa_library_symbol(library->handle, "Pa_OpenStream", &library->open_stream);
    sa_library_symbol(library->handle, "Pa_StartStream", &library->start_stream);
    sa_library_symbol(library->handle, "Pa_StopStream", &library->stop_stream);
    sa_library_symbol(library->handle, "Pa_CloseStream", &library->close_stream);
    sa_library_symbol(library->handle, "Pa_IsStreamActive", &library->is_stream_active);
    sa_library_symbol(library->handle, "Pa_GetStreamInfo", &library->get_stream_info);
    return true;
}

void sa_portaudio_unload(sa_portaudio *library) {
    if (library->handle) {
        sa_library_close(library->handle);
        library->handle = NULL;
    }
}
