#define _GNU_SOURCE
#include "library_copy.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef RTLD_DEEPBIND
#define RTLD_DEEPBIND 0
#endif

bool sa_library_path(const char *name, const char *symbol, char *path, size_t path_bytes,
                     char *reason, size_t reason_bytes) {
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!handle) {
        snprintf(reason, reason_bytes, "%s", dlerror());
        return false;
    }
    Dl_info info;
    void *address = dlsym(handle, symbol);
    bool found = address && dladdr(address, &info) && info.dli_fname;
    if (found) {
        snprintf(path, path_bytes, "%s", info.dli_fname);
    } else {
        snprintf(reason, reason_bytes, "%s has no %s", name, symbol);
    }
    dlclose(handle); /* RTLD_NODELETE keeps it */
    return found;
}

/* A new inode: nameless in memory on Linux, elsewhere a temporary file whose name is removed once
 * it has been opened. `name` is what dlopen is to be given. The linker goes by names before it
 * goes by inodes, and numbers of descriptors come again; so the number of the copy is written into
 * the path, in steps that lead nowhere: "./" for a 0, ".//" for a 1. */
static int new_inode(char *name, size_t bytes) {
#ifdef __linux__
    static _Atomic unsigned copies;
    int file = memfd_create("stream-audio", MFD_CLOEXEC);
    int length = snprintf(name, bytes, "/proc/self/fd/");
    for (unsigned number = ++copies; number > 0; number /= 2) {
        length += snprintf(name + length, bytes - (size_t)length, number % 2 ? ".//" : "./");
    }
    snprintf(name + length, bytes - (size_t)length, "%d", file);
#else
    const char *folder = getenv("TMPDIR");
    snprintf(name, bytes, "%s/stream-audio-XXXXXX", folder ? folder : "/tmp");
    int file = mkstemp(name);
#endif
    return file;
}

static bool copy_bytes(int from, int to) {
    static const size_t PIECE = 65536;
    char *buffer = malloc(PIECE);
    bool copied = buffer != NULL;
    for (ssize_t got; copied && (got = read(from, buffer, PIECE)) != 0;) {
        copied = got > 0 && write(to, buffer, (size_t)got) == got;
    }
    free(buffer);
    return copied;
}

void *sa_library_copy(const char *path, char *reason, size_t reason_bytes) {
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
    if (copy >= 0) {
#ifndef __linux__
        unlink(name);
#endif
        close(copy); /* the mapping holds the inode */
    }
    if (source >= 0) {
        close(source);
    }
    return handle;
}
