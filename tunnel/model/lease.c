/* What a session permits, and what the gateway itself or its agent may reach, for a while. */
#include "tunnel/model/lease.h"

#include <string.h>

bool firewall_lease_is_same_place(const struct firewall_lease *a, const struct firewall_lease *b)
{
    return a->protocol == b->protocol && a->port == b->port &&
           ip_network_equal(&a->destination, &b->destination) &&
           strcmp(a->interface, b->interface) == 0;
}

bool firewall_lease_equal(const struct firewall_lease *a, const struct firewall_lease *b)
{
    return firewall_lease_is_same_place(a, b) && ip_network_equal(&a->source, &b->source);
}

size_t firewall_leases_left(struct firewall_lease_state *leases, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (leases[i].remaining_ms > 0)
            leases[kept++] = leases[i];
    }
    return kept;
}

bool egress_lease_equal(const struct egress_lease *a, const struct egress_lease *b)
{
    return ip_network_equal(&a->destination, &b->destination) && a->protocol == b->protocol &&
           a->port == b->port && a->is_agents == b->is_agents;
}
