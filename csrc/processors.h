/* Loops that AVX2 makes much quicker are compiled without and with it, and the first call chooses.
 * Not the loader (target_clones): what that takes of the compiler's runtime brings the runtime's
 * own copies of memcpy, sin and others into the module, larger and slower than the C library's. */
#ifndef SA_PROCESSORS_H
#define SA_PROCESSORS_H

#if defined(__x86_64__) && !defined(SA_BASELINE_ONLY)

#include <cpuid.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, "Detection of AVX2": the
 * processor has it, and the system keeps its registers. */
static inline bool sa_look_for_avx2(void) {
    const unsigned osxsave = 1U << 27, avx = 1U << 28, avx2 = 1U << 5, xmm_and_ymm = 6;
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & osxsave) == 0 || (c & avx) == 0) {
        return false;
    }
    __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return (a & xmm_and_ymm) == xmm_and_ymm && __get_cpuid_count(7, 0, &a, &b, &c, &d) &&
           (b & avx2) != 0;
}

/* Asked once: in a virtual machine asking takes microseconds. */
static inline bool sa_has_avx2(void) {
    static _Atomic signed char known = -1;
    /* Relaxed: whoever looks finds the same. */
    signed char has = atomic_load_explicit(&known, memory_order_relaxed);
    if (has < 0) {
        has = sa_look_for_avx2();
        atomic_store_explicit(&known, has, memory_order_relaxed);
    }
    return has;
}

/* Defines a function that calls `loop`, which is SA_LOOP, as compiled for this processor. The
 * results are the same: AVX2 has no instruction that multiplies and adds at once. */
#define SA_FOR_EACH_PROCESSOR(type, name, parameters, loop, arguments)                            \
    __attribute__((target("avx2"))) type name##_avx2 parameters {                                 \
        return loop arguments;                                                                    \
    }                                                                                             \
    type name parameters {                                                                        \
        return sa_has_avx2() ? name##_avx2 arguments : loop arguments;                            \
    }

#else
#define SA_FOR_EACH_PROCESSOR(type, name, parameters, loop, arguments)                            \
    type name parameters {                                                                        \
        return loop arguments;                                                                    \
    }
#endif

#define SA_LOOP static inline __attribute__((always_inline))

#endif
