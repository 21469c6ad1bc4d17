/* The silence of an output that plays nothing: a monitor of it may bring no packets while it
 * sleeps, and its timeline runs on all the same.
 *
 * Whoever feeds the capture looks at it now and then. After a while without a packet the time that
 * has passed is filled with zeros, in packets that say so (SA_PACKET_IDLE): nothing was captured,
 * and nothing is lost. A sleep that the server tells of counts at once. Otherwise it takes looks
 * that came in time, one after the other: a process that was stopped has packets to come. Their
 * place is the clock's, so the sound that ends the silence is where it belongs.
 *
 * All calls for an idle come from the capture's one producer.
 */
#ifndef SA_IDLE_H
#define SA_IDLE_H

#include "capture.h"

/* The time between two looks. */
#define SA_IDLE_LOOK_NS ((int64_t)100 * 1000 * 1000)

typedef struct {
    sa_capture *capture;
    int64_t behind_ns; /* by which the silence stays behind the clock: a packet may be under way */
    float *silence;    /* of the length of two looks */
    uint32_t silence_frames;
    int64_t base_ns;   /* the end of the last packet of the device, or the beginning, */
    int64_t filled;    /* and how many frames of silence have followed it */
    int64_t looked_ns; /* 0: never */
    int looks;         /* in time, since the last packet */
    bool heard;        /* a packet has come */
    bool filling;
} sa_idle;

/* `period` is how many frames the device delivers at once. False: no memory. */
bool sa_idle_init(sa_idle *idle, sa_capture *capture, uint32_t period);
void sa_idle_free(sa_idle *idle);

/* The device has begun. */
void sa_idle_begin(sa_idle *idle, int64_t now_ns);

/* Called every SA_IDLE_LOOK_NS. `asleep`: the server says that the device sleeps. `alive`: the
 * server has answered something lately; if not, it is the server that stands still. */
void sa_idle_look(sa_idle *idle, int64_t now_ns, bool asleep, bool alive);

/* Called before a packet of the device is pushed; `woken`: its sleep was told to be over. */
void sa_idle_end(sa_idle *idle, int64_t now_ns, uint32_t frames, bool woken);

#endif
