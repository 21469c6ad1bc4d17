#include "host_messages.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "platform.h"

enum { LINES = 64 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char lines[LINES][SA_HOST_MESSAGE_BYTES];
static unsigned oldest, count;

static void keep(const char *text) {
    /* JACK may speak on its real-time thread: never wait there, rather lose the line. */
    if (pthread_mutex_trylock(&mutex) != 0) {
        return;
    }
    if (count == LINES) {
        oldest = (oldest + 1) % LINES;
        count--;
    }
    char *line = lines[(oldest + count++) % LINES];
    snprintf(line, SA_HOST_MESSAGE_BYTES, "%s", text);
    line[strcspn(line, "\n")] = '\0';
    pthread_mutex_unlock(&mutex);
}

bool sa_host_messages_take(char *line, size_t bytes) {
    pthread_mutex_lock(&mutex);
    bool any = count > 0;
    if (any) {
        snprintf(line, bytes, "%s", lines[oldest]);
        oldest = (oldest + 1) % LINES;
        count--;
    }
    pthread_mutex_unlock(&mutex);
    return any;
}

void sa_host_messages_keep(const char *host, const char *text) {
    char line[SA_HOST_MESSAGE_BYTES];
    snprintf(line, sizeof line, "%s: %s", host, text);
    keep(line);
}

static void from_jack(const char *text) {
    sa_host_messages_keep("JACK", text);
}

static void from_alsa(const char *file, int number, const char *function, int error,
                      const char *format, va_list arguments) {
    (void)file;
    (void)number;
    (void)error;
    char text[SA_HOST_MESSAGE_BYTES / 2];
    char line[SA_HOST_MESSAGE_BYTES];
    vsnprintf(text, sizeof text, format, arguments);
    snprintf(line, sizeof line, "ALSA: %s (%s)", text, function);
    keep(line);
}

static void listen_to_jack(void *library) {
    static const char *const setters[] = {"jack_set_error_function", "jack_set_info_function"};
    for (size_t i = 0; i < sizeof setters / sizeof *setters; i++) {
        void (*set)(void (*)(const char *));
        if (sa_library_symbol(library, setters[i], &set)) {
            set(from_jack);
        }
    }
}

static void listen_to_alsa(void *library) {
    typedef void (*listener)(const char *, int, const char *, int, const char *, va_list);
    listener (*set_local)(listener);
    if (sa_library_symbol(library, "snd_lib_error_set_local", &set_local)) {
        set_local(from_alsa);
    }
}

/* Loaded if it is there: PortAudio may open it only when it starts, which is too late to listen.
 */
static void with_library(const char *name, void (*act)(void *)) {
    void *library = sa_library_open(name, NULL, 0);
    if (library) {
        act(library);
        sa_library_close(library); /* that reference; the library stays loaded */
    }
}

void sa_host_messages_capture_alsa(void) {
    with_library("libasound.so.2", listen_to_alsa);
}

void sa_host_messages_capture(void) {
    with_library("libjack.so.0", listen_to_jack);
    sa_host_messages_capture_alsa();
}
