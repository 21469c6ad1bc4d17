/* What a function trusts its caller with, checked in check builds (-DSA_CHECKS).
 *
 * A call that breaks a promise ends the program there and names it, instead of writing where it
 * must not. Other builds trust: the condition is compiled, so that it stays right, and not run.
 */
#ifndef SA_CHECK_H
#define SA_CHECK_H

#ifdef SA_CHECKS
#include <stdio.h>
#include <stdlib.h>

static inline void sa_check_failed(const char *file, int line, const char *condition) {
    fprintf(stderr, "stream-audio: %s:%d: not so: %s\n", file, line, condition);
    abort();
}
#define SA_CHECK(condition)                                                                       \
    ((condition) ? (void)0 : sa_check_failed(__FILE__, __LINE__, #condition))
#else
#define SA_CHECK(condition) ((void)sizeof(!(condition)))
#endif

#endif
