#include "jack_client.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform.h"
#include "realtime.h"

/* The longest period that is taken for life: 8192 frames at 44.1 kHz last 186 ms. */
static const int64_t STANDSTILL_NS = 300 * 1000 * 1000;
static const int64_t LOOK_NS = 1000 * 1000;

/* jack2 has no longer periods; of a server that has, they are taken in pieces. */
enum { MOST_FRAMES = 8192 };

struct sa_jack_client {
    const sa_jack_library *library;
    pthread_mutex_t mutex;  /* orders calls; guards `handle` */
    sa_jack_handle *handle; /* NULL: closed */
    sa_jack_client *next;   /* in `open_clients` */
    char name[SA_JACK_NAME_BYTES];
    char (*sources)[SA_JACK_NAME_BYTES]; /* one for each input, or NULL */
    char (*targets)[SA_JACK_NAME_BYTES];
    sa_jack_feed feed;
    _Atomic bool gone;
    bool told;                  /* of ports that come and go; guarded by `mutex` */
    pthread_mutex_t bell_mutex; /* guards `bell`, for an instant only */
    int bell;                   /* -1: none */
    pthread_mutex_t plan;       /* guards `feed.watched`, and through it what is watched */
    pthread_t farewell;         /* closes `handle` once the server has gone */
    _Atomic bool has_farewell;  /* and is to be waited for */
};

static pthread_mutex_t open_mutex = PTHREAD_MUTEX_INITIALIZER;
static sa_jack_client *open_clients;

static void close_handle(sa_jack_client *client) {
    pthread_mutex_lock(&client->mutex);
    if (client->handle) {
        client->library->client_close(client->handle);
        client->handle = NULL;
    }
    pthread_mutex_unlock(&client->mutex);
}

static void *say_farewell(void *argument) {
    close_handle(argument);
    return NULL;
}

/* ---- on JACK's notification thread, where no call may wait for the server ---- */

/* No client outlives its server, and this thread cannot close one: the library waits for it. */
static void note_shutdown(int code, const char *words, void *argument) {
    (void)code, (void)words;
    sa_jack_client *client = argument;
    atomic_store_explicit(&client->gone, true, memory_order_relaxed);
    bool begun = pthread_create(&client->farewell, NULL, say_farewell, client) == 0;
    /* Release: pairs with the acquire in sa_jack_client_close, which needs the thread's name. */
    atomic_store_explicit(&client->has_farewell, begun, memory_order_release);
}

static bool is_named(const sa_jack_library *library, const sa_jack_port_handle *port,
                     const char *name) {
    const char *found = port ? library->port_name(port) : NULL;
    return found && strcmp(found, name) == 0;
}

static void note_connection(uint32_t a, uint32_t b, int connected, void *argument) {
    sa_jack_client *client = argument;
    const sa_jack_library *library = client->library;
    sa_jack_port_handle *from = library->port_by_id(client->feed.client, a);
    sa_jack_port_handle *to = library->port_by_id(client->feed.client, b);
    pthread_mutex_lock(&client->plan);
    for (uint32_t i = 0; client->feed.watched && i < client->feed.input_count; i++) {
        sa_jack_port_handle *own = client->feed.inputs[i];
        bool to_us = to == own, from_us = from == own; /* the order is not promised */
        if ((to_us || from_us) &&
            !(connected && is_named(library, to_us ? from : to, client->sources[i]))) {
            atomic_store_explicit(&client->feed.astray, true, memory_order_relaxed);
        }
    }
    pthread_mutex_unlock(&client->plan);
}

static void note_port(uint32_t port, int registered, void *argument) {
    (void)port, (void)registered;
    sa_jack_client *client = argument;
    pthread_mutex_lock(&client->bell_mutex);
    if (client->bell >= 0) {
        sa_bell_ring(client->bell);
    }
    pthread_mutex_unlock(&client->bell_mutex);
}

/* ---- opening and closing ---- */

bool sa_jack_client_server_runs(sa_jack_client *client) {
    bool runs = true;
    pthread_mutex_lock(&client->mutex);
    if (client->handle && client->library->is_jack2) {
        /* jack2 keeps the count in memory that it shares with the server. */
        uint32_t first = client->library->last_frame_time(client->handle);
        runs = false;
        for (int64_t waited = 0; waited < STANDSTILL_NS && !runs &&
                                 !atomic_load_explicit(&client->gone, memory_order_relaxed);
             waited += LOOK_NS) {
            sa_sleep(LOOK_NS);
            runs = client->library->last_frame_time(client->handle) != first;
        }
    }
    pthread_mutex_unlock(&client->mutex);
    return runs;
}

