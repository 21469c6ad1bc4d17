#include "alsa_configuration.h"

#include <stdio.h>
#include <string.h>

#include "platform.h"

/* libasound's, opened at run time: a tree of nodes, and text that is read into one. */
typedef struct node node;
typedef struct input input;
typedef struct iterator iterator;

typedef struct {
    node **configuration; /* snd_config */
    int (*update)(void);
    int (*search)(node *, const char *, node **);
    int (*load)(node *, input *);
    int (*delete)(node *);
    int (*get_string)(const node *, const char **);
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
        {"snd_config", &a->configuration},          {"snd_config_update", &a->update},
        {"snd_config_search", &a->search},          {"snd_config_load", &a->load},
        {"snd_config_delete", &a->delete},          {"snd_config_get_string", &a->get_string},
        {"snd_config_iterator_first", &a->first},   {"snd_config_iterator_next", &a->next},
        {"snd_config_iterator_end", &a->end},       {"snd_config_iterator_entry", &a->entry},
        {"snd_input_buffer_open", &a->open_buffer}, {"snd_input_close", &a->close_input},
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

static void take_out(const alsa *a, node *pcms, const char *type) {
    iterator *next;
    for (iterator *at = a->first(pcms); at != a->end(pcms); at = next) {
        next = a->next(at); /* the node of `at` may go */
        if (is_of_type(a, a->entry(at), type)) {
            a->delete(a->entry(at));
        }
    }
}

static bool prepare(const alsa *a) {
    a->update(); /* what is wrong with it shows when PortAudio opens devices */
    node *pcms;
    if (!*a->configuration || a->search(*a->configuration, "pcm", &pcms) != 0) {
        pcms = NULL;
    } else {
        take_out(a, pcms, "jack");
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

bool sa_alsa_configuration_prepare(void) {
    alsa a;
    return !with_alsa(&a) || prepare(&a);
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
