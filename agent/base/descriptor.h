/* File descriptors and whole small files. Any thread. */
#ifndef SALLYPORT_AGENT_BASE_DESCRIPTOR_H
#define SALLYPORT_AGENT_BASE_DESCRIPTOR_H

#include "agent/base/strbuf.h"

#include <stddef.h>
#include <sys/types.h>

/* Closes *DESCRIPTOR unless it is negative, and sets it to -1. Fit for CLEANUP(). */
void descriptor_close(int *descriptor);

/* Moves a descriptor out of a variable that has a cleanup: the caller becomes the owner. */
int descriptor_take(int *descriptor);

/*
 * Appends the file at PATH to CONTENT. Refuses anything but a regular file (-EINVAL) and a file
 * of more than MAX_BYTES (-EFBIG). Returns 0 or a negative errno; CONTENT is untouched then.
 */
int file_read(const char *path, size_t max_bytes, struct strbuf *content);

/*
 * Replaces the file at PATH in one step: writes PATH.new, fsyncs it, renames it, fsyncs the
 * folder. Returns 0 or a negative errno; the old file is untouched then.
 */
int file_replace(const char *path, const void *bytes, size_t length, mode_t mode);

/*
 * An anonymous file that holds BYTES and exists in memory only; a program that is started while it
 * is open can read it at /proc/self/fd/N. It is not close-on-exec: a process with threads must not
 * use it. Returns the descriptor, at offset LENGTH, or a negative errno.
 */
int file_in_memory(const void *bytes, size_t length);

/* Removes the file at PATH and fsyncs the folder. Returns 0 or a negative errno. */
int file_remove(const char *path);

/* Makes the folder at PATH and its parents (mode 0750). Returns 0 or a negative errno. */
int folder_make(const char *path);

#endif
