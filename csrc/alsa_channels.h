/* How many channels an ALSA plug-in really has.
 *
 * Most say that they take any number: asked for more than there are they leave the rest silent,
 * asked for fewer they mix. What they would do is in the table of gains that libasound prints of a
 * PCM that is set up (snd_pcm_dump): asked for very many, each row with a source of its own is a
 * channel that there is. */
#ifndef SA_ALSA_CHANNELS_H
#define SA_ALSA_CHANNELS_H

#include <stdbool.h>
#include <stdint.h>

enum { SA_ALSA_ANY_NUMBER = 0 };

typedef struct {
    int32_t channels;   /* SA_ALSA_ANY_NUMBER: it cannot be told */
    bool through_pulse; /* a sound server stands behind it, which mixes unseen */
} sa_alsa_channels;

/* Opens the PCM for a moment, but captures nothing. On a thread that may wait for its driver. */
sa_alsa_channels sa_alsa_count_channels(const char *pcm);

#endif
