/* Compiled by `scripts/check --cross` and never run: what a port to Windows would begin with. */
#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include "platform.h"

#include <errno.h>
#include <io.h>
#include <stdio.h>
#include <string.h>
#include <windows.h>

#include <realtimeapiset.h>

#include "clock.h"

/* ---- libraries ---- */

static void explain(char *reason, size_t reason_bytes, const char *what, const char *name) {
    if (reason) {
        snprintf(reason, reason_bytes, "%s %s: error %lu", what, name, GetLastError());
    }
}

void *sa_library_open(const char *name, char *reason, size_t reason_bytes) {
    HMODULE library = LoadLibraryA(name);
    HMODULE pinned;
    if (!library) {
        explain(reason, reason_bytes, "cannot load", name);
    } else {
        GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_PIN, name, &pinned);
    }
    return library;
}

void *sa_library_loaded(const char *name) {
    HMODULE library = NULL;
    return GetModuleHandleExA(0, name, &library) ? library : NULL;
}

void sa_library_close(void *library) {
    FreeLibrary(library);
}

bool sa_library_symbol(void *library, const char *name, void *function_pointer) {
    FARPROC symbol = GetProcAddress(library, name);
    memcpy(function_pointer, &symbol, sizeof symbol);
    return symbol != NULL;
}

bool sa_library_path(const char *name, const char *symbol, char *path, size_t path_bytes,
                     char *reason, size_t reason_bytes) {
    HMODULE library = sa_library_open(name, reason, reason_bytes);
    if (!library) {
        return false;
    }
    bool found = GetProcAddress(library, symbol) != NULL;
    if (!found) {
        snprintf(reason, reason_bytes, "%s has no %s", name, symbol);
    } else if (GetModuleFileNameA(library, path, (DWORD)path_bytes) == 0) {
        explain(reason, reason_bytes, "no path of", name);
        found = false;
    }
    FreeLibrary(library);
    return found;
}

/* A file of another name is another library to the loader. It is removed when the machine starts
 * again, as a loaded one cannot be. */
void *sa_library_copy(const char *path, char *reason, size_t reason_bytes) {
    char folder[MAX_PATH + 1];
    char name[MAX_PATH + 1];
    HMODULE library = NULL;
    if (!GetTempPathA(sizeof folder, folder) || !GetTempFileNameA(folder, "sa", 0, name) ||
        !CopyFileA(path, name, FALSE)) {
        explain(reason, reason_bytes, "cannot copy", path);
        return NULL;
    }
    library = LoadLibraryA(name);
    if (!library) {
        explain(reason, reason_bytes, "cannot load", name);
        DeleteFileA(name);
    } else {
        MoveFileExA(name, NULL, MOVEFILE_DELAY_UNTIL_REBOOT);
    }
    return library;
}

/* ---- memory ---- */

void *sa_map_for_audio(size_t bytes) {
    void *memory = VirtualAlloc(NULL, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    if (memory) {
        memset(memory, 0, bytes);
    }
    return memory;
}

void sa_unmap_for_audio(void *memory, size_t bytes) {
    (void)bytes;
    VirtualFree(memory, 0, MEM_RELEASE);
}

void sa_empty_for_audio(void *memory, size_t bytes) {
    (void)memory; /* it stays as it is */
    (void)bytes;
}

/* ---- time ---- */

void sa_cond_init(pthread_cond_t *cond) {
    pthread_cond_init(cond, NULL);
}

bool sa_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ns) {
    if (until_ns == SA_NEVER) {
        return pthread_cond_wait(cond, mutex) == 0;
    }
    int64_t left = until_ns - sa_clock_now(sa_clock_real());
    struct timespec span = {.tv_sec = left / 1000000000, .tv_nsec = (long)(left % 1000000000)};
    return left > 0 && pthread_cond_timedwait_relative_np(cond, mutex, &span) == 0;
}

void sa_sleep(int64_t ns) {
    struct timespec span = {.tv_sec = ns / 1000000000, .tv_nsec = (long)(ns % 1000000000)};
    nanosleep(&span, NULL);
}

int64_t sa_time_asleep(void) {
    ULONGLONG with_sleep;
    ULONGLONG without;
    QueryInterruptTimePrecise(&with_sleep); /* in units of 100 ns */
    QueryUnbiasedInterruptTimePrecise(&without);
    return (int64_t)(with_sleep - without) * 100;
}

void sa_ask_for_precise_timers(void) {
}

/* ---- sleeping on a word ---- */

void sa_word_wait(_Atomic uint32_t *word, uint32_t expected, int64_t until_ns) {
    static const int64_t longest_ms = 1000;
    int64_t left_ms = (until_ns - sa_clock_now(sa_clock_real())) / 1000000 + 1;
    int64_t ms = left_ms < longest_ms ? left_ms : longest_ms;
    WaitOnAddress((volatile void *)word, &expected, sizeof expected, ms > 0 ? (DWORD)ms : 0);
}

void sa_word_wake(_Atomic uint32_t *word) {
    WakeByAddressSingle((void *)word);
}

/* ---- bells ---- */

void sa_bell_ring(int bell) {
    const uint64_t once = 1;
    int written = _write(bell, &once, sizeof once);
    (void)written;
}
#else
typedef int a_translation_unit_must_not_be_empty;
#endif
