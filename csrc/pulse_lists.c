#include "pulse_lists.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for one more, which is zero. NULL: no memory. */
static void *add(sa_pulse_list *list, size_t bytes) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 16;
        void *items = realloc(list->items, capacity * bytes);
        if (!items) {
            return NULL;
        }
        list->items = items;
        list->capacity = capacity;
    }
    return memset((char *)list->items + list->count++ * bytes, 0, bytes);
}

static void set_text(char *text, const char *said) {
    snprintf(text, SA_PULSE_TEXT_BYTES, "%s", said ? said : "");
}

static const char *described(const char *description, const char *name) {
    return description && *description ? description : name;
}

static int32_t number(const pa_proplist *properties, const sa_libpulse *library, const char *key) {
    const char *text = library->proplist_gets(properties, key);
    char *end = NULL;
    long value = text ? strtol(text, &end, 10) : -1;
    return text && end != text && *end == '\0' && value >= 0 && value < INT32_MAX ? (int32_t)value
                                                                                  : -1;
}

bool sa_pulse_add_source(sa_pulse_list *list, const sa_libpulse *library,
                         const pa_source_info *info) {
    sa_pulse_source *source = add(list, sizeof *source);
    if (!source) {
        return false;
    }
    source->sample_rate = info->sample_spec.rate;
    source->channels = info->sample_spec.channels;
    source->alsa_card = source->alsa_device = -1;
    source->latency = (double)info->configured_latency * 1e-6;
    source->is_monitor = info->monitor_of_sink != PA_INVALID_INDEX;
    set_text(source->name, info->name);
    set_text(source->description, described(info->description, info->name));
    library->channel_map_snprint(source->channel_map, sizeof source->channel_map,
                                 &info->channel_map);
    const char *api = library->proplist_gets(info->proplist, "device.api");
    if (!source->is_monitor && api && strcmp(api, "alsa") == 0) {
        source->alsa_card = number(info->proplist, library, "alsa.card");
        source->alsa_device = number(info->proplist, library, "alsa.device");
    }
    return true;
}

bool sa_pulse_add_output(sa_pulse_list *list, const pa_sink_info *info) {
    sa_pulse_output *output = add(list, sizeof *output);
    if (!output) {
        return false;
    }
    output->index = info->index;
    set_text(output->name, info->name);
    set_text(output->description, described(info->description, info->name));
    set_text(output->monitor, info->monitor_source_name);
    return true;
}

bool sa_pulse_add_program(sa_pulse_list *list, const sa_libpulse *library,
                          const pa_sink_input_info *info) {
    sa_pulse_program *program = add(list, sizeof *program);
    if (!program) {
        return false;
    }
    program->index = info->index;
    program->output = info->sink;
    program->sample_rate = info->sample_spec.rate;
    program->channels = info->sample_spec.channels;
    program->paused = info->corked;
    program->process = number(info->proplist, library, "application.process.id");
    set_text(program->name, library->proplist_gets(info->proplist, "application.name"));
    set_text(program->binary,
             library->proplist_gets(info->proplist, "application.process.binary"));
    set_text(program->title, info->name);
    library->channel_map_snprint(program->channel_map, sizeof program->channel_map,
                                 &info->channel_map);
    return true;
}

void sa_pulse_free_list(sa_pulse_list *list) {
    free(list->items);
    *list = (sa_pulse_list){0};
}
