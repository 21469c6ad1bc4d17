/* The reading thread's one call a turn: it sleeps until a chunk is due, and reads.
 *
 * It reckons when to look, and watches for a moment around it. Where watching does not serve
 * (watch.h) it sleeps until the capture rings. Either way it is a poll with a deadline, that a
 * packet, a bell or a wake cuts short.
 *
 * It is one call because each return to Python has to win the GIL: with a wait and a read apart
 * that would be twice for each chunk.
 */
#ifndef SA_WAIT_H
#define SA_WAIT_H

#include "clock.h"
#include "reader.h"

/* Sleeps until any reader should have its `chunks_at_once`, has a full block or its end, or until
 * the sleeper is woken or `deadline_ns` has come; then reads, so that what is ready has been read
 * when it returns. Returns the time of its last look. `bells` are eventfds, which are rung first.
 */
int64_t sa_wait_and_read(sa_reader *const *readers, size_t count, sa_sleeper *sleeper,
                         int64_t deadline_ns, const int *bells, size_t bell_count);

/* After such a wait: takes in what came while the caller could not go on, if anything did. */
void sa_read_more(sa_reader *const *readers, size_t count, const sa_sleeper *sleeper);

#endif
