/*
 * The leases of an open session, with the kernel's own timeout, and the destinations of
 * egress = "strict" and of the agent. A lease element carries the remaining time of the session as
 * its kernel timeout, and the rules look it up for each packet, before any `established` rule. netd
 * only, main thread only.
 */
#ifndef SALLYPORT_TUNNEL_FIREWALL_FIREWALL_LEASES_H
#define SALLYPORT_TUNNEL_FIREWALL_FIREWALL_LEASES_H

#include "tunnel/firewall/firewall.h"
#include "tunnel/model/lease.h"

#include <sys/socket.h>

/*
 * Adds LEASES, all with TIMEOUT_MS (positive), in one transaction: all or none. Also what a target
 * behind the gateway needs (forwarding sysctls of the two interfaces, masquerade).
 * -ETXTBSY while tampering is latched. 0 or a negative errno with the reason in PROBLEM.
 */
int firewall_add_leases(struct firewall *firewall, const struct firewall_lease *leases,
                        size_t n_leases, int64_t timeout_ms, struct strbuf *problem);

/* Gives every present lease TIMEOUT_MS from now, in one transaction; never adds one that ran out.
 */
int firewall_extend_leases(struct firewall *firewall, int64_t timeout_ms, struct strbuf *problem);

/* Removes all leases and their connection tracking entries; restores the sysctls. Repeatable. */
int firewall_remove_leases(struct firewall *firewall, struct strbuf *problem);

/* What is in the kernel now; returns how many (at most ROOM are written), or a negative errno. */
int firewall_list_leases(struct firewall *firewall, struct firewall_lease_state *leases,
                         size_t room);

/*
 * egress = "strict": lets the tunnel's own UDP out to HUB for at most TIMEOUT_MS (the deadline of
 * the session); forgetting is repeatable. With egress = "open" both do nothing and return 0.
 */
int firewall_allow_hub(struct firewall *firewall, const struct sockaddr_storage *hub,
                       int64_t timeout_ms);
int firewall_forget_hub(struct firewall *firewall);

/*
 * Makes LEASES the only destinations beside the hub, in one transaction, each for its remaining
 * time; one with none is left out, as are those of the gateway itself with egress = "open", and
 * those of an agent whose user does not exist. They outlast repairs and other rules. 0, -E2BIG with
 * more than fit (FIREWALL_MAX_EGRESS and the hub's), or another negative errno with the reason in
 * PROBLEM.
 */
int firewall_set_egress(struct firewall *firewall, const struct egress_lease *leases,
                        size_t n_leases, struct strbuf *problem);

#endif
