/*
 * What a name server's answer may not be. A name server may lie: the peer behind the address proves
 * by TLS or WireGuard who it is, but the gateway shall not be sent knocking inside. Root says of
 * each name on which side it is, and an answer never leads to the other side, to this gateway
 * itself or into the tunnel. What is left to a name server that lies about a device in the plant is
 * the choice among the hosts there, at the one port that root named; an address in netd.conf leaves
 * it nothing. Pure; any thread.
 */
#ifndef SALLYPORT_TUNNEL_EGRESS_EGRESS_POLICY_H
#define SALLYPORT_TUNNEL_EGRESS_EGRESS_POLICY_H

#include "tunnel/config/netd_config.h"
#include "tunnel/os/route.h"

/*
 * Why ADDRESS, one host, is refused: a phrase for a person; NULL when it is not. SIDE is where it
 * must be (enum netd_side): with NETD_SIDE_PLANT behind an interface of the plant, else anywhere
 * but there. ROUTE is where it leads, NULL for nowhere. PLANT has the plant's interfaces, TUNNEL
 * the tunnel's addresses.
 */
const char *egress_policy_objection(const struct ip_network *address, int side,
                                    const struct route *route, const struct firewall_config *plant,
                                    const struct tunnel_config *tunnel);

#endif
