/* The files that a configuration names: whether they are there, and the secrets inside. */
#ifndef SALLYPORT_CONFIG_LOAD_FILES_H
#define SALLYPORT_CONFIG_LOAD_FILES_H

#include "config/schema/config.h"

/*
 * What `sallyport check` asks beyond that: do the files exist which the configuration names, and
 * are the secret ones closed to others? As the caller's user sees it.
 */
void config_check_files(const struct config *config, struct findings *findings);

/*
 * Reads the file at PATH that holds one secret (a password) into SECRET, without the line end.
 * Refuses an empty file (-ENODATA), more than 1024 bytes (-EFBIG), a NUL byte (-EILSEQ), anything
 * but a regular file (-EINVAL), and a file that others may use (mode & 0007: -EPERM). Returns 0 or
 * a negative errno, SECRET untouched; the caller wipes SECRET.
 */
int config_read_secret(const char *path, struct strbuf *secret);

#endif
