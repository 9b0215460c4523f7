/*
 * Opens sockets to one host by name or address, IPv4 or IPv6, within a time limit that covers the
 * name look-up too. One owner; not thread safe.
 */
#ifndef SALLYPORT_DRIVERS_TRANSPORT_DIAL_H
#define SALLYPORT_DRIVERS_TRANSPORT_DIAL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct dial; /* opaque */

/* TYPE: SOCK_STREAM (TCP) or SOCK_DGRAM (UDP). HOST is copied. */
struct dial *dial_new(const char *host, uint16_t port, int type);
struct dial *dial_free(struct dial *dial); /* accepts NULL, returns NULL; never waits */

/*
 * Connects within TIMEOUT_MS; gives up early when *STOP becomes true. Returns 0 and a socket that
 * the caller owns, non-blocking, TCP without Nagle's delay; or a negative errno, with one line for
 * a person in ERROR (SIZE bytes).
 *
 * TCP: tries every address of the host in turn. They are kept for the next time, and looked up
 * again after a failure. UDP: takes the next address; only an exchange shows whether it was the
 * right one. After the last one they are looked up again.
 */
int dial_connect(struct dial *dial, int64_t timeout_ms, const atomic_bool *stop, int *ret_socket,
                 char *error, size_t size);

#endif
