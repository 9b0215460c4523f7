/* File descriptors and whole small files. Any thread. */
#ifndef SALLYPORT_AGENT_BASE_DESCRIPTOR_H
#define SALLYPORT_AGENT_BASE_DESCRIPTOR_H

#include "agent/base/strbuf.h"

#include <stddef.h>
#include <sys/types.h>

/* Closes *DESCRIPTOR unless it is negative, and sets it to -1. Fit for CLEANUP(). */
void descriptor_close(int *descriptor);

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

/* Removes the file at PATH and fsyncs the folder. Returns 0 or a negative errno. */
int file_remove(const char *path);

/* Makes the folder at PATH and its parents (mode 0750). Returns 0 or a negative errno. */
int folder_make(const char *path);

#endif
