#include "pulse_connection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "platform.h"

/* ---- waiting for callbacks ---- */

bool sa_pulse_wait(sa_pulse *pulse, bool (*is_done)(void *), void *argument, int64_t deadline_ns) {
    while (!is_done(argument)) {
        if (!sa_cond_wait_until(&pulse->changed, &pulse->mutex, deadline_ns)) {
            return is_done(argument);
        }
    }
    return true;
}

void sa_pulse_tell(sa_pulse *pulse) {
    pthread_cond_broadcast(&pulse->changed);
}

void sa_pulse_forget(sa_pulse *pulse, pa_operation *operation) {
    if (operation) {
        pulse->library.operation_cancel(operation);
        pulse->library.operation_unref(operation);
    }
}

bool sa_pulse_failed(const sa_pulse *pulse, int32_t status, int code, sa_pulse_error *error) {
    const char *text = pulse->library.strerror(code);
    error->status = status;
    snprintf(error->text, sizeof error->text, "%s", text ? text : "");
    return false;
}

/* ---- callbacks, on the loop's thread ---- */

static void on_state(pa_context *context, void *user_data) {
    sa_pulse *pulse = user_data;
    pa_context_state_t state = pulse->library.context_get_state(context);
    pthread_mutex_lock(&pulse->mutex);
    pulse->state = state;
    if (state == PA_CONTEXT_FAILED) {
        pulse->error = pulse->library.context_errno(context);
    }
    sa_pulse_tell(pulse);
    pthread_mutex_unlock(&pulse->mutex);
}

static int32_t number(const pa_source_info *info, const sa_libpulse *library, const char *key) {
    const char *text = library->proplist_gets(info->proplist, key);
    char *end = NULL;
    long value = text ? strtol(text, &end, 10) : -1;
    return text && end != text && *end == '\0' && value >= 0 && value < INT32_MAX ? (int32_t)value
                                                                                  : -1;
}

static void add_source(sa_pulse *pulse, const pa_source_info *info) {
    if (pulse->source_count == pulse->source_capacity) {
        size_t capacity = pulse->source_capacity ? 2 * pulse->source_capacity : 16;
        sa_pulse_source *sources = realloc(pulse->sources, capacity * sizeof *sources);
        if (!sources) {
            pulse->list_failed = true;
            return;
        }
        pulse->sources = sources;
        pulse->source_capacity = capacity;
    }
    const sa_libpulse *library = &pulse->library;
    sa_pulse_source *source = &pulse->sources[pulse->source_count++];
    *source = (sa_pulse_source){
        .sample_rate = info->sample_spec.rate,
        .channels = info->sample_spec.channels,
        .alsa_card = -1,
        .alsa_device = -1,
        .latency = (double)info->configured_latency * 1e-6,
        .is_monitor = info->monitor_of_sink != PA_INVALID_INDEX,
    };
    snprintf(source->name, sizeof source->name, "%s", info->name);
    snprintf(source->description, sizeof source->description, "%s",
             info->description && *info->description ? info->description : info->name);
    library->channel_map_snprint(source->channel_map, sizeof source->channel_map,
                                 &info->channel_map);
    const char *api = library->proplist_gets(info->proplist, "device.api");
    if (!source->is_monitor && api && strcmp(api, "alsa") == 0) {
        source->alsa_card = number(info, library, "alsa.card");
        source->alsa_device = number(info, library, "alsa.device");
    }
}

static void on_source(pa_context *context, const pa_source_info *info, int eol, void *user_data) {
    (void)context;
    sa_pulse *pulse = user_data;
    pthread_mutex_lock(&pulse->mutex);
    if (eol) {
        pulse->list_failed |= eol < 0;
        pulse->listed = true;
        sa_pulse_tell(pulse);
    } else {
        add_source(pulse, info);
    }
    pthread_mutex_unlock(&pulse->mutex);
}

static void on_server(pa_context *context, const pa_server_info *info, void *user_data) {
    (void)context;
    sa_pulse *pulse = user_data;
    pthread_mutex_lock(&pulse->mutex);
    sa_pulse_server *server = &pulse->server;
    if (info) {
        char before[SA_PULSE_TEXT_BYTES];
        memcpy(before, server->default_source, sizeof before);
        snprintf(server->name, sizeof server->name, "%s",
                 info->server_name ? info->server_name : "");
        /* PipeWire says so where it has none. */
        const char *name = info->default_source_name;
        bool known = name && strcmp(name, "@DEFAULT_SOURCE@") != 0;
        snprintf(server->default_source, sizeof server->default_source, "%s", known ? name : "");
        server->default_changes += pulse->served && strcmp(before, server->default_source) != 0;
    }
    pulse->served = true;
    sa_pulse_tell(pulse);
    pthread_mutex_unlock(&pulse->mutex);
}

static void on_change(pa_context *context, pa_subscription_event_type_t type, uint32_t index,
                      void *user_data) {
    (void)type; /* nothing but the server was subscribed to */
    (void)index;
    sa_pulse *pulse = user_data;
    sa_pulse_forget(pulse, pulse->asked_default);
    pulse->asked_default = pulse->library.context_get_server_info(context, on_server, pulse);
}

/* ---- opening and closing ---- */

static bool is_connected(void *argument) {
    const sa_pulse *pulse = argument;
    return pulse->state >= PA_CONTEXT_READY;
}

static bool is_listed(void *argument) {
    const sa_pulse *pulse = argument;
    return (pulse->listed && pulse->served) || pulse->state > PA_CONTEXT_READY;
}

