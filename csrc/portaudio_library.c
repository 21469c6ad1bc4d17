#define _GNU_SOURCE
#include "portaudio_library.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __APPLE__
static const char *const LIBRARY_NAMES[] = {
    "libportaudio.2.dylib", "/opt/homebrew/lib/libportaudio.2.dylib",
    "/usr/local/lib/libportaudio.2.dylib", NULL};
#else
static const char *const LIBRARY_NAMES[] = {"libportaudio.so.2", NULL};
#endif

#ifndef RTLD_DEEPBIND
#define RTLD_DEEPBIND 0
#endif

/* Where the system's library lies. Its handle is kept for good: what it is linked with (libjack,
 * libasound) then stays loaded, however many copies come and go. */
static bool find_library(const char *path, char *found, size_t bytes, char *reason,
                         size_t reason_bytes) {
    const char *const named[] = {path, NULL};
    void *handle = NULL;
    for (const char *const *name = path ? named : LIBRARY_NAMES; *name && !handle; name++) {
        handle = dlopen(*name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    }
    if (!handle) {
        snprintf(reason, reason_bytes, "%s", dlerror());
        return false;
    }
    Dl_info info;
    void *symbol = dlsym(handle, "Pa_Initialize");
    if (!symbol || !dladdr(symbol, &info) || !info.dli_fname) {
        snprintf(reason, reason_bytes, "%s is not PortAudio", path ? path : LIBRARY_NAMES[0]);
        dlclose(handle);
        return false;
    }
    snprintf(found, bytes, "%s", info.dli_fname);
    dlclose(handle); /* RTLD_NODELETE keeps it */
    return true;
}

static bool copy_bytes(int from, int to) {
    static const size_t CHUNK = 65536;
    char *buffer = malloc(CHUNK);
    bool copied = buffer != NULL;
    for (ssize_t got; copied && (got = read(from, buffer, CHUNK)) != 0;) {
        copied = got > 0 && write(to, buffer, (size_t)got) == got;
    }
    free(buffer);
    return copied;
}

/* A new inode: nameless in memory on Linux, elsewhere a temporary file whose name is removed once
 * it has been opened. `name` is what dlopen is to be given. */
static int new_inode(char *name, size_t bytes) {
#ifdef __linux__
    int fd = memfd_create("portaudio", MFD_CLOEXEC);
    snprintf(name, bytes, "/proc/self/fd/%d", fd);
#else
    snprintf(name, bytes, "%s/portaudio-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    int fd = mkstemp(name);
#endif
    return fd;
}

static void *open_copy(const char *path, char *reason, size_t reason_bytes) {
    char name[512];
    int source = open(path, O_RDONLY | O_CLOEXEC);
    int copy = source < 0 ? -1 : new_inode(name, sizeof name);
    void *handle = NULL;
    if (copy < 0 || !copy_bytes(source, copy)) {
        snprintf(reason, reason_bytes, "cannot copy %s: %s", path, strerror(errno));
    } else {
        handle = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
        if (!handle) {
            snprintf(reason, reason_bytes, "%s", dlerror());
        }
    }
#ifndef __linux__
    if (copy >= 0) {
        unlink(name);
    }
#endif
    if (copy >= 0) {
        close(copy); /* the mapping holds the inode */
    }
    if (source >= 0) {
        close(source);
    }
    return handle;
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
    library->handle = open_copy(found, reason, reason_bytes);
    if (!library->handle) {
        return false;
    }
    /* Every name has been in PortAudio since V19's first release. */
    bind(library->handle, "Pa_Initialize", &library->initialize);
    bind(library->handle, "Pa_Terminate", &library->terminate);
    bind(library->handle, "Pa_GetErrorText", &library->get_error_text);
    bind(library->handle, "Pa_GetLastHostErrorInfo", &library->get_last_host_error);
    bind(library->handle, "Pa_GetHostApiInfo", &library->get_host_api);
    bind(library->handle, "Pa_GetDeviceCount", &library->get_device_count);
    bind(library->handle, "Pa_GetDeviceInfo", &library->get_device);
    bind(library->handle, "Pa_GetDefaultInputDevice", &library->get_default_input);
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
