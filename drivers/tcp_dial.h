/*
 * Opens TCP connections to one host by name or address, IPv4 or IPv6, within a time limit that
 * covers the name look-up too. One owner; not thread safe.
 */
#ifndef SALLYPORT_DRIVERS_TCP_DIAL_H
#define SALLYPORT_DRIVERS_TCP_DIAL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct tcp_dial; /* opaque */

struct tcp_dial *tcp_dial_new(const char *host, uint16_t port);
struct tcp_dial *tcp_dial_free(struct tcp_dial *dial); /* accepts NULL, returns NULL; never waits */

/*
 * Connects within TIMEOUT_MS, trying every address of the host in turn; gives up early when *STOP
 * becomes true. The addresses are kept for the next time, and looked up anew after a failure.
 * Returns 0 and a socket that the caller owns, non-blocking, without Nagle's delay; or a negative
 * errno, with one line for a person in ERROR (SIZE bytes).
 */
int tcp_dial_connect(struct tcp_dial *dial, int64_t timeout_ms, const atomic_bool *stop,
                     int *ret_socket, char *error, size_t size);

#endif
