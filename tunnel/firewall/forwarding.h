/*
 * Whether the kernel routes IPv4 packets that arrive at an interface. Only the interfaces of a
 * lease to a device that the gateway reaches do, and only while it lives; the machine's own
 * ip_forward is never changed. It is done over netlink, which CAP_NET_ADMIN suffices for even where
 * /proc/sys is read-only. netd only, main thread.
 */
#ifndef SALLYPORT_TUNNEL_FIREWALL_FORWARDING_H
#define SALLYPORT_TUNNEL_FIREWALL_FORWARDING_H

#include "agent/base/strbuf.h"
#include "tunnel/config/netd_config.h"
#include "tunnel/model/lease.h"

/*
 * Turns it on for the tunnel and for the interface of each lease to a device. 0, or a negative
 * errno with the reason in PROBLEM (-ENODEV: there is no such interface).
 */
int forwarding_start(const struct firewall_lease *leases, size_t n_leases, struct strbuf *problem);

/*
 * Turns it off for the tunnel and for every interface of a service, unless the machine routes
 * anyway (ip_forward). Remembers nothing, so that it also mends what a killed netd left.
 */
void forwarding_stop(const struct tunnel_config *tunnel);

#endif
