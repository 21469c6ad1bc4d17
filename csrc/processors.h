/* Loops that AVX2 makes much quicker are compiled without and with it, and the loader chooses. */
#ifndef SA_PROCESSORS_H
#define SA_PROCESSORS_H

#include <limits.h> /* tells of glibc, whose loader can choose */

/* It does so before a sanitizer is ready. */
#ifdef __has_feature
#define SA_SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SA_SANITIZED 1
#else
#define SA_SANITIZED 0
#endif

/* For static functions: others would be exported from the module, whatever their visibility. The
 * results are the same: AVX2 has no instruction that multiplies and adds at once. */
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(SA_BASELINE_ONLY) && !SA_SANITIZED
#define SA_FOR_EACH_PROCESSOR __attribute__((target_clones("avx2", "default")))
#else
#define SA_FOR_EACH_PROCESSOR
#endif

#endif
