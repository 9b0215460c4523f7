/*
 * What a session permits, and what the gateway itself or its agent may reach, for a while. Values;
 * any thread.
 */
#ifndef SALLYPORT_TUNNEL_MODEL_LEASE_H
#define SALLYPORT_TUNNEL_MODEL_LEASE_H

#include "tunnel/model/address.h"

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TUNNEL_INTERFACE "spt0" /* the rules match "spt*" */

/* One permission of an open session. Key: (TUNNEL_INTERFACE, source, destination, protocol, port).
 */
struct firewall_lease {
    struct ip_network source;      /* IPv4, from tunnel.sources */
    struct ip_network destination; /* one IPv4 host: the gateway's tunnel address, or a target */
    uint8_t protocol;
    uint16_t port;
    char interface[IFNAMSIZ]; /* where the gateway reaches a target (forward,
                                 masquerade); "" for a service of the gateway itself */
};

/* The same as it is in the kernel. */
struct firewall_lease_state {
    struct firewall_lease lease; /* `interface` may be "" when the kernel does not say */
    int64_t remaining_ms;
    uint64_t bytes; /* both directions, since it was added or last extended */
};

#define FIREWALL_MAX_LEASES 128 /* services times sources: netd_config.h */

/* One destination that may be reached for a while. */
struct egress_lease {
    struct ip_network destination; /* one host, IPv4 or IPv6 */
    uint8_t protocol;
    uint16_t port;
    bool is_agents; /* by the agent's user; else by the whole gateway (egress = "strict") */
    bool is_hub;    /* for the tunnel of a session, and gone with it */
    int64_t remaining_ms;
};

#define FIREWALL_MAX_EGRESS 1280

/* Whether two leases have the same key, and the same interface towards the target. */
bool firewall_lease_equal(const struct firewall_lease *a, const struct firewall_lease *b);

/* The same, whatever their sources are. */
bool firewall_lease_is_same_place(const struct firewall_lease *a, const struct firewall_lease *b);

/* Drops those without time left from N LEASES; returns how many are left. */
size_t firewall_leases_left(struct firewall_lease_state *leases, size_t n);

/* Whether two destinations are the same one, for the same users. */
bool egress_lease_equal(const struct egress_lease *a, const struct egress_lease *b);

#endif
