/* Whether a period was overwritten before it was read.
 *
 * JACK calls a client once a cycle. One that is late runs for its cycle when the next has begun,
 * reads that one's count, and is at once called again for it: two packets with the same count. In
 * between, the port it reads from may have got the newer period already: then both packets hold
 * that one, wholly or (if it was just being written) in part, and the older one is lost though a
 * packet came for it. Otherwise the first holds the older period, and nothing is lost. Measured:
 * of 99 such pairs 36 were of the first kind and 63 of the second, and outside of such pairs no
 * period ever came twice. So the samples decide.
 *
 * What the next period overwrites while it is copied never gets here (sa_jack_process).
 *
 * What cannot be told: a client that clears its buffer first and takes milliseconds to fill it,
 * met in between.
 *
 * A signal may repeat by itself. What is constant, such as silence, proves nothing; nor does what
 * the packet after the two holds as well.
 */
#ifndef SA_OVERWRITTEN_H
#define SA_OVERWRITTEN_H

#include "ring.h"

/* Whether `frames` frames of float samples are in part those of the next `frames`, and not also of
 * the `frames` after these, if there is such a `third`. The first of them all is `from` frames
 * after the next one to be read from the ring; or before it (negative), see sa_ring_peek_back. */
bool sa_overwritten(const sa_ring *ring, int64_t from, uint32_t frames, bool third);

#endif
