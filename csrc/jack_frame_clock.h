/* The JACK server's own count of frames, for one stream.
 *
 * PortAudio passes jack_frame_time on, which a filter interpolates: after a late cycle it is wrong
 * by up to a period for some hundred cycles (measured). jack_last_frame_time is the exact number of
 * the cycle under way, and JACK gives it to process callbacks, but PortAudio keeps its client to
 * itself. So a client of our own, without ports and never activated, asks for it.
 *
 * Open and close on a generation's control thread: a dead server hangs them as it does PortAudio.
 */
#ifndef SA_JACK_FRAME_CLOCK_H
#define SA_JACK_FRAME_CLOCK_H

#include "capture.h"

/* Fills in capture->host_clock; false, and nothing changed, if there is no JACK library or server,
 * or one whose count stands still for a client that is not active (PipeWire's, as read in its
 * source). */
bool sa_jack_frame_clock_open(sa_host_clock *clock);
void sa_jack_frame_clock_close(sa_host_clock *clock);

#endif
