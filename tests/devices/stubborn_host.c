/* As much of PortAudio as a session needs, with one device whose callbacks come on a thread. What
 * the variable STUBBORN names ("initialize", "stop", "close"; "assert": an assertion) fails, and
 * the callbacks go on. With "speak", ALSA complains on their thread. After each one a byte is
 * written to the descriptor that CALLBACKS tells. With "once" no copy of the library opens a
 * second stream, and with "jack" the device is JACK's. There is no device while the file exists
 * that UNPLUGGED names. What is called is written into the file that CALLED names. */
#include <assert.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "portaudio_abi.h"

enum { PERIOD = 256, MAX_CHANNELS = 2 };

static PaHostApiInfo host_api = {1, paALSA, "Stubborn", 1, 0, paNoDevice};
static const PaDeviceInfo device = {2, "mule", 0, MAX_CHANNELS, 0, 0.01, 0, 0.03, 0, 48000};
static const PaStreamInfo stream_info = {1, 0.01, 0, 48000};
static const PaHostErrorInfo no_error = {paALSA, 0, ""};

static struct {
    PaStreamCallback *callback;
    void *user_data;
    volatile bool stopped;
    pthread_t thread;
} the_stream;

static bool refuses(const char *what) {
    const char *all = getenv("STUBBORN");
    return all && strstr(all, what);
}

static void note(const char *what) {
    const char *path = getenv("CALLED");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (file) {
        fprintf(file, "%s\n", what);
        fclose(file);
    }
}

static bool is_unplugged(void) {
    const char *path = getenv("UNPLUGGED");
    return path && access(path, F_OK) == 0;
}

/* Of a PCM that nobody has. */
static void have_alsa_complain(void) {
    void *library = dlopen("libasound.so.2", RTLD_NOW | RTLD_LOCAL);
    int (*open_pcm)(void **, const char *, int, int) = NULL;
    if (library) {
        *(void **)&open_pcm = dlsym(library, "snd_pcm_open");
    }
    void *pcm;
    if (!open_pcm || open_pcm(&pcm, "stubborn_and_unknown", 1, 0) == 0) {
        abort();
    }
}

static void *call_back(void *unused) {
    if (refuses("speak")) {
        have_alsa_complain();
    }
    static const float frames[PERIOD * MAX_CHANNELS];
    const char *descriptor = getenv("CALLBACKS");
    const int told = descriptor ? atoi(descriptor) : -1;
    const struct timespec pause = {0, 5333333};
    /* Some hosts tell times that are none. */
    const PaStreamCallbackTimeInfo times = {1e300, -1e300, 0};
    while (!the_stream.stopped) {
        nanosleep(&pause, NULL);
        the_stream.callback(frames, NULL, PERIOD, &times, 0, the_stream.user_data);
        if (told >= 0 && write(told, "", 1) != 1) {
            abort();
        }
    }
    return unused;
}

static PaError end(void) {
    if (!the_stream.stopped) {
        the_stream.stopped = true;
        pthread_join(the_stream.thread, NULL);
    }
    return paNoError;
}

PaError Pa_OpenStream(PaStream **stream, const PaStreamParameters *in,
                      const PaStreamParameters *out, double rate, unsigned long frames,
                      PaStreamFlags flags, PaStreamCallback *callback, void *user_data) {
    (void)in, (void)out, (void)rate, (void)frames, (void)flags;
    static int opened;
    note("open");
    if ((opened++ && refuses("once")) || is_unplugged()) {
        return paDeviceUnavailable;
    }
    the_stream.callback = callback;
    the_stream.user_data = user_data;
    the_stream.stopped = true;
    *stream = &the_stream;
    return paNoError;
}

PaError Pa_StartStream(PaStream *stream) {
    (void)stream;
    the_stream.stopped = false;
    return pthread_create(&the_stream.thread, NULL, call_back, NULL) ? paInternalError : paNoError;
}

PaError Pa_StopStream(PaStream *stream) {
    (void)stream;
    return refuses("stop") ? paInternalError : end();
}

PaError Pa_CloseStream(PaStream *stream) {
    (void)stream;
    return refuses("close") ? paInternalError : end();
}

PaError Pa_IsStreamActive(PaStream *stream) {
    (void)stream;
    return 1;
}

const PaStreamInfo *Pa_GetStreamInfo(PaStream *stream) {
    (void)stream;
    return &stream_info;
}

PaError Pa_Initialize(void) {
    assert(!refuses("assert"));
    note("initialize");
    host_api.type = refuses("jack") ? paJACK : paALSA;
    return refuses("initialize") ? paHostApiNotFound : paNoError;
}

PaError Pa_Terminate(void) {
    note("terminate");
    return paNoError;
}

const char *Pa_GetErrorText(PaError error) {
    return error == paNoError ? "" : "it refuses";
}

const PaHostErrorInfo *Pa_GetLastHostErrorInfo(void) {
    return &no_error;
}

const PaHostApiInfo *Pa_GetHostApiInfo(PaHostApiIndex index) {
    return index == 0 ? &host_api : NULL;
}

PaHostApiIndex Pa_HostApiTypeIdToHostApiIndex(PaHostApiTypeId type) {
    return type == paALSA ? 0 : paHostApiNotFound;
}

PaDeviceIndex Pa_GetDeviceCount(void) {
    return is_unplugged() ? 0 : 1;
}

const PaDeviceInfo *Pa_GetDeviceInfo(PaDeviceIndex index) {
    return index == 0 ? &device : NULL;
}

PaDeviceIndex Pa_GetDefaultInputDevice(void) {
    return is_unplugged() ? paNoDevice : 0;
}

PaDeviceIndex Pa_GetDefaultOutputDevice(void) {
    return paNoDevice;
}