bool sa_jack_client_server_ran(sa_jack_client *client) {
    bool ran = false;
    pthread_mutex_lock(&client->mutex);
    const sa_jack_library *library = client->library;
    if (client->handle && library->is_jack2) {
        /* jack2 reckons the count now from the clock and its last cycle, whenever that was; it
         * tells of a cycle up to a period late. */
        uint32_t since =
            library->frame_time(client->handle) - library->last_frame_time(client->handle);
        ran = since < 4 * library->get_buffer_size(client->handle);
    }
    pthread_mutex_unlock(&client->mutex);
    return ran;
}

/* Whether jack2's library would find no client of a dead server: it would free it. */
static bool clear_the_dead(void) {
    for (sa_jack_client *client = open_clients; client; client = client->next) {
        if (client->handle && !sa_jack_client_server_runs(client) &&
            !atomic_load_explicit(&client->gone, memory_order_relaxed)) {
            return false;
        }
    }
    for (sa_jack_client *client = open_clients; client; client = client->next) {
        if (atomic_load_explicit(&client->gone, memory_order_relaxed)) {
            close_handle(client);
        }
    }
    return true;
}

static sa_jack_status open_handle(sa_jack_client *client, const char *name, char *reason) {
    enum { FAILED = 0x01, SERVER_FAILED = 0x10, SERVER_ERROR = 0x20 };
    int status = 0;
    client->handle = client->library->client_open(name, SA_JACK_NO_START_SERVER, &status);
    if (client->handle) {
        return SA_JACK_OPEN;
    }
    snprintf(reason, SA_JACK_REASON_BYTES, "status 0x%x", (unsigned)status);
    return status & SERVER_FAILED ? SA_JACK_ABSENT : SA_JACK_REFUSED;
}

sa_jack_status sa_jack_client_open(const char *name, sa_jack_client **made, char *reason) {
    const sa_jack_library *library = sa_jack_library_load(reason, SA_JACK_REASON_BYTES);
    if (!library) {
        return SA_JACK_ABSENT;
    }
    sa_jack_client *client = calloc(1, sizeof *client);
    if (!client) {
        snprintf(reason, SA_JACK_REASON_BYTES, "no memory");
        return SA_JACK_REFUSED;
    }
    client->library = library;
    client->bell = -1;
    pthread_mutex_init(&client->mutex, NULL);
    pthread_mutex_init(&client->bell_mutex, NULL);
    pthread_mutex_init(&client->plan, NULL);
    pthread_mutex_lock(&open_mutex);
    sa_jack_status status = clear_the_dead() ? open_handle(client, name, reason) : SA_JACK_STANDS;
    if (status == SA_JACK_OPEN) {
        client->next = open_clients;
        open_clients = client;
    }
    pthread_mutex_unlock(&open_mutex);
    if (status != SA_JACK_OPEN) {
        pthread_mutex_destroy(&client->plan);
        pthread_mutex_destroy(&client->mutex);
        pthread_mutex_destroy(&client->bell_mutex);
        free(client);
        return status;
    }
    library->on_info_shutdown(client->handle, note_shutdown, client);
    snprintf(client->name, sizeof client->name, "%s", library->get_client_name(client->handle));
    *made = client;
    return SA_JACK_OPEN;
}

static void forget_plan(sa_jack_client *client) {
    pthread_mutex_lock(&client->plan);
    client->feed.watched = false;
    pthread_mutex_unlock(&client->plan);
    free(client->sources);
    free(client->targets);
    free(client->feed.interleaved);
    client->sources = client->targets = NULL;
    client->feed = (sa_jack_feed){0};
}

void sa_jack_client_close(sa_jack_client *client) {
    pthread_mutex_lock(&open_mutex);
    for (sa_jack_client **link = &open_clients; *link; link = &(*link)->next) {
        if (*link == client) {
            *link = client->next;
            break;
        }
    }
    close_handle(client);
    pthread_mutex_unlock(&open_mutex);
    /* The library has closed it, so there are no more notifications. */
    if (atomic_load_explicit(&client->has_farewell, memory_order_acquire)) {
        pthread_join(client->farewell, NULL);
    }
    forget_plan(client);
    pthread_mutex_destroy(&client->plan);
    pthread_mutex_destroy(&client->mutex);
    pthread_mutex_destroy(&client->bell_mutex);
    free(client);
}

bool sa_jack_client_gone(const sa_jack_client *client) {
    return atomic_load_explicit(&client->gone, memory_order_relaxed);
}

const char *sa_jack_client_name(const sa_jack_client *client) {
    return client->name;
}

/* ---- what it asks its server ---- */

static sa_jack_handle *begin(sa_jack_client *client) {
    pthread_mutex_lock(&client->mutex);
    return atomic_load_explicit(&client->gone, memory_order_relaxed) ? NULL : client->handle;
}

static void end(sa_jack_client *client) {
    pthread_mutex_unlock(&client->mutex);
}

