/* Loops that AVX2 makes much quicker are compiled without and with it, and the loader chooses. */
#ifndef SA_PROCESSORS_H
#define SA_PROCESSORS_H

#include <limits.h> /* tells of glibc, whose loader can; sanitizers are not ready yet when it does */

/* For static functions: others would be exported from the module, whatever their visibility. The
 * results are the same: AVX2 has no instruction that multiplies and adds at once. */
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(SA_BASELINE_ONLY) &&                    \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define SA_FOR_EACH_PROCESSOR __attribute__((target_clones("avx2", "default")))
#else
#define SA_FOR_EACH_PROCESSOR
#endif

#endif
