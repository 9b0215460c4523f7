/*
 * How long the certificates in a file are still good, so that an operator learns of it before the
 * session to the broker ends. Main loop; reads a small file.
 */
#ifndef SALLYPORT_AGENT_TLS_CERTIFICATE_H
#define SALLYPORT_AGENT_TLS_CERTIFICATE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Finds the certificate in the PEM file at PATH that expires first. *RET_SECONDS is the time left
 * at NOW_S (seconds since 1970), negative when it has expired; SUBJECT gets its name, at most
 * SIZE bytes. Returns 0, -ENODATA when the file holds no certificate, or another negative errno.
 */
int certificate_time_left(const char *path, int64_t now_s, int64_t *ret_seconds, char *subject,
                          size_t size);

#endif
