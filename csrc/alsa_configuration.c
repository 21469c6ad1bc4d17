#include "alsa_configuration.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "library_imports.h"
#include "platform.h"

/* libasound's, opened at run time: a tree of nodes, and text that is read into one. */
typedef struct node node;
typedef struct input input;
typedef struct iterator iterator;

typedef struct {
    node **configuration; /* snd_config */
    int (*update)(void);
    int (*forget)(void);
    int (*search)(node *, const char *, node **);
    int (*load)(node *, input *);
    int (*delete)(node *);
    int (*get_string)(const node *, const char **);
    int (*get_type)(const node *);
    iterator *(*first)(const node *);
    iterator *(*next)(const iterator *);
    iterator *(*end)(const node *);
    node *(*entry)(const iterator *);
    int (*open_buffer)(input **, const char *, ptrdiff_t);
    int (*close_input)(input *);
} alsa;

static const char UNUSABLE[] =
    "pcm.stream_audio_none { type hw card 999 hint { show on description none } }\n";

static bool bind(void *library, alsa *a) {
    const struct {
        const char *name;
        void *place;
    } all[] = {
        {"snd_config", &a->configuration},        {"snd_config_update", &a->update},
        {"snd_config_search", &a->search},        {"snd_config_load", &a->load},
        {"snd_config_delete", &a->delete},        {"snd_config_get_string", &a->get_string},
        {"snd_config_get_type", &a->get_type},    {"snd_config_iterator_first", &a->first},
        {"snd_config_iterator_next", &a->next},   {"snd_config_iterator_end", &a->end},
        {"snd_config_iterator_entry", &a->entry}, {"snd_input_buffer_open", &a->open_buffer},
        {"snd_input_close", &a->close_input},     {"snd_config_update_free_global", &a->forget},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!sa_library_symbol(library, all[i].name, all[i].place)) {
            return false;
        }
    }
    return true;
}

static bool is_of_type(const alsa *a, node *pcm, const char *type) {
    node *found;
    const char *text;
    return a->search(pcm, "type", &found) == 0 && a->get_string(found, &text) == 0 &&
           strcmp(text, type) == 0;
}

/* Whether opening the PCM opens one of that type: itself, as another's name, or behind others. */
static bool leads_to(const alsa *a, node *pcms, node *pcm, const char *type, int depth) {
    static const char *const behind[] = {"slave.pcm", "capture.pcm", "playback.pcm"};
    node *found;
    const char *name;
    if (depth == 0) {
        return false; /* a circle, which ALSA refuses */
    }
    if (a->get_string(pcm, &name) == 0) {
        return a->search(pcms, name, &found) == 0 && leads_to(a, pcms, found, type, depth - 1);
    }
    if (is_of_type(a, pcm, type)) {
        return true;
    }
    for (size_t i = 0; i < sizeof behind / sizeof *behind; i++) {
        if (a->search(pcm, behind[i], &found) == 0 && leads_to(a, pcms, found, type, depth - 1)) {
            return true;
        }
    }
    return false;
}

/* Its type is no text, over which PortAudio would give the whole list up. */
static bool is_broken(const alsa *a, node *pcm) {
    node *found;
    const char *text;
    return a->search(pcm, "type", &found) == 0 && a->get_string(found, &text) != 0;
}

/* Takes out the PCMs that lead to one of that type; NULL: the broken ones. */
static void take_out(const alsa *a, node *pcms, const char *type, int depth) {
    /* One that is found to lead there through another is to find it still there. */
    enum { MOST = 256 };
    node *found[MOST];
    size_t count = 0;
    for (iterator *at = a->first(pcms); at != a->end(pcms) && count < MOST; at = a->next(at)) {
        node *pcm = a->entry(at);
        if (type ? leads_to(a, pcms, pcm, type, depth) : is_broken(a, pcm)) {
            found[count++] = pcm;
        }
    }
    while (count > 0) {
        a->delete(found[--count]);
    }
}

