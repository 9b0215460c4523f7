/* A TCP connection to one host and port. One owner. */
#ifndef SALLYPORT_DRIVERS_TRANSPORT_TRANSPORT_TCP_H
#define SALLYPORT_DRIVERS_TRANSPORT_TRANSPORT_TCP_H

#include "drivers/transport/transport.h"

/* TIMEOUT_MS: how long connecting may take. HOST is copied; *STOP must outlive the transport. */
struct transport *transport_tcp_new(const char *host, uint16_t port, int64_t timeout_ms,
                                    const atomic_bool *stop);

#endif