uint32_t sa_jack_client_sample_rate(sa_jack_client *client) {
    sa_jack_handle *handle = begin(client);
    uint32_t rate = handle ? client->library->get_sample_rate(handle) : 0;
    end(client);
    return rate;
}

uint32_t sa_jack_client_period(sa_jack_client *client) {
    sa_jack_handle *handle = begin(client);
    uint32_t period = handle ? client->library->get_buffer_size(handle) : 0;
    end(client);
    return period;
}

int64_t sa_jack_client_ports(sa_jack_client *client, uint32_t flags, sa_jack_port *ports,
                             size_t room) {
    const sa_jack_library *library = client->library;
    int64_t count = -1;
    sa_jack_handle *handle = begin(client);
    if (handle) {
        const char **names = library->get_ports(handle, NULL, SA_JACK_AUDIO, flags);
        count = 0;
        for (const char **name = names; name && *name; name++) {
            sa_jack_port_handle *port = library->port_by_name(handle, *name);
            if (!port) {
                continue; /* it went meanwhile */
            }
            if ((size_t)count < room) {
                sa_jack_latency_range latency = {0};
                int mode = flags & SA_JACK_OUTPUT ? SA_JACK_CAPTURE : SA_JACK_PLAYBACK;
                library->port_get_latency_range(port, mode, &latency);
                ports[count].flags = (uint32_t)library->port_flags(port);
                ports[count].latency = latency.max;
                snprintf(ports[count].name, SA_JACK_NAME_BYTES, "%s", *name);
            }
            count++;
        }
        library->free(names);
    }
    end(client);
    return count;
}

bool sa_jack_client_ring_at_changes(sa_jack_client *client, int bell) {
    pthread_mutex_lock(&client->bell_mutex);
    client->bell = bell;
    pthread_mutex_unlock(&client->bell_mutex);
    if (bell < 0) {
        return true;
    }
    const sa_jack_library *library = client->library;
    sa_jack_handle *handle = begin(client);
    if (handle && !client->told) {
        /* A server tells active clients alone. It runs none that has no process callback. */
        client->told = library->set_port_registration_callback(handle, note_port, client) == 0 &&
                       library->activate(handle) == 0;
    }
    bool told = handle && client->told;
    end(client);
    return told;
}

static bool copy_names(char (**copy)[SA_JACK_NAME_BYTES], const char *const *names,
                       uint32_t count) {
    if (!names) {
        return true;
    }
    *copy = calloc(count + 1, sizeof **copy);
    for (uint32_t i = 0; *copy && i < count; i++) {
        snprintf((*copy)[i], SA_JACK_NAME_BYTES, "%s", names[i]);
    }
    return *copy != NULL;
}

static bool register_ports(sa_jack_client *client, sa_jack_port_handle **ports, uint32_t count,
                           const char *prefix, unsigned long flag) {
    for (uint32_t i = 0; i < count; i++) {
        char name[16];
        snprintf(name, sizeof name, "%s_%u", prefix, i + 1);
        ports[i] = client->library->port_register(client->handle, name, SA_JACK_AUDIO, flag, 0);
        if (!ports[i]) {
            return false;
        }
    }
    return true;
}

bool sa_jack_client_prepare(sa_jack_client *client, const sa_jack_plan *plan, char *reason) {
    const sa_jack_library *library = client->library;
    sa_jack_feed *feed = &client->feed;
    sa_jack_handle *handle = begin(client);
    bool prepared = false;
    if (!handle) {
        snprintf(reason, SA_JACK_REASON_BYTES, "the server has gone");
    } else if (plan->inputs > SA_MAX_CHANNELS || plan->outputs > SA_MAX_CHANNELS) {
        snprintf(reason, SA_JACK_REASON_BYTES, "there may be %d channels", SA_MAX_CHANNELS);
    } else {
        feed->capture = plan->capture;
        feed->trip = plan->trip;
        feed->library = library;
        feed->client = handle;
        feed->input_count = plan->inputs;
        feed->output_count = plan->outputs;
        feed->frame_ns = 1e9 / library->get_sample_rate(handle);
        uint32_t period = library->get_buffer_size(handle);
        feed->room = period > MOST_FRAMES ? period : MOST_FRAMES;
        size_t samples = (size_t)feed->room * (plan->inputs + plan->outputs);
        feed->interleaved = calloc(samples, sizeof *feed->interleaved);
        if (feed->interleaved) {
            memset(feed->interleaved, 0, samples * sizeof *feed->interleaved); /* no page faults */
        }
        prepared = feed->interleaved &&
                   copy_names(&client->sources, plan->sources, plan->inputs) &&
                   copy_names(&client->targets, plan->targets, plan->outputs) &&
                   register_ports(client, feed->inputs, plan->inputs, "in", SA_JACK_INPUT) &&
                   register_ports(client, feed->outputs, plan->outputs, "out", SA_JACK_OUTPUT);
        if (!prepared) {
            snprintf(reason, SA_JACK_REASON_BYTES, "the server has no room for %u more ports",
                     plan->inputs + plan->outputs);
        }
    }
    if (prepared) {
        sa_jack_port_handle *source =
            plan->sources ? library->port_by_name(handle, plan->sources[0]) : NULL;
        feed->latency_port = source ? source : feed->inputs[0];
        if (plan->capture) {
            /* What JACK 1 and PipeWire count there has not been tried. */
            plan->capture->counted_by_host = library->is_jack2;
        }
        library->set_process_callback(handle, sa_jack_process, feed);
        if (plan->capture && plan->sources) {
            library->set_port_connect_callback(handle, note_connection, client);
            pthread_mutex_lock(&client->plan);
            feed->watched = true;
            pthread_mutex_unlock(&client->plan);
        }
    }
    end(client);
    return prepared;
}

