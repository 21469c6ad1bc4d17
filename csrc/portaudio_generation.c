#include "portaudio_generation.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alsa_channels.h"
#include "alsa_configuration.h"
#include "clock.h"
#include "host_messages.h"
#include "platform.h"
#include "portaudio_restraints.h"

/* One call under way. Shared by the caller and the control thread; the last one frees it. */
typedef struct {
    sa_control_call call;
    sa_call_error error;
    bool done;
    bool abandoned; /* the caller has given up; the control thread frees it, should it return */
    unsigned char request[];
} control_request;

struct sa_generation {
    sa_portaudio library;
    pthread_t thread;
    pthread_mutex_t calls; /* one caller at a time */
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    control_request *current;
    bool closing;
    bool condemned;

    sa_device_info *devices;
    size_t device_count;
};

static _Atomic int64_t condemned_generations;

int64_t sa_condemned_generations(void) {
    /* Relaxed: a count, which orders nothing. */
    return atomic_load_explicit(&condemned_generations, memory_order_relaxed);
}

void sa_call_failed(const sa_portaudio *library, PaError code, sa_call_error *error) {
    error->status = SA_CALL_FAILED;
    error->code = code;
    snprintf(error->text, sizeof error->text, "%s", library->get_error_text(code));
    const PaHostErrorInfo *host = library->get_last_host_error();
    if (code == paUnanticipatedHostError && host) {
        error->host_code = host->errorCode;
        snprintf(error->host_text, sizeof error->host_text, "%s",
                 host->errorText ? host->errorText : "");
    }
}

/* ---- the control thread ---- */

static void make_call(sa_generation *generation, control_request *request) {
    jmp_buf escape;
    if (setjmp(escape) == 0) {
        sa_portaudio_escape = &escape;
        request->call(&generation->library, request->request, &request->error);
    } else {
        request->error.status = SA_CALL_ASSERTED;
    }
    sa_portaudio_escape = NULL;
}

static void *control(void *argument) {
    sa_generation *generation = argument;
    sa_host_messages_capture();
    pthread_mutex_lock(&generation->mutex);
    while (!generation->closing) {
        control_request *request = generation->current;
        if (!request || request->done) {
            pthread_cond_wait(&generation->changed, &generation->mutex);
            continue;
        }
        pthread_mutex_unlock(&generation->mutex);
        make_call(generation, request);
        pthread_mutex_lock(&generation->mutex);
        request->done = true;
        if (request->abandoned) {
            /* Condemned meanwhile. The thread has come back after all, but is not used again. */
            free(request);
            break;
        }
        pthread_cond_broadcast(&generation->changed);
    }
    pthread_mutex_unlock(&generation->mutex);
    return NULL;
}

/* ---- its callers ---- */

static void condemn(sa_generation *generation) {
    if (!generation->condemned) {
        generation->condemned = true;
        atomic_fetch_add_explicit(&condemned_generations, 1, memory_order_relaxed);
    }
}

static bool wait_for(sa_generation *generation, control_request *request, int64_t timeout_ns) {
    int64_t deadline = sa_clock_now(sa_clock_real()) + timeout_ns;
    while (!request->done) {
        if (!sa_cond_wait_until(&generation->changed, &generation->mutex, deadline)) {
            return request->done;
        }
    }
    return true;
}

bool sa_generation_call(sa_generation *generation, sa_control_call call, void *request,
                        size_t bytes, int64_t timeout_ns, sa_call_error *error) {
    memset(error, 0, sizeof *error);
    control_request *shared = calloc(1, sizeof *shared + bytes);
    if (!shared) {
        error->status = SA_CALL_NO_MEMORY;
        return false;
    }
    shared->call = call;
    if (bytes > 0) {
        memcpy(shared->request, request, bytes);
    }

    pthread_mutex_lock(&generation->calls);
    pthread_mutex_lock(&generation->mutex);
    if (generation->condemned) {
        error->status = SA_CALL_CONDEMNED;
        free(shared);
    } else {
        generation->current = shared;
        pthread_cond_broadcast(&generation->changed);
        if (wait_for(generation, shared, timeout_ns)) {
            if (bytes > 0) {
                memcpy(request, shared->request, bytes);
            }
            *error = shared->error;
            if (error->status == SA_CALL_ASSERTED) {
                condemn(generation);
            }
            free(shared);
        } else {
            shared->abandoned = true;
            condemn(generation);
            error->status = SA_CALL_CONDEMNED;
        }
        generation->current = NULL;
    }
    pthread_mutex_unlock(&generation->mutex);
    pthread_mutex_unlock(&generation->calls);
    return error->status == SA_CALL_OK;
}

void sa_generation_condemn(sa_generation *generation) {
    pthread_mutex_lock(&generation->mutex);
    condemn(generation);
    pthread_mutex_unlock(&generation->mutex);
}

bool sa_generation_is_condemned(sa_generation *generation) {
    pthread_mutex_lock(&generation->mutex);
    bool condemned = generation->condemned;
    pthread_mutex_unlock(&generation->mutex);
    return condemned;
}

/* ---- opening and closing ---- */

typedef struct {
    sa_device_info *devices;
    size_t count;
    bool without_pulse;
} list_request;

