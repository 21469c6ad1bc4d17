/* What ALSA and JACK would print to the terminal, kept as lines for the program's log.
 * Process-wide and bounded: when it is full the oldest line goes. */
#ifndef SA_HOST_MESSAGES_H
#define SA_HOST_MESSAGES_H

#include <stdbool.h>
#include <stddef.h>

enum { SA_HOST_MESSAGE_BYTES = 256 };

/* Takes over the messages of the JACK and ALSA libraries, loading them if they are there: JACK's
 * for the process (it knows no other way), ALSA's for the calling thread alone. */
void sa_host_messages_capture(void);

/* Of these ALSA's alone, for the calling thread. */
void sa_host_messages_capture_alsa(void);

/* Keeps a line as the words of a host. */
void sa_host_messages_keep(const char *host, const char *text);

/* Copies the oldest line out (NUL-terminated) and forgets it; false if there is none. */
bool sa_host_messages_take(char *line, size_t bytes);

#endif
