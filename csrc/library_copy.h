/* A private copy of a shared library: an inode of its own, so that the linker takes it for another
 * library and gives it static variables of its own. */
#ifndef SA_LIBRARY_COPY_H
#define SA_LIBRARY_COPY_H

#include <stdbool.h>
#include <stddef.h>

/* Finds the file of the library that the linker loads for `name` and that has `symbol`. It stays
 * loaded for good, with all it is linked with, however many copies come and go. On failure false,
 * and why in `reason`. */
bool sa_library_path(const char *name, const char *symbol, char *path, size_t path_bytes,
                     char *reason, size_t reason_bytes);

/* Loads a copy of the file, its symbols local to it. NULL on failure, and why in `reason`. */
void *sa_library_copy(const char *path, char *reason, size_t reason_bytes);

#endif
