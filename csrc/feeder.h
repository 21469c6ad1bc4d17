/* A feeder: hands frames that were read from a file to a capture, as an audio thread would. It has
 * no thread of its own; whoever reads the file pushes, and sleeps in the push until the clock says
 * so or the ring has room. No frame is ever lost on the way, and each packet carries the position
 * of its first frame as the host's count (capture->counted_by_host and ->source_waits, set before
 * the reader is made).
 *
 * Who may call what
 *   feeding thread  sa_feeder_push, sa_feeder_end: it is the capture's one producer
 *   any thread      sa_feeder_stop
 *   any one thread  sa_feeder_create before, sa_feeder_destroy after the feeding thread ran
 */
#ifndef SA_FEEDER_H
#define SA_FEEDER_H

#include "capture.h"

typedef struct sa_feeder sa_feeder;

/* `period`: frames that are handed over at once. `freewheel`: as fast as the ring has room,
 * instead of by the clock; the ring must hold a period. Takes a seat at the clock for the feeding
 * thread, so it is created just before that thread starts. NULL: not enough memory. */
sa_feeder *sa_feeder_create(sa_clock *clock, sa_capture *capture, uint32_t period, bool freewheel);

/* Hands all `count` interleaved frames over and returns true, or false once it was stopped. In
 * real time a period is due when its last frame would have been captured, counted from the first
 * push. */
bool sa_feeder_push(sa_feeder *feeder, const float *frames, int64_t count);

/* Says that no push will follow, and gives up the seat. */
void sa_feeder_end(sa_feeder *feeder);

/* Makes the push under way, and each one after it, return false. */
void sa_feeder_stop(sa_feeder *feeder);

void sa_feeder_destroy(sa_feeder *feeder);

#endif