/* ---- a server that hangs ---- */

static _Atomic bool pulse_is_out;

/* Reading the configuration asks, through a plug-in of ALSA's, whether a PulseAudio server runs,
 * and waits for the answer. */
static const char HOOK[] = "alsa-lib/libasound_module_conf_pulse.so";
static int (*connect_context)(void *, const char *, int, const void *);

/* In the place of its pa_context_connect. */
static int connect_unless_it_hangs(void *context, const char *server, int flags,
                                   const void *spawn) {
    bool hangs = atomic_load_explicit(&pulse_is_out, memory_order_relaxed);
    return hangs ? -1 : connect_context(context, server, flags, spawn);
}

static void guard_hook(void) {
    static atomic_flag done = ATOMIC_FLAG_INIT;
    char path[4096];
    if (atomic_flag_test_and_set(&done) ||
        !sa_library_path("libasound.so.2", "snd_config_update", path, sizeof path, NULL, 0)) {
        return;
    }
    char *name = strrchr(path, '/');
    size_t room = name ? sizeof path - (size_t)(name + 1 - path) : 0;
    if (room <= sizeof HOOK) {
        return;
    }
    memcpy(name + 1, HOOK, sizeof HOOK);
    void *hook = sa_library_open(path, NULL, 0); /* and stays loaded */
    if (hook && sa_library_symbol(hook, "pa_context_connect", &connect_context)) {
        sa_library_replace(hook, "pa_context_connect", (void (*)(void))connect_unless_it_hangs);
    }
}

/* How far a PCM is looked behind. */
enum { ITSELF = 1, BEHIND_OTHERS = 16 };

enum { COMPOUND = 1024 }; /* a node that has others: SND_CONFIG_TYPE_COMPOUND */

static bool prepare(const alsa *a, bool without_pulse) {
    if (without_pulse) {
        guard_hook();
    }
    if (atomic_exchange_explicit(&pulse_is_out, without_pulse, memory_order_relaxed) &&
        !without_pulse) {
        a->forget();
    }
    a->update(); /* what is wrong with it shows when PortAudio opens devices */
    node *pcms;
    if (!*a->configuration || a->search(*a->configuration, "pcm", &pcms) != 0) {
        pcms = NULL;
    } else if (a->get_type(pcms) != COMPOUND) {
        a->delete(pcms); /* whoever looked into it would be ended by an assertion of ALSA's */
        pcms = NULL;
    } else {
        take_out(a, pcms, NULL, ITSELF);
        take_out(a, pcms, "jack", ITSELF);
        if (without_pulse) {
            take_out(a, pcms, "pulse", BEHIND_OTHERS);
        }
    }
    input *text;
    if (*a->configuration && a->open_buffer(&text, UNUSABLE, sizeof UNUSABLE - 1) == 0) {
        a->load(*a->configuration, text);
        a->close_input(text);
    }
    return pcms != NULL;
}

static bool with_alsa(alsa *a) {
    void *library = sa_library_open("libasound.so.2", NULL, 0);
    bool bound = library && bind(library, a);
    if (library) {
        sa_library_close(library); /* that reference; the library stays loaded */
    }
    return bound;
}

bool sa_alsa_configuration_prepare(bool without_pulse) {
    alsa a;
    return !with_alsa(&a) || prepare(&a, without_pulse);
}

void sa_alsa_configuration_pulse_device(const char *name, char *device, size_t bytes) {
    alsa a;
    node *pcms, *pcm, *found;
    const char *text;
    snprintf(device, bytes, "%s", "");
    if (with_alsa(&a) && *a.configuration && a.search(*a.configuration, "pcm", &pcms) == 0 &&
        a.search(pcms, name, &pcm) == 0 && is_of_type(&a, pcm, "pulse") &&
        a.search(pcm, "device", &found) == 0 && a.get_string(found, &text) == 0) {
        snprintf(device, bytes, "%s", text);
    }
}
