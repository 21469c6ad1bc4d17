/* What a private copy of PortAudio may not do: be a client of JACK, print, let ALSA print on its
 * threads, end the process.
 *
 * Done by replacing what the copy imports (library_imports.h); a PortAudio that does none of
 * these, or does not import them, stays as it is.
 *
 * JACK: we have a client of our own (jack_client.h). PortAudio would open one for each list of
 * devices, which costs other clients xruns, waits for a frozen server, takes ports of other
 * clients for those that were named, and hangs or aborts once its server has gone.
 */
#ifndef SA_PORTAUDIO_RESTRAINTS_H
#define SA_PORTAUDIO_RESTRAINTS_H

#include <setjmp.h>

void sa_portaudio_restrain(void *handle);

/* Where a thread goes on that meets a failed assertion: set before it calls PortAudio, and NULL
 * afterwards. The copy must not be called any more then. A thread without such a place (one of
 * PortAudio's own) stands still for good. */
extern _Thread_local jmp_buf *sa_portaudio_escape;

#endif
