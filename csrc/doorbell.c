#include "doorbell.h"

#include <stdlib.h>

#include "check.h"
#include "clock.h"

sa_doorbell *sa_doorbell_create(void) {
    sa_doorbell *bell = calloc(1, sizeof *bell);
    if (bell) {
        atomic_init(&bell->holders, 1);
    }
    return bell;
}

sa_doorbell *sa_doorbell_hold(sa_doorbell *bell) {
    SA_CHECK(atomic_load_explicit(&bell->holders, memory_order_relaxed) > 0);
    /* Relaxed: who holds one more has it from somebody who holds it meanwhile. */
    atomic_fetch_add_explicit(&bell->holders, 1, memory_order_relaxed);
    return bell;
}

void sa_doorbell_let_go(sa_doorbell *bell) {
    if (bell && atomic_fetch_sub_explicit(&bell->holders, 1, memory_order_acq_rel) == 1) {
        free(bell);
    }
}

uint32_t sa_doorbell_sleep(sa_doorbell *bell, uint32_t why, int64_t until_ns) {
    uint32_t seen =
        SA_SLEEPS_BY_THE_BELL |
        atomic_fetch_or_explicit(&bell->word, SA_SLEEPS_BY_THE_BELL, memory_order_relaxed);
    while (!(seen & why) && sa_clock_now(sa_clock_real()) < until_ns) {
        sa_word_wait(&bell->word, seen, until_ns);
        seen = atomic_load_explicit(&bell->word, memory_order_relaxed);
    }
    /* Pairs with the release in sa_doorbell_ring. */
    return why & atomic_fetch_and_explicit(&bell->word, ~(SA_SLEEPS_BY_THE_BELL | why),
                                           memory_order_acquire);
}
