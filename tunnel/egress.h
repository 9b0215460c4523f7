/*
 * egress = "strict": destinations that the gateway itself may reach for a while. Part of the
 * firewall; nobody else calls it. Main thread only.
 */
#ifndef SALLYPORT_TUNNEL_EGRESS_H
#define SALLYPORT_TUNNEL_EGRESS_H

#include "tunnel/rules.h"

#include <sys/socket.h>

/* 0, or -EINVAL for anything but a unicast address with a port, TCP or UDP, and a positive time. */
int egress_read(const struct sockaddr_storage *address, uint8_t protocol, int64_t timeout_ms,
                struct egress_lease *ret_lease);

/* Adds LEASE, or gives it its time anew. 0, -E2BIG for too many, or another negative errno. */
int egress_allow(struct rules *rules, const struct egress_lease *lease);
int egress_forget(struct rules *rules, const struct egress_lease *lease); /* repeatable */

#endif
