#include "pulse_connection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "idle.h"
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

/* With the mutex held. */
static void note_change(sa_pulse *pulse) {
    pulse->changes++;
    if (pulse->bell >= 0) {
        sa_bell_ring(pulse->bell);
    }
}

static void on_state(pa_context *context, void *user_data) {
    sa_pulse *pulse = user_data;
    pa_context_state_t state = pulse->library.context_get_state(context);
    pthread_mutex_lock(&pulse->mutex);
    pulse->state = state;
    if (state == PA_CONTEXT_FAILED) {
        pulse->error = pulse->library.context_errno(context);
    }
    if (state > PA_CONTEXT_READY && pulse->served) {
        note_change(pulse);
    }
    sa_pulse_tell(pulse);
    pthread_mutex_unlock(&pulse->mutex);
}

/* Counts down at the end of a list; with the mutex held. */
static void end_list(sa_pulse *pulse, int eol) {
    pulse->list_failed |= eol < 0;
    pulse->lists_to_come--;
    sa_pulse_tell(pulse);
}

static void on_source(pa_context *context, const pa_source_info *info, int eol, void *user_data) {
    (void)context;
    sa_pulse *pulse = user_data;
    pthread_mutex_lock(&pulse->mutex);
    if (eol) {
        end_list(pulse, eol);
    } else {
        pulse->list_failed |= !sa_pulse_add_source(&pulse->sources, &pulse->library, info);
    }
    pthread_mutex_unlock(&pulse->mutex);
}

static void on_output(pa_context *context, const pa_sink_info *info, int eol, void *user_data) {
    (void)context;
    sa_pulse *pulse = user_data;
    pthread_mutex_lock(&pulse->mutex);
    if (eol) {
        end_list(pulse, eol);
    } else {
        pulse->list_failed |= !sa_pulse_add_output(&pulse->outputs, info);
    }
    pthread_mutex_unlock(&pulse->mutex);
}

static void on_program(pa_context *context, const pa_sink_input_info *info, int eol,
                       void *user_data) {
    (void)context;
    sa_pulse *pulse = user_data;
    pthread_mutex_lock(&pulse->mutex);
    if (eol) {
        end_list(pulse, eol);
    } else {
        pulse->list_failed |= !sa_pulse_add_program(&pulse->programs, &pulse->library, info);
    }
    pthread_mutex_unlock(&pulse->mutex);
}

/* PipeWire gives this name where it has none. */
static void set_default(char *text, const char *name, const char *nobody) {
    bool known = name && strcmp(name, nobody) != 0;
    snprintf(text, SA_PULSE_TEXT_BYTES, "%s", known ? name : "");
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
        set_default(server->default_source, info->default_source_name, "@DEFAULT_SOURCE@");
        set_default(server->default_output, info->default_sink_name, "@DEFAULT_SINK@");
        if (pulse->served && strcmp(before, server->default_source) != 0) {
            note_change(pulse);
        }
    }
    pulse->served = true;
    sa_pulse_tell(pulse);
    pthread_mutex_unlock(&pulse->mutex);
}

static void on_change(pa_context *context, pa_subscription_event_type_t type, uint32_t index,
                      void *user_data) {
    sa_pulse *pulse = user_data;
    unsigned facility = type & PA_SUBSCRIPTION_EVENT_FACILITY_MASK;
    unsigned what = type & PA_SUBSCRIPTION_EVENT_TYPE_MASK;
    if (facility == PA_SUBSCRIPTION_EVENT_SERVER) {
        sa_pulse_forget(pulse, pulse->asked_default);
        pulse->asked_default = pulse->library.context_get_server_info(context, on_server, pulse);
    } else if (facility == PA_SUBSCRIPTION_EVENT_SOURCE && what != PA_SUBSCRIPTION_EVENT_CHANGE) {
        pthread_mutex_lock(&pulse->mutex);
        note_change(pulse);
        pthread_mutex_unlock(&pulse->mutex);
    } else if (facility == PA_SUBSCRIPTION_EVENT_SINK_INPUT && what == PA_SUBSCRIPTION_EVENT_NEW) {
        pthread_mutex_lock(&pulse->mutex);
        note_change(pulse); /* who waits for a program wants to know */
        pthread_mutex_unlock(&pulse->mutex);
    } else if (facility == PA_SUBSCRIPTION_EVENT_SINK_INPUT &&
               what == PA_SUBSCRIPTION_EVENT_REMOVE) {
        for (sa_pulse_listener *each = pulse->listeners; each; each = each->next) {
            each->program_ended(each, index);
        }
    }
}

/* ---- those who listen ---- */

static pa_usec_t next_look(const sa_pulse *pulse) {
    return pulse->library.rtclock_now() + SA_IDLE_LOOK_NS / 1000;
}