static bool connect_all(sa_jack_client *client, sa_jack_handle *handle, char *reason) {
    const sa_jack_library *library = client->library;
    const sa_jack_feed *feed = &client->feed;
    for (uint32_t i = 0; client->sources && i < feed->input_count; i++) {
        const char *own = library->port_name(feed->inputs[i]);
        if (library->connect(handle, client->sources[i], own) != 0) {
            snprintf(reason, SA_JACK_REASON_BYTES, "the port %.200s cannot be connected",
                     client->sources[i]);
            return false;
        }
    }
    for (uint32_t i = 0; client->targets && i < feed->output_count; i++) {
        const char *own = library->port_name(feed->outputs[i]);
        if (library->connect(handle, own, client->targets[i]) != 0) {
            snprintf(reason, SA_JACK_REASON_BYTES, "the port %.200s cannot be connected",
                     client->targets[i]);
            return false;
        }
    }
    return true;
}

bool sa_jack_client_start(sa_jack_client *client, char *reason) {
    sa_jack_handle *handle = begin(client);
    bool started = false;
    if (!handle) {
        snprintf(reason, SA_JACK_REASON_BYTES, "the server has gone");
    } else if (client->library->activate(handle) != 0) {
        snprintf(reason, SA_JACK_REASON_BYTES, "the server does not activate the client");
    } else {
        started = connect_all(client, handle, reason);
    }
    end(client);
    return started;
}

bool sa_jack_client_rest(sa_jack_client *client) {
    const sa_jack_library *library = client->library;
    sa_jack_feed *feed = &client->feed;
    sa_jack_handle *handle = begin(client);
    /* Whether other servers let a client come and go has not been tried. */
    bool rests = handle && library->is_jack2 && library->deactivate(handle) == 0;
    for (uint32_t i = 0; rests && i < feed->input_count; i++) {
        rests = library->port_unregister(handle, feed->inputs[i]) == 0;
    }
    for (uint32_t i = 0; rests && i < feed->output_count; i++) {
        rests = library->port_unregister(handle, feed->outputs[i]) == 0;
    }
    if (rests) {
        forget_plan(client);
    }
    end(client);
    return rests;
}

/* Takes all but the one connection away from one of our inputs. False: that one is missing. */
static bool keep_connection(sa_jack_client *client, sa_jack_handle *handle, uint32_t input,
                            char *reason) {
    const sa_jack_library *library = client->library;
    sa_jack_port_handle *own = client->feed.inputs[input];
    const char *source = client->sources[input];
    bool kept = false;
    const char **names = library->port_get_connections(own);
    for (const char **name = names; name && *name; name++) {
        if (strcmp(*name, source) == 0) {
            kept = true;
        } else {
            library->disconnect(handle, *name, library->port_name(own));
        }
    }
    library->free(names);
    if (!kept) {
        bool there = library->port_by_name(handle, source) != NULL;
        snprintf(reason, SA_JACK_REASON_BYTES, "the port %.200s %s", source,
                 there ? "was disconnected" : "is gone");
    }
    return kept;
}

bool sa_jack_client_look(sa_jack_client *client, char *reason) {
    sa_jack_feed *feed = &client->feed;
    sa_jack_handle *handle = begin(client);
    bool kept = handle != NULL;
    if (!kept) {
        snprintf(reason, SA_JACK_REASON_BYTES, "the JACK server is gone");
    } else if (feed->watched) {
        atomic_store_explicit(&feed->astray, false, memory_order_relaxed);
        /* The look comes after the store, for other threads too, which a release would not say:
         * what changes meanwhile sets it again. */
        atomic_thread_fence(memory_order_seq_cst);
        for (uint32_t i = 0; i < feed->input_count && kept; i++) {
            kept = keep_connection(client, handle, i, reason);
        }
        if (!kept) {
            atomic_store_explicit(&feed->astray, true, memory_order_relaxed);
        }
    }
    end(client);
    return kept;
}
