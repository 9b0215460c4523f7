/*
 * What a name server's answer may not be. A name server may lie: the peer behind the address proves
 * by TLS or WireGuard who it is, but the gateway shall not be sent knocking inside. Pure; any
 * thread.
 */
#ifndef SALLYPORT_TUNNEL_EGRESS_EGRESS_POLICY_H
#define SALLYPORT_TUNNEL_EGRESS_EGRESS_POLICY_H

#include "tunnel/config/netd_config.h"
#include "tunnel/os/route.h"

/*
 * Why ADDRESS, one host, is refused: a phrase for a person; NULL when it is not. ROUTE is where it
 * leads, NULL for nowhere. PLANT has the plant's interfaces, TUNNEL the tunnel's addresses.
 */
const char *egress_policy_objection(const struct ip_network *address, const struct route *route,
                                    const struct firewall_config *plant,
                                    const struct tunnel_config *tunnel);

#endif
