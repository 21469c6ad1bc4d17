/* What a JACK server's own count of frames tells.
 *
 * PortAudio passes jack_frame_time on, which a filter interpolates: after a late cycle it is wrong
 * by up to two periods for some hundred cycles (measured). jack_last_frame_time is the exact
 * number of the cycle under way, made for process callbacks. PortAudio keeps its client to itself,
 * but jack2 keeps the count for the whole process and does not look at the client
 * (common/JackAPI.cpp). Others do (JACK 1, PipeWire): for them there is no count here.
 *
 * The count stands in memory shared with the server, so it also tells whether the server still
 * runs, before a call that would hang or abort the process if it does not.
 */
#ifndef SA_JACK_SERVER_H
#define SA_JACK_SERVER_H

#include "capture.h"

/* The count, if PortAudio has loaded jack2's library; else `read` is NULL. */
sa_host_clock sa_jack_frame_clock(void);

/* Whether the count moves; true where there is none to look at. Takes a period, or a third of a
 * second if it does not move. */
bool sa_jack_server_runs(void);

#endif