static bool start_loop(sa_pulse *pulse, const char *application) {
    const sa_libpulse *library = &pulse->library;
    pulse->loop = library->threaded_mainloop_new();
    if (!pulse->loop) {
        return false;
    }
    pulse->context =
        library->context_new(library->threaded_mainloop_get_api(pulse->loop), application);
    if (!pulse->context) {
        return false;
    }
    library->context_set_state_callback(pulse->context, on_state, pulse);
    library->context_set_subscribe_callback(pulse->context, on_change, pulse);
    return library->threaded_mainloop_start(pulse->loop) == 0;
}

static bool connect_context(sa_pulse *pulse, int64_t deadline_ns, sa_pulse_error *error) {
    const sa_libpulse *library = &pulse->library;
    library->threaded_mainloop_lock(pulse->loop);
    /* Whoever wants a server starts one; asking what there is must not. */
    int refused = library->context_connect(pulse->context, NULL, PA_CONTEXT_NOAUTOSPAWN, NULL) < 0;
    int code = library->context_errno(pulse->context);
    library->threaded_mainloop_unlock(pulse->loop);
    if (refused) {
        return sa_pulse_failed(pulse, SA_PULSE_NO_SERVER, code, error);
    }
    pthread_mutex_lock(&pulse->mutex);
    bool told = sa_pulse_wait(pulse, is_connected, pulse, deadline_ns);
    bool ready = pulse->state == PA_CONTEXT_READY;
    code = pulse->error;
    pthread_mutex_unlock(&pulse->mutex);
    if (!told) {
        error->status = SA_PULSE_NO_ANSWER;
        return false;
    }
    return ready || sa_pulse_failed(pulse, SA_PULSE_NO_SERVER, code, error);
}

static bool ask(sa_pulse *pulse, int64_t deadline_ns, sa_pulse_error *error) {
    const sa_libpulse *library = &pulse->library;
    library->threaded_mainloop_lock(pulse->loop);
    pa_operation *asked[] = {
        /* Before the question, so that no change is missed. */
        library->context_subscribe(pulse->context, PA_SUBSCRIPTION_MASK_SERVER, NULL, NULL),
        library->context_get_server_info(pulse->context, on_server, pulse),
        library->context_get_source_info_list(pulse->context, on_source, pulse),
    };
    library->threaded_mainloop_unlock(pulse->loop);

    pthread_mutex_lock(&pulse->mutex);
    bool told = sa_pulse_wait(pulse, is_listed, pulse, deadline_ns);
    bool good = pulse->listed && pulse->served && !pulse->list_failed;
    int code = pulse->error;
    pthread_mutex_unlock(&pulse->mutex);

    library->threaded_mainloop_lock(pulse->loop);
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        sa_pulse_forget(pulse, asked[i]);
    }
    library->threaded_mainloop_unlock(pulse->loop);
    if (!told) {
        error->status = SA_PULSE_NO_ANSWER;
        return false;
    }
    return good || sa_pulse_failed(pulse, SA_PULSE_FAILED, code, error);
}

sa_pulse *sa_pulse_connect(const char *library_path, const char *application, int64_t timeout_ns,
                           sa_pulse_error *error) {
    memset(error, 0, sizeof *error);
    sa_pulse *pulse = calloc(1, sizeof *pulse);
    if (!pulse) {
        error->status = SA_PULSE_NO_MEMORY;
        return NULL;
    }
    if (!sa_libpulse_load(&pulse->library, library_path, error->text, sizeof error->text)) {
        error->status = SA_PULSE_NO_LIBRARY;
        free(pulse);
        return NULL;
    }
    sa_cond_init(&pulse->changed);
    pthread_mutex_init(&pulse->mutex, NULL);
    int64_t deadline_ns = sa_clock_now(sa_clock_real()) + timeout_ns;
    if (!start_loop(pulse, application)) {
        error->status = SA_PULSE_NO_MEMORY;
    } else if (connect_context(pulse, deadline_ns, error) && ask(pulse, deadline_ns, error)) {
        return pulse;
    }
    sa_pulse_disconnect(pulse);
    return NULL;
}

void sa_pulse_disconnect(sa_pulse *pulse) {
    const sa_libpulse *library = &pulse->library;
    if (pulse->loop) {
        library->threaded_mainloop_lock(pulse->loop);
        sa_pulse_forget(pulse, pulse->asked_default);
        if (pulse->context) {
            library->context_set_state_callback(pulse->context, NULL, NULL);
            library->context_set_subscribe_callback(pulse->context, NULL, NULL);
            library->context_disconnect(pulse->context);
            library->context_unref(pulse->context);
        }
        library->threaded_mainloop_unlock(pulse->loop);
        library->threaded_mainloop_stop(pulse->loop);
        library->threaded_mainloop_free(pulse->loop);
    }
    pthread_cond_destroy(&pulse->changed);
    pthread_mutex_destroy(&pulse->mutex);
    free(pulse->sources);
    free(pulse);
}

size_t sa_pulse_source_count(const sa_pulse *pulse) {
    return pulse->source_count;
}

const sa_pulse_source *sa_pulse_source_at(const sa_pulse *pulse, size_t index) {
    return &pulse->sources[index];
}

void sa_pulse_server_now(sa_pulse *pulse, sa_pulse_server *server) {
    pthread_mutex_lock(&pulse->mutex);
    *server = pulse->server;
    pthread_mutex_unlock(&pulse->mutex);
}
