/*
 * Destinations that may be reached for a while: with egress = "strict" those that names have, and
 * the hub while there is a session; and what the agent may reach by name. Part of the firewall;
 * only it calls this. Main thread only.
 */
#ifndef SALLYPORT_TUNNEL_FIREWALL_EGRESS_LEASES_H
#define SALLYPORT_TUNNEL_FIREWALL_EGRESS_LEASES_H

#include "tunnel/firewall/nft_state.h"

#include <sys/socket.h>

/*
 * Lets UDP out to HUB for TIMEOUT_MS, or gives it that time again. 0; -EINVAL for anything but a
 * unicast address with a port and a positive time; -E2BIG for too many, or another negative errno.
 */
int egress_leases_allow_hub(struct nft_state *rules, const struct sockaddr_storage *hub,
                            int64_t timeout_ms, struct strbuf *problem);
int egress_leases_forget_hub(struct nft_state *rules, struct strbuf *problem); /* repeatable */

/* Makes LEASES the only destinations beside the hub. As firewall_set_egress(). */
int egress_leases_set(struct nft_state *rules, const struct egress_lease *leases, size_t n_leases,
                      struct strbuf *problem);

#endif
