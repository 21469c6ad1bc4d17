#include "portaudio_restraints.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "host_messages.h"
#include "library_imports.h"
#include "platform.h"

_Thread_local jmp_buf *sa_portaudio_escape;

/* In the place of jack_client_open: there is no server (JackFailure, JackServerFailed). */
static void *open_no_client(const char *name, int options, int *status, ...) {
    (void)name, (void)options;
    if (status) {
        *status = 0x11;
    }
    return NULL;
}

/* In the place of vfprintf, with which debug builds tell of each failed call. */
static int keep_message(FILE *file, const char *format, va_list arguments) {
    (void)file;
    char line[SA_HOST_MESSAGE_BYTES];
    int length = vsnprintf(line, sizeof line, format, arguments);
    sa_host_messages_keep("PortAudio", line);
    return length;
}

/* In the place of what assert() calls in builds without NDEBUG. */
static void escape(const char *assertion, const char *file, unsigned line, const char *function) {
    (void)file, (void)line;
    char text[SA_HOST_MESSAGE_BYTES];
    snprintf(text, sizeof text, "assertion %s failed in %s", assertion, function);
    sa_host_messages_keep("PortAudio", text);
    if (sa_portaudio_escape) {
        longjmp(*sa_portaudio_escape, 1);
    }
    for (;;) {
        sa_sleep(INT64_C(1000000000));
    }
}

/* A thread of PortAudio's own, which calls ALSA: its messages are each thread's. */
typedef struct {
    void *(*run)(void *);
    void *argument;
} beginning;

static void *begin_quietly(void *argument) {
    beginning found = *(beginning *)argument;
    free(argument);
    sa_host_messages_capture_alsa();
    return found.run(found.argument);
}

/* In the place of pthread_create. */
static int create_quiet_thread(pthread_t *thread, const pthread_attr_t *attributes,
                               void *(*run)(void *), void *argument) {
    beginning *wanted = malloc(sizeof *wanted);
    if (!wanted) {
        return EAGAIN;
    }
    *wanted = (beginning){run, argument};
    int error = pthread_create(thread, attributes, begin_quietly, wanted);
    if (error) {
        free(wanted);
    }
    return error;
}

void sa_portaudio_restrain(void *handle) {
    sa_library_replace(handle, "pthread_create", (void (*)(void))create_quiet_thread);
    sa_library_replace(handle, "jack_client_open", (void (*)(void))open_no_client);
    sa_library_replace(handle, "vfprintf", (void (*)(void))keep_message);
    sa_library_replace(handle, "__assert_fail", (void (*)(void))escape);
}