/* A card's device, whose name ends in "(hw:…)", has what it says; anything else is a plug-in. */
static void look_behind_plugin(sa_device_info *info) {
    if (!strstr(info->name, "(hw:")) {
        sa_alsa_channels found = sa_alsa_count_channels(info->name);
        info->takes_any_number = found.channels == SA_ALSA_ANY_NUMBER;
        info->through_pulse = found.through_pulse;
        sa_alsa_configuration_pulse_device(info->name, info->pulse_device,
                                           sizeof info->pulse_device);
        if (!info->takes_any_number) {
            info->max_input_channels = found.channels;
        }
    }
}

static void initialize_and_list(const sa_portaudio *library, void *argument,
                                sa_call_error *error) {
    list_request *list = argument;
    bool configured = sa_alsa_configuration_prepare(list->without_pulse);
    PaError code = library->initialize();
    if (code != paNoError) {
        sa_call_failed(library, code, error);
        return;
    }
    PaDeviceIndex count = library->get_device_count();
    if (count < 0) {
        sa_call_failed(library, count, error);
        library->terminate();
        return;
    }
    if (count == 0 && !configured) {
        error->status = SA_CALL_UNCONFIGURED;
        library->terminate();
        return;
    }
    list->devices = calloc((size_t)count + 1, sizeof *list->devices);
    if (!list->devices) {
        error->status = SA_CALL_NO_MEMORY;
        library->terminate();
        return;
    }
    PaDeviceIndex default_input = library->get_default_input();
    PaDeviceIndex default_output = library->get_default_output();
    for (PaDeviceIndex i = 0; i < count; i++) {
        const PaDeviceInfo *device = library->get_device(i);
        const PaHostApiInfo *host = library->get_host_api(device->hostApi);
        sa_device_info *info = &list->devices[list->count++];
        snprintf(info->name, sizeof info->name, "%s", device->name);
        snprintf(info->host_api, sizeof info->host_api, "%s", host->name);
        info->index = i;
        info->host_api_type = (int32_t)host->type;
        info->max_input_channels = device->maxInputChannels;
        if (host->type == paALSA && device->maxInputChannels > 0) {
            look_behind_plugin(info);
        }
        info->max_output_channels = device->maxOutputChannels;
        info->is_default_input = i == default_input;
        info->is_host_api_default_input = i == host->defaultInputDevice;
        info->is_default_output = i == default_output;
        info->default_sample_rate = device->defaultSampleRate;
        info->default_low_input_latency = device->defaultLowInputLatency;
        info->default_high_input_latency = device->defaultHighInputLatency;
        info->default_low_output_latency = device->defaultLowOutputLatency;
        info->default_high_output_latency = device->defaultHighOutputLatency;
    }
}

static void terminate(const sa_portaudio *library, void *request, sa_call_error *error) {
    (void)request;
    PaError code = library->terminate();
    if (code != paNoError) {
        sa_call_failed(library, code, error);
    }
}

/* Ends the control thread and frees everything; PortAudio has been terminated, or never ran. */
static void dismantle(sa_generation *generation) {
    pthread_mutex_lock(&generation->mutex);
    generation->closing = true;
    pthread_cond_broadcast(&generation->changed);
    pthread_mutex_unlock(&generation->mutex);
    pthread_join(generation->thread, NULL);
    sa_portaudio_unload(&generation->library);
    pthread_cond_destroy(&generation->changed);
    pthread_mutex_destroy(&generation->mutex);
    pthread_mutex_destroy(&generation->calls);
    free(generation->devices);
    free(generation);
}

sa_generation *sa_generation_open(const char *library_path, bool without_pulse, int64_t timeout_ns,
                                  sa_call_error *error) {
    memset(error, 0, sizeof *error);
    sa_generation *generation = calloc(1, sizeof *generation);
    if (!generation) {
        error->status = SA_CALL_NO_MEMORY;
        return NULL;
    }
    if (!sa_portaudio_load(&generation->library, library_path, error->text, sizeof error->text)) {
        error->status = SA_CALL_NO_LIBRARY;
        free(generation);
        return NULL;
    }
    pthread_mutex_init(&generation->calls, NULL);
    pthread_mutex_init(&generation->mutex, NULL);
    sa_cond_init(&generation->changed);
    if (pthread_create(&generation->thread, NULL, control, generation) != 0) {
        error->status = SA_CALL_NO_MEMORY;
        sa_portaudio_unload(&generation->library);
        free(generation);
        return NULL;
    }
    list_request list = {.without_pulse = without_pulse};
    if (!sa_generation_call(generation, initialize_and_list, &list, sizeof list, timeout_ns,
                            error)) {
        if (!generation->condemned) {
            dismantle(generation);
        }
        return NULL;
    }
    generation->devices = list.devices;
    generation->device_count = list.count;
    return generation;
}

/* How long Pa_Terminate may take before the generation is given up. */
static const int64_t TERMINATE_TIMEOUT_NS = 5000000000;

void sa_generation_close(sa_generation *generation) {
    sa_call_error error;
    sa_generation_call(generation, terminate, NULL, 0, TERMINATE_TIMEOUT_NS, &error);
    if (!generation->condemned) {
        dismantle(generation);
    }
}

size_t sa_generation_device_count(const sa_generation *generation) {
    return generation->device_count;
}

const sa_device_info *sa_generation_device(const sa_generation *generation, size_t index) {
    return &generation->devices[index];
}