static void on_timer(pa_mainloop_api *loop, pa_time_event *event, const struct timeval *due,
                     void *user_data) {
    (void)loop;
    (void)due;
    sa_pulse *pulse = user_data;
    if (!pulse->listeners) {
        return;
    }
    int64_t now_ns = sa_clock_now(sa_clock_real());
    for (sa_pulse_listener *each = pulse->listeners; each; each = each->next) {
        each->look(each, now_ns);
    }
    pulse->library.context_rttime_restart(pulse->context, event, next_look(pulse));
}

bool sa_pulse_listen(sa_pulse *pulse, sa_pulse_listener *listener) {
    const sa_libpulse *library = &pulse->library;
    listener->next = pulse->listeners;
    pulse->listeners = listener;
    if (pulse->timer) {
        library->context_rttime_restart(pulse->context, pulse->timer, next_look(pulse));
    } else {
        /* The loop frees it at its own end. */
        pulse->timer =
            library->context_rttime_new(pulse->context, next_look(pulse), on_timer, pulse);
    }
    return pulse->timer;
}

void sa_pulse_listen_no_more(sa_pulse *pulse, const sa_pulse_listener *listener) {
    for (sa_pulse_listener **each = &pulse->listeners; *each; each = &(*each)->next) {
        if (*each == listener) {
            *each = listener->next;
            return;
        }
    }
}

/* ---- opening and closing ---- */

static bool is_connected(void *argument) {
    const sa_pulse *pulse = argument;
    return pulse->state >= PA_CONTEXT_READY;
}

static bool is_listed(void *argument) {
    const sa_pulse *pulse = argument;
    return (pulse->lists_to_come == 0 && pulse->served) || pulse->state > PA_CONTEXT_READY;
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
    pa_context *context = pulse->context;
    library->threaded_mainloop_lock(pulse->loop);
    pthread_mutex_lock(&pulse->mutex);
    pulse->lists_to_come = 3;
    pulse->served = pulse->list_failed = false;
    sa_pulse_free_list(&pulse->sources);
    sa_pulse_free_list(&pulse->outputs);
    sa_pulse_free_list(&pulse->programs);
    pthread_mutex_unlock(&pulse->mutex);
    pa_operation *asked[] = {
        /* Before the questions, so that no change is missed. */
        library->context_subscribe(context,
                                   PA_SUBSCRIPTION_MASK_SERVER | PA_SUBSCRIPTION_MASK_SOURCE |
                                       PA_SUBSCRIPTION_MASK_SINK_INPUT,
                                   NULL, NULL),
        library->context_get_server_info(context, on_server, pulse),
        library->context_get_source_info_list(context, on_source, pulse),
        library->context_get_sink_info_list(context, on_output, pulse),
        library->context_get_sink_input_info_list(context, on_program, pulse),
    };
    library->threaded_mainloop_unlock(pulse->loop);

    pthread_mutex_lock(&pulse->mutex);
    bool told = sa_pulse_wait(pulse, is_listed, pulse, deadline_ns);
    bool good = pulse->lists_to_come == 0 && pulse->served && !pulse->list_failed;
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

bool sa_pulse_list_again(sa_pulse *pulse, int64_t timeout_ns, sa_pulse_error *error) {
    memset(error, 0, sizeof *error);
    return ask(pulse, sa_clock_now(sa_clock_real()) + timeout_ns, error);
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
    pulse->bell = -1;
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
    sa_pulse_free_list(&pulse->sources);
    sa_pulse_free_list(&pulse->outputs);
    sa_pulse_free_list(&pulse->programs);
    free(pulse);
}

size_t sa_pulse_source_count(const sa_pulse *pulse) {
    return pulse->sources.count;
}

const sa_pulse_source *sa_pulse_source_at(const sa_pulse *pulse, size_t index) {
    return (const sa_pulse_source *)pulse->sources.items + index;
}

size_t sa_pulse_output_count(const sa_pulse *pulse) {
    return pulse->outputs.count;
}

const sa_pulse_output *sa_pulse_output_at(const sa_pulse *pulse, size_t index) {
    return (const sa_pulse_output *)pulse->outputs.items + index;
}

size_t sa_pulse_program_count(const sa_pulse *pulse) {
    return pulse->programs.count;
}

const sa_pulse_program *sa_pulse_program_at(const sa_pulse *pulse, size_t index) {
    return (const sa_pulse_program *)pulse->programs.items + index;
}

void sa_pulse_server_now(sa_pulse *pulse, sa_pulse_server *server) {
    pthread_mutex_lock(&pulse->mutex);
    *server = pulse->server;
    pthread_mutex_unlock(&pulse->mutex);
}

int64_t sa_pulse_changes(sa_pulse *pulse) {
    pthread_mutex_lock(&pulse->mutex);
    int64_t changes = pulse->state == PA_CONTEXT_READY ? pulse->changes : -1;
    pthread_mutex_unlock(&pulse->mutex);
    return changes;
}

void sa_pulse_ring_at_changes(sa_pulse *pulse, int bell) {
    pthread_mutex_lock(&pulse->mutex);
    pulse->bell = bell;
    pthread_mutex_unlock(&pulse->mutex);
}
