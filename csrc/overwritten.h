/* Whether a period was overwritten before it was read.
 *
 * JACK calls a client once a cycle. One that is late runs for its cycle when the next has begun,
 * reads that one's count, and is at once called again for it: two packets with the same count. In
 * between, the port it reads from may have got the newer period already: then both packets hold
 * that one, wholly or (if it was just being written) in part, and the older one is lost though a
 * packet came for it. Otherwise the first holds the older period, and nothing is lost. Measured:
 * of 36 such pairs 15 were of the first kind, 21 of the second; outside them no period ever came
 * twice. So the samples decide.
 *
 * A signal may repeat by itself. What is constant, such as silence, proves nothing; nor does what
 * the packet after the two holds as well.
 */
#ifndef SA_OVERWRITTEN_H
#define SA_OVERWRITTEN_H

#include "capture.h"

/* Whether samples of the first packet that waits in the capture are those of the second, which
 * waits there too and has the same count; `third`: there is one more. Reader's thread; none of
 * their frames has been read. */
bool sa_overwritten(const sa_capture *capture, bool third);

#endif
