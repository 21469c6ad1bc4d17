#include "alsa_channels.h"

#include <stdlib.h>
#include <string.h>

#include "platform.h"

/* libasound's, opened at run time. */
typedef struct pcm pcm;
typedef struct parameters parameters;
typedef struct output output;

typedef struct {
    int (*open)(pcm **, const char *, int, int);
    int (*close)(pcm *);
    int (*dump)(pcm *, output *);
    size_t (*parameters_size)(void);
    int (*type)(pcm *);
    int (*any)(pcm *, parameters *);
    int (*channels_max)(const parameters *, unsigned *);
    int (*set_format)(pcm *, parameters *, int);
    int (*set_rate_near)(pcm *, parameters *, unsigned *, int *);
    int (*set_channels_near)(pcm *, parameters *, unsigned *);
    int (*set_buffer_near)(pcm *, parameters *, unsigned long *);
    int (*set)(pcm *, parameters *);
    int (*open_buffer)(output **);
    size_t (*buffer_string)(output *, char **);
    int (*close_output)(output *);
} alsa;

enum { CAPTURE = 1, NONBLOCK = 1 };       /* SND_PCM_STREAM_CAPTURE, SND_PCM_NONBLOCK */
enum { S16 = 2, S32 = 10, FLOAT32 = 14 }; /* snd_pcm_format_t, little endian */
enum { ROUTE = 13, PLUG = 14 };           /* snd_pcm_type_t */
enum { VERY_MANY = 64, ROW_BYTES = 160 };

static bool bind(void *library, alsa *a) {
    const struct {
        const char *name;
        void *place;
    } all[] = {
        {"snd_pcm_open", &a->open},
        {"snd_pcm_close", &a->close},
        {"snd_pcm_dump", &a->dump},
        {"snd_pcm_hw_params_sizeof", &a->parameters_size},
        {"snd_pcm_type", &a->type},
        {"snd_pcm_hw_params_any", &a->any},
        {"snd_pcm_hw_params_get_channels_max", &a->channels_max},
        {"snd_pcm_hw_params_set_format", &a->set_format},
        {"snd_pcm_hw_params_set_rate_near", &a->set_rate_near},
        {"snd_pcm_hw_params_set_channels_near", &a->set_channels_near},
        {"snd_pcm_hw_params_set_buffer_size_near", &a->set_buffer_near},
        {"snd_pcm_hw_params", &a->set},
        {"snd_output_buffer_open", &a->open_buffer},
        {"snd_output_buffer_string", &a->buffer_string},
        {"snd_output_close", &a->close_output},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!sa_library_symbol(library, all[i].name, all[i].place)) {
            return false;
        }
    }
    return true;
}

/* Rows look like "    0 <- 0*0.5 + 1*0.5", or "    2 <- none". */
static int32_t count_rows(const char *row) {
    char known[VERY_MANY][ROW_BYTES];
    int32_t count = 0;
    for (int32_t expected = 0; expected < VERY_MANY; expected++) {
        char *after;
        long number = strtol(row, &after, 10);
        if (number != expected || strncmp(after, " <- ", 4) != 0) {
            break;
        }
        const char *sources = after + 4;
        size_t length = strcspn(sources, "\n");
        bool own = strncmp(sources, "none", 4) != 0 && length < ROW_BYTES;
        for (int32_t i = 0; own && i < count; i++) {
            own = strncmp(known[i], sources, length) != 0 || known[i][length] != '\0';
        }
        if (!own) {
            break;
        }
        memcpy(known[count], sources, length);
        known[count++][length] = '\0';
        row = sources + length;
    }
    return count;
}

/* What the PCM takes at most; of one that mixes, what its table of gains has sources for. */
static sa_alsa_channels read_dump(const char *text, unsigned most) {
    static const char heading[] = "Transformation table:\n";
    const char *table = strstr(text, heading);
    if (strstr(text, "PulseAudio")) {
        return (sa_alsa_channels){.channels = SA_ALSA_ANY_NUMBER, .through_pulse = true};
    }
    if (table) {
        return (sa_alsa_channels){.channels = count_rows(table + sizeof heading - 1)};
    }
    return (sa_alsa_channels){.channels = most < VERY_MANY ? (int32_t)most : SA_ALSA_ANY_NUMBER};
}

/* Sets the PCM up with as many channels as it takes, up to very many; 0: it takes nothing. */
static unsigned set_up(const alsa *a, pcm *p, parameters *wanted) {
    static const int formats[] = {FLOAT32, S32, S16};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        unsigned channels = VERY_MANY;
        unsigned rate = 48000;
        unsigned long frames = 4096; /* left open it may become gigabytes */
        if (a->any(p, wanted) >= 0 && a->set_format(p, wanted, formats[i]) >= 0 &&
            a->set_rate_near(p, wanted, &rate, NULL) >= 0 &&
            a->set_channels_near(p, wanted, &channels) >= 0 &&
            a->set_buffer_near(p, wanted, &frames) >= 0 && a->set(p, wanted) >= 0) {
            return channels;
        }
    }
    return 0;
}

/* Only what mixes needs to be set up to be seen through. Others are not: refining never ends for a
 * "multi" before a "null" (libasound 1.2.8). */
static unsigned most_channels(const alsa *a, pcm *p, parameters *wanted) {
    int type = a->type(p);
    unsigned most = 0;
    if (type == PLUG || type == ROUTE) {
        return set_up(a, p, wanted);
    }
    return a->any(p, wanted) >= 0 && a->channels_max(wanted, &most) >= 0 ? most : 0;
}

static sa_alsa_channels examine(const alsa *a, pcm *p) {
    sa_alsa_channels found = {0};
    parameters *wanted = calloc(1, a->parameters_size());
    output *out = NULL;
    char *text = NULL;
    unsigned most = wanted ? most_channels(a, p, wanted) : 0;
    if (most > 0 && a->open_buffer(&out) >= 0) {
        if (a->dump(p, out) >= 0) {
            size_t length = a->buffer_string(out, &text);
            char *copy = calloc(1, length + 1); /* that of libasound has no end */
            if (copy) {
                memcpy(copy, text, length);
                found = read_dump(copy, most);
                free(copy);
            }
        }
        a->close_output(out);
    }
    free(wanted);
    return found;
}

sa_alsa_channels sa_alsa_count_channels(const char *name) {
    sa_alsa_channels found = {0};
    void *library = sa_library_open("libasound.so.2", NULL, 0);
    alsa a;
    pcm *p;
    if (library && bind(library, &a) && a.open(&p, name, CAPTURE, NONBLOCK) >= 0) {
        found = examine(&a, p);
        a.close(p);
    }
    if (library) {
        sa_library_close(library); /* that reference; the library stays loaded */
    }
    return found;
}
