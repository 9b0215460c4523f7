/* Datagrams to one host and port, and from nowhere else. One owner. */
#ifndef SALLYPORT_DRIVERS_TRANSPORT_TRANSPORT_UDP_H
#define SALLYPORT_DRIVERS_TRANSPORT_TRANSPORT_UDP_H

#include "drivers/transport/transport.h"

/*
 * TIMEOUT_MS: how long looking up the name may take. HOST is copied; *STOP must outlive the
 * transport. Opening it again uses the next address of the host: whether a program listens at one
 * shows only when it is asked.
 */
struct transport *transport_udp_new(const char *host, uint16_t port, int64_t timeout_ms,
                                    const atomic_bool *stop);

#endif
