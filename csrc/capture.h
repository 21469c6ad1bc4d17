/* A capture: what an audio thread writes and a reader reads.
 *
 * Two rings. Frames are copied into the first without being published; one packet record a
 * callback goes into the second, and its release is the only publication. The reader takes frames
 * only as far as the last record it has seen, so frames and their bookkeeping never disagree.
 *
 * Nothing is ever overwritten: frames that do not fit are counted, and the count travels in the
 * next record (`lost_before`). After that an eighth of both rings must be free before more goes
 * in: a reader that is too slow then gets long stretches with long gaps between, rather than a
 * scrap for each packet that it made room for, which would make it slower still. What is lost
 * after the last record stands in `unrecorded_loss`. What the host says it has left out takes the
 * same way, and is told apart (`left_out`, `unrecorded_holes`).
 *
 * Who may call what
 *   audio thread   sa_capture_push, sa_capture_leave_out (realtime.h), the one producer
 *   reader thread  reader.h, the one consumer; sa_capture_hang_bell,
 *                  sa_capture_ask_to_be_rung, …_be_rung_no_more
 *   any thread     sa_capture_finish, once no callback can run any more; sa_capture_counts
 */
#ifndef SA_CAPTURE_H
#define SA_CAPTURE_H

#include "clock.h"
#include "ring.h"

enum {
    /* The host said that input was lost before this packet. A hint: few host APIs ever say it. */
    SA_PACKET_OVERFLOW = 1,
    /* What the host left out before this packet it did not capture: its device was suspended. */
    SA_PACKET_SUSPENDED = 2,
    /* It is silence that no device captured: the output that is recorded slept (idle.h). Its
     * host_adc_ns is the capture clock's time of its first frame, exactly. */
    SA_PACKET_IDLE = 4,
};

/* One callback. */
typedef struct {
    int64_t position;      /* of the first frame; frames that did not fit are counted in */
    int64_t lost_before;   /* frames that did not fit, or that the host left out, just before it */
    int64_t stored_before; /* frames that went into the ring before this packet */
    int64_t entry_ns;      /* our clock when the callback was entered */
    int64_t host_adc_ns;   /* the host's time of the first frame at the converter; 0: unknown */
    int64_t host_now_ns;   /* the host's time at entry */
    uint32_t frames;       /* stored frames of this packet */
    uint32_t flags;        /* SA_PACKET_… */
    uint32_t duration_ns;  /* from entry to just before the record was published */
    union {
        uint32_t host_frame; /* where the host counts: its own count for the first frame */
        uint32_t left_out;   /* elsewhere: how many of lost_before it left out; what is beyond
                              * 32 bits (a day at 48 kHz) counts as not fitting */
    };
} sa_packet;

typedef struct {
    sa_ring frames;
    sa_ring packets;

    /* Constant after creation. */
    const sa_clock *clock;
    double sample_rate;
    uint32_t channels;
    uint64_t resume_frames; /* free frames and packet slots with which an overflow ends */
    uint64_t resume_packets;
    bool counted_by_host;    /* packets carry a host_frame: the host's own count, in 32 bits */
    bool source_waits;       /* it is no device: nothing is lost while nobody is there */
    int64_t host_latency_ns; /* of input, as the host reports it, or 0; or SA_ANY_AGE (adc.h); set
                              * before the start */
    bool may_ring;           /* the audio thread may wake the reader; set before the start */
    sa_doorbell *_Atomic doorbell; /* the reader's; set once, before the first ring_at */

    /* The producer's own. */
    alignas(SA_CACHE_LINE) int64_t position;
    int64_t carried_loss;   /* lost or left out since the last record */
    int64_t carried_holes;  /* of those, left out by the host */
    uint32_t carried_flags; /* of packets without a record since then */
    bool overflowing;       /* the last packet did not fit */

    /* Written by the reader before it sleeps, and by the producer when it rings. */
    alignas(SA_CACHE_LINE) _Atomic int64_t ring_at; /* position; SA_NEVER: nobody sleeps */

    /* Written by the producer alone, read by anyone; relaxed: each is a figure of its own. */
    _Atomic int64_t stored;
    _Atomic int64_t lost;
    _Atomic int64_t unrecorded_loss;
    _Atomic int64_t unrecorded_holes;
    _Atomic int64_t callbacks;

    /* Set once, by sa_capture_finish, after the last push. */
    _Atomic bool finished;
#ifdef SA_CHECKS
    _Atomic uintptr_t producer_thread;
    _Atomic uintptr_t consumer_thread;
#endif
} sa_capture;

typedef struct {
    int64_t stored;           /* frames that went into the ring */
    int64_t lost;             /* frames that did not fit */
    int64_t unrecorded_loss;  /* those of them that no record tells of yet */
    int64_t unrecorded_holes; /* left out by the host, and no record tells of it yet */
    int64_t callbacks;
} sa_capture_counts;

/* `packet_slots` bounds the packets that wait unread. NULL: not enough memory. */
sa_capture *sa_capture_create(const sa_clock *clock, double sample_rate, uint32_t channels,
                              uint64_t ring_frames, uint64_t packet_slots);
void sa_capture_destroy(sa_capture *capture);

/* For one that is never destroyed, as its host hangs: gives the frames' memory back to the system.
 * Addresses stay valid, so a callback may still come; no reader may read any more. */
void sa_capture_abandon(sa_capture *capture);

/* The reader's, before a sleep: from now on the end of the capture wakes its sleeper. On a virtual
 * clock, where nobody is late, it does nothing. */
void sa_capture_hang_bell(sa_capture *capture, const sa_sleeper *sleeper);

/* The reader's: from now on has the push that brings the capture to `position` ring its sleeper.
 * Nothing is missed: a packet that this call does not wait for is there to be seen after it. It is
 * to be seen to before the sleep. Does nothing where nobody may ring. */
void sa_capture_ask_to_be_rung(sa_capture *capture, const sa_sleeper *sleeper, int64_t position);
void sa_capture_be_rung_no_more(sa_capture *capture);

/* Says that no push will follow; the reader then ends after the last packet, and is woken to. */
void sa_capture_finish(sa_capture *capture);

sa_capture_counts sa_capture_count(sa_capture *capture);

#endif
