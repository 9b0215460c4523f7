/* The files that a configuration names: whether they are there, and the secrets inside. */
#ifndef SALLYPORT_CONFIG_LOAD_FILES_H
#define SALLYPORT_CONFIG_LOAD_FILES_H

#include "agent/base/strbuf.h"
#include "config/schema/config.h"

#include <stdbool.h>

/*
 * What `sallyport check` asks beyond that: do the files exist which the configuration names, and
 * are the secret ones closed to others? As the caller's user sees it.
 */
void config_check_files(const struct config *config, struct findings *findings);

#define CONFIG_SECRET_MAX_BYTES 65535 /* of a password: MQTT 3.1.1, section 3.1.3.5 */

/* What is odd about a secret file, although it can be used. */
struct secret_oddities {
    bool has_mark;  /* begins with a UTF-8 byte order mark, which is not part of the secret */
    bool has_lines; /* has more than one line; the line ends inside are part of the secret */
};

/*
 * Reads the file at PATH that holds one secret (a password) into SECRET, without a byte order mark
 * and the line end. Refuses an empty file (-ENODATA), more than CONFIG_SECRET_MAX_BYTES (-EFBIG),
 * UTF-16 (-EBADMSG), another NUL byte (-EILSEQ), anything but a regular file (-EINVAL), and a file
 * that others may use (mode & 0007: -EPERM). RET_ODDITIES may be NULL. Returns 0 or a negative
 * errno, SECRET and RET_ODDITIES untouched; the caller wipes SECRET.
 */
int config_read_secret(const char *path, struct strbuf *secret,
                       struct secret_oddities *ret_oddities);

/* What such an error means, and what to do: the rest of a sentence about the file. */
const char *config_secret_problem(int error);

#endif
