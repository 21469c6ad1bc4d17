/* A doorbell: what one thread sleeps on and others ring, an audio thread among them.
 *
 * Guarantees
 *   - Ringing is wait-free: one atomic operation, and one system call that never blocks (a wake of
 *     the word) if somebody sleeps. While nobody sleeps there is no system call.
 *   - A ring that comes before the sleep is not lost: the sleep is over at once.
 *   - A bell outlives all who may ring it: each of its holders keeps it.
 *
 * Who may call what
 *   any thread  sa_doorbell_ring
 *   one thread  sa_doorbell_sleep
 */
#ifndef SA_DOORBELL_H
#define SA_DOORBELL_H

#include <stdatomic.h>
#include <stdint.h>

#include "platform.h"

enum {
    SA_RUNG_TO_WAKE = 1,     /* somebody has something else to do for the sleeper */
    SA_RUNG_FOR_A_CHUNK = 2, /* a capture has what its reader waits for */
    SA_SLEEPS_BY_THE_BELL = 4,
};

typedef struct {
    _Atomic uint32_t word; /* of the bits above; what a system's wait and wake go by */
    _Atomic uint32_t holders;
} sa_doorbell;

/* With one holder. NULL: not enough memory. */
sa_doorbell *sa_doorbell_create(void);
sa_doorbell *sa_doorbell_hold(sa_doorbell *bell);

/* Lets go of it; the last holder frees it. NULL is no bell. */
void sa_doorbell_let_go(sa_doorbell *bell);

static inline void sa_doorbell_ring(sa_doorbell *bell, uint32_t why) {
    /* Pairs with the acquire in sa_doorbell_sleep: what the ring is about was written before. */
    uint32_t before = atomic_fetch_or_explicit(&bell->word, why, memory_order_release);
    if (before & SA_SLEEPS_BY_THE_BELL) {
        sa_word_wake(&bell->word);
    }
}

/* Sleeps until it is rung for one of the reasons in `why`, or until `until_ns` of the real clock.
 * Returns those for which it was rung, which then count as answered, or 0. */
uint32_t sa_doorbell_sleep(sa_doorbell *bell, uint32_t why, int64_t until_ns);

#endif
