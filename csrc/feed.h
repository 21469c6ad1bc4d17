/* A feed: frames that the program itself pushes into a capture, from any of its threads.
 *
 * It has no thread and no clock of its own, and counts nothing: what is missing is told by
 * sa_capture_leave_out (capture->source_waits is set: lateness proves no loss). A caller's lock
 * makes the threads one producer, one after the other. The two calls below, and
 * sa_capture_leave_out and sa_capture_finish, are made with that lock.
 */
#ifndef SA_FEED_H
#define SA_FEED_H

#include "capture.h"

/* The packet's time is that of its hand-over. */
#define SA_STAMP_ON_ARRIVAL INT64_MIN

/* Frames that a push would store now. */
int64_t sa_feed_room(sa_capture *capture);

/* Leaves `left_out` frames out, then hands `count` over, of which the first was captured at
 * `time_ns` on the capture's clock. Returns how many were stored; the others count as lost. */
int64_t sa_feed_push(sa_capture *capture, int64_t left_out, const float *frames, uint32_t count,
                     int64_t time_ns);

#endif
