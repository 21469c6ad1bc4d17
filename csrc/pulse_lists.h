/* What a server lists, kept as records of our own: its sources, its outputs (libpulse's sinks),
 * and what programs play into these (its sink inputs).
 */
#ifndef SA_PULSE_LISTS_H
#define SA_PULSE_LISTS_H

#include "pulse_library.h"

enum {
    SA_PULSE_TEXT_BYTES = 256,
    SA_PULSE_MAP_BYTES = PA_CHANNEL_MAP_SNPRINT_MAX,
};

typedef struct {
    char name[SA_PULSE_TEXT_BYTES];        /* the server's own, unique there */
    char description[SA_PULSE_TEXT_BYTES]; /* what a desktop shows */
    char channel_map[SA_PULSE_MAP_BYTES];  /* names of the channels, with commas */
    uint32_t sample_rate;
    uint32_t channels;
    int32_t alsa_card; /* the card and device behind it; -1: it is another kind of source */
    int32_t alsa_device;
    double latency; /* seconds that the source holds back, as it is configured now */
    bool is_monitor;
} sa_pulse_source;

typedef struct {
    char name[SA_PULSE_TEXT_BYTES]; /* the server's own, unique there */
    char description[SA_PULSE_TEXT_BYTES];
    char monitor[SA_PULSE_TEXT_BYTES]; /* the name of the source that records it */
    uint32_t index;                    /* the server's, for sa_pulse_program.output */
} sa_pulse_output;

/* A stream that a program plays. */
typedef struct {
    uint32_t index;                  /* the server's own, never used again */
    uint32_t output;                 /* index of the output that it plays to */
    char name[SA_PULSE_TEXT_BYTES];  /* the program's, as it calls itself; or empty, */
    char title[SA_PULSE_TEXT_BYTES]; /* and what it says that it plays */
    char binary[SA_PULSE_TEXT_BYTES];
    int32_t process; /* its id, or -1 */
    char channel_map[SA_PULSE_MAP_BYTES];
    uint32_t sample_rate;
    uint32_t channels;
    bool paused;
} sa_pulse_program;

/* Grows as it is added to. */
typedef struct {
    void *items;
    size_t count;
    size_t capacity;
} sa_pulse_list;

/* Adds what the server tells of one. False: no memory. */
bool sa_pulse_add_source(sa_pulse_list *list, const sa_libpulse *library,
                         const pa_source_info *info);
bool sa_pulse_add_output(sa_pulse_list *list, const pa_sink_info *info);
bool sa_pulse_add_program(sa_pulse_list *list, const sa_libpulse *library,
                          const pa_sink_input_info *info);
void sa_pulse_free_list(sa_pulse_list *list);

#endif
