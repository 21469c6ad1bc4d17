/* ALSA's configuration in memory, made fit for PortAudio's listing. */
#ifndef SA_ALSA_CONFIGURATION_H
#define SA_ALSA_CONFIGURATION_H

#include <stdbool.h>
#include <stddef.h>

/* Reads the configuration anew if its files have changed: PortAudio lists the devices of what is
 * in memory, and a generation that was given up leaves an old one there. Then, in memory alone:
 *
 * - takes out PCMs of type "jack": ours is the way to JACK, and opening one waits for a server
 *   that is frozen, and costs other clients xruns;
 * - takes out PCMs whose type is no text, and what is called "pcm" and is no set of PCMs: the
 *   first would cost the whole list, the second fails an assertion of ALSA's;
 * - `without_pulse`: takes out those that lead to one of type "pulse", whose server is known to
 *   hang: each would be opened, and wait for it. They are back the next time;
 * - adds a PCM that cannot be opened: where all can, and none is called "default" or "dmix",
 *   PortAudio fails an assertion (devIdx < numDeviceNames).
 *
 * Returns false if there is a library but no configuration that defines a PCM: ALSA has none then,
 * and says why. On the thread that is about to call PortAudio. */
bool sa_alsa_configuration_prepare(bool without_pulse);

/* What a PCM of type "pulse" asks its server for; empty: for the default, or it is of another
 * type. On the same thread. */
void sa_alsa_configuration_pulse_device(const char *pcm, char *device, size_t bytes);

#endif
