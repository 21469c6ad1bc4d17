/* Check builds (-DSA_CHECKS) abort when a second thread takes a role that is one thread's. */
#ifndef SA_THREAD_ROLE_H
#define SA_THREAD_ROLE_H

#ifdef SA_CHECKS
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static inline void sa_claim_role(_Atomic uintptr_t *owner, const char *role) {
    uintptr_t self = (uintptr_t)pthread_self();
    uintptr_t nobody = 0;
    if (!atomic_compare_exchange_strong_explicit(owner, &nobody, self, memory_order_relaxed,
                                                 memory_order_relaxed) &&
        nobody != self) {
        fprintf(stderr, "stream-audio: a second thread acts as the %s of a capture\n", role);
        abort();
    }
}
#define SA_CLAIM_ROLE(owner, role) sa_claim_role(owner, role)
/* For a role that passes from one thread to another, one after the other. */
#define SA_GIVE_UP_ROLE(owner) atomic_store_explicit(owner, 0, memory_order_relaxed)
#else
#define SA_CLAIM_ROLE(owner, role) ((void)0)
#define SA_GIVE_UP_ROLE(owner) ((void)0)
#endif

#endif
