/*
 * For fuzz targets whose input is a file: a folder of this process in memory, and a file in it.
 * What cannot be made ends the program: a target that tries nothing must not pass.
 */
#ifndef SALLYPORT_TESTS_SUPPORT_FUZZ_FOLDER_H
#define SALLYPORT_TESTS_SUPPORT_FUZZ_FOLDER_H

#include <stddef.h>

/* The folder, made at the first call and removed at the end of the process. */
const char *fuzz_folder(void);

/* Removes every file in the folder. */
void fuzz_folder_clear(void);

/* Makes NAME in the folder hold these bytes, mode 0600; returns its path, good until the next call.
 */
const char *fuzz_file(const char *name, const void *bytes, size_t length);

#endif
