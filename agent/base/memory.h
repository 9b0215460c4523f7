/*
 * Allocation that does not fail: a gateway that cannot get memory at start has to be restarted by
 * its supervisor, and nothing in the steady state allocates. Any thread.
 */
#ifndef SALLYPORT_AGENT_BASE_MEMORY_H
#define SALLYPORT_AGENT_BASE_MEMORY_H

#include <stddef.h>

/* All of these end the process with a message on stderr when memory is exhausted. */
void *memory_zeroed(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *memory_resize(void *block, size_t count, size_t size) __attribute__((returns_nonnull));
char *memory_text(const char *text) __attribute__((malloc, returns_nonnull, nonnull));
char *memory_text_n(const char *text, size_t length) __attribute__((malloc, returns_nonnull));
char *memory_printf(const char *format, ...) __attribute__((format(printf, 1, 2), returns_nonnull));

/* Overwrites LENGTH bytes in a way that the compiler may not remove; for secrets. */
void memory_wipe(void *block, size_t length);

/* For CLEANUP(): frees the pointer that VARIABLE points at. */
void memory_free_pointer(void *variable);

#endif
