#ifndef _WIN32
#define _GNU_SOURCE
#include "platform.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/futex.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include "clock.h"

#ifndef RTLD_DEEPBIND
#define RTLD_DEEPBIND 0
#endif

/* ---- libraries ---- */

void *sa_library_open(const char *name, char *reason, size_t reason_bytes) {
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library && reason) {
        snprintf(reason, reason_bytes, "%s", dlerror());
    }
    return library;
}

void *sa_library_loaded(const char *name) {
    return dlopen(name, RTLD_NOW | RTLD_NOLOAD);
}

void sa_library_close(void *library) {
    dlclose(library);
}

/* dlsym gives an object pointer; POSIX promises that it may be used as a function's. */
bool sa_library_symbol(void *library, const char *name, void *function_pointer) {
    void *symbol = dlsym(library, name);
    memcpy(function_pointer, &symbol, sizeof symbol);
    return symbol != NULL;
}

bool sa_library_path(const char *name, const char *symbol, char *path, size_t path_bytes,
                     char *reason, size_t reason_bytes) {
    void *library = sa_library_open(name, reason, reason_bytes);
    if (!library) {
        return false;
    }
    Dl_info info;
    void *address = dlsym(library, symbol);
    bool found = address && dladdr(address, &info) && info.dli_fname;
    if (found) {
        snprintf(path, path_bytes, "%s", info.dli_fname);
    } else {
        snprintf(reason, reason_bytes, "%s has no %s", name, symbol);
    }
    dlclose(library);
    return found;
}

/* A new inode: nameless in memory on Linux, elsewhere a temporary file whose name is removed once
 * it has been opened. `name` is what dlopen is to be given. The linker goes by names before it
 * goes by inodes, and numbers of descriptors come again; so the number of the copy is written into
 * the path, in steps that lead nowhere: "./" for a 0, ".//" for a 1. */
static int new_inode(char *name, size_t bytes) {
#ifdef __linux__
    static _Atomic unsigned copies;
    enum {
        CLOSE_ON_EXEC = 1
    }; /* MFD_CLOEXEC; glibc 2.17, which wheels are built for, has neither */
    int file = (int)syscall(SYS_memfd_create, "stream-audio", CLOSE_ON_EXEC);
    int length = snprintf(name, bytes, "/proc/self/fd/");
    for (unsigned number = 1 + atomic_fetch_add_explicit(&copies, 1, memory_order_relaxed);
         number > 0; number /= 2) {
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
    void *library = NULL;
    if (copy < 0 || !copy_bytes(source, copy)) {
        snprintf(reason, reason_bytes, "cannot copy %s: %s", path, strerror(errno));
    } else {
        library = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
        if (!library) {
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
    return library;
}

/* ---- memory ---- */

void *sa_map_for_audio(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return NULL;
    }
#ifdef MADV_DONTFORK
    madvise(memory, bytes, MADV_DONTFORK);
#endif
#ifdef MADV_HUGEPAGE
    /* Where it is large enough: fewer translations for a callback to find forgotten. */
    madvise(memory, bytes, MADV_HUGEPAGE);
#endif
    memset(memory, 0, bytes);
#ifdef MADV_NOHUGEPAGE
    /* Those there are stay. But small ones must not become one while a callback writes to them: it
     * would fault, and wait. */
    madvise(memory, bytes, MADV_NOHUGEPAGE);
#endif
    return memory;
}

void sa_unmap_for_audio(void *memory, size_t bytes) {
    munmap(memory, bytes);
}

void sa_empty_for_audio(void *memory, size_t bytes) {
    madvise(memory, bytes, MADV_DONTNEED);
}

/* ---- time ---- */

static struct timespec timespec_of(int64_t ns) {
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

#ifdef __APPLE__
void sa_cond_init(pthread_cond_t *cond) {
    pthread_cond_init(cond, NULL);
}

static int timed_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ns) {
    int64_t left = until_ns - sa_clock_now(sa_clock_real());
    struct timespec span = timespec_of(left);
    return left > 0 ? pthread_cond_timedwait_relative_np(cond, mutex, &span) : ETIMEDOUT;
}
#else
void sa_cond_init(pthread_cond_t *cond) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

static int timed_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ns) {
    struct timespec at = timespec_of(until_ns);
    return pthread_cond_timedwait(cond, mutex, &at);
}
#endif

bool sa_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ns) {
    if (until_ns == SA_NEVER) {
        return pthread_cond_wait(cond, mutex) == 0;
    }
    return timed_wait(cond, mutex, until_ns) == 0;
}

void sa_sleep(int64_t ns) {
    struct timespec span = timespec_of(ns);
    nanosleep(&span, NULL);
}

int64_t sa_time_asleep(void) {
#ifdef CLOCK_BOOTTIME
    /* Three readings without a break between them, or the break would count as sleep. */
    static const int64_t at_once_ns = 1000 * 1000;
    const sa_clock *clock = sa_clock_real();
    int64_t before;
    int64_t after;
    struct timespec boot;
    do {
        before = sa_clock_now(clock);
        clock_gettime(CLOCK_BOOTTIME, &boot);
        after = sa_clock_now(clock);
    } while (after - before > at_once_ns);
    return (int64_t)boot.tv_sec * 1000000000 + boot.tv_nsec - before;
#else
    return 0;
#endif
}

void sa_ask_for_precise_timers(void) {
#ifdef __linux__
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
#endif
}

/* ---- sleeping on a word ---- */

#ifdef __linux__
void sa_word_wait(_Atomic uint32_t *word, uint32_t expected, int64_t until_ns) {
    /* A wait with a set of bits is the one whose time is absolute. */
    struct timespec at = timespec_of(until_ns);
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected,
            until_ns == SA_NEVER ? NULL : &at, NULL, FUTEX_BITSET_MATCH_ANY);
}

void sa_word_wake(_Atomic uint32_t *word) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
#else
/* What libc++ uses under std::atomic::wait; macOS 14.4 has public names for it, which older ones
 * lack. Never run. */
extern int __ulock_wait(uint32_t operation, void *address, uint64_t expected, uint32_t us);
extern int __ulock_wake(uint32_t operation, void *address, uint64_t unused);
enum { COMPARE_AND_WAIT = 1, LONGEST_WAIT_US = 1000 * 1000 };

void sa_word_wait(_Atomic uint32_t *word, uint32_t expected, int64_t until_ns) {
    int64_t left_us = (until_ns - sa_clock_now(sa_clock_real())) / 1000 + 1;
    int64_t us = left_us < LONGEST_WAIT_US ? left_us : LONGEST_WAIT_US;
    if (us > 0) { /* 0 would mean without an end */
        __ulock_wait(COMPARE_AND_WAIT, (void *)word, expected, (uint32_t)us);
    }
}

void sa_word_wake(_Atomic uint32_t *word) {
    __ulock_wake(COMPARE_AND_WAIT, (void *)word, 0);
}
#endif

/* ---- bells ---- */

void sa_bell_ring(int bell) {
    const uint64_t once = 1;
    /* It fails only where it has been rung 2**64 - 2 times already. */
    ssize_t written = write(bell, &once, sizeof once);
    (void)written;
}
#else
typedef int a_translation_unit_must_not_be_empty;
#endif
