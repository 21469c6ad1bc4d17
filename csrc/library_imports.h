/* What a private copy of a library calls, replaced: what it imports under a name becomes a
 * function of ours, in this copy and nowhere else in the process. */
#ifndef SA_LIBRARY_IMPORTS_H
#define SA_LIBRARY_IMPORTS_H

#include <stdbool.h>

/* `handle` is dlopen's. False: it does not import that name (or the system is not an ELF one). */
bool sa_library_replace(void *handle, const char *name, void (*function)(void));

#endif
