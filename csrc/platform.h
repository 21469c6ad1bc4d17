/* What the operating system gives beyond C11 and POSIX threads: the one seam between the core and
 * a system. platform_posix.c serves Linux and macOS; platform_windows.c is compiled by a check and
 * has never run.
 */
#ifndef SA_PLATFORM_H
#define SA_PLATFORM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- libraries, opened at run time ---- */

/* Opens a library by name or path, its symbols local to it. It stays loaded for good, whoever
 * closes it. On failure NULL, and why in `reason`, which may be NULL. */
void *sa_library_open(const char *name, char *reason, size_t reason_bytes);

/* The library if the process has loaded it, else NULL; does not load it. */
void *sa_library_loaded(const char *name);

/* Gives back what sa_library_open, _loaded or _copy gave. */
void sa_library_close(void *library);

/* Sets a function pointer, given by its address, to what the library has under that name, or to
 * NULL; true if it has it. */
bool sa_library_symbol(void *library, const char *name, void *function_pointer);

/* Finds the file of the library that the linker loads for `name` and that has `symbol`. It stays
 * loaded for good, with all it is linked with, however many copies come and go. On failure false,
 * and why in `reason`. */
bool sa_library_path(const char *name, const char *symbol, char *path, size_t path_bytes,
                     char *reason, size_t reason_bytes);

/* Loads a private copy of the file, its symbols local to it: the linker takes it for another
 * library and gives it static variables of its own. NULL on failure, and why in `reason`. */
void *sa_library_copy(const char *path, char *reason, size_t reason_bytes);

/* ---- memory that an audio thread writes to ---- */

/* Zeroed pages that never fault on an audio thread: touched before use, and kept out of forked
 * children, for whose sake they would become copy-on-write. NULL: not enough memory. */
void *sa_map_for_audio(size_t bytes);
void sa_unmap_for_audio(void *memory, size_t bytes);

/* Gives the system back what is in the memory, but not the memory: whoever still reads or writes
 * there finds zeros. */
void sa_empty_for_audio(void *memory, size_t bytes);

/* ---- time ---- */

/* A condition whose waits go by the clock of sa_clock_real. */
void sa_cond_init(pthread_cond_t *cond);

/* Waits until an absolute time of that clock (SA_NEVER: without an end); false at that time. */
bool sa_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ns);

void sa_sleep(int64_t ns);

/* For how many ns the machine was asleep so far, while sa_clock_real stood still. Linux and
 * Windows tell; on macOS it is 0, as the clock itself runs on. */
int64_t sa_time_asleep(void);

/* The kernel may end a thread's sleeps late by its timer slack, 50 us by default: asks for the
 * least, for the calling thread and from now on. Called by threads of ours, not by those of users.
 */
void sa_ask_for_precise_timers(void);

/* ---- sleeping on a word ---- */

/* Sleeps while the word is `expected`, until sa_word_wake, or `until_ns` of sa_clock_real. May
 * return for no reason. */
void sa_word_wait(_Atomic uint32_t *word, uint32_t expected, int64_t until_ns);

/* Wakes who sleeps on the word. Never blocks; an audio thread may call it. */
void sa_word_wake(_Atomic uint32_t *word);

/* ---- bells ---- */

/* Adds one to the counter of a descriptor that others poll (an eventfd). */
void sa_bell_ring(int bell);

#endif
