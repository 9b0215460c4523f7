/* Destinations that may be reached for a while. */
#include "tunnel/firewall/egress_leases.h"

#include <errno.h>
#include <string.h>

/* What is leased now, or will be. */
struct destinations {
    struct egress_lease leases[FIREWALL_MAX_EGRESS];
    size_t n;
};

static int egress_leases_read_hub(const struct sockaddr_storage *hub, int64_t timeout_ms,
                                  struct egress_lease *ret_lease)
{
    struct egress_lease lease = {
        .protocol = IPPROTO_UDP, .remaining_ms = timeout_ms, .is_hub = true};
    int result = ip_network_of_socket(hub, &lease.destination, &lease.port);
    if (result < 0)
        return result;
    if (!ip_network_is_unicast_host(&lease.destination) || lease.port == 0 || timeout_ms <= 0)
        return -EINVAL;
    *ret_lease = lease;
    return 0;
}

/* Of two leases for one place the longer one; the hub's end must not take the other's with it. */
static int merge(struct destinations *all, const struct egress_lease *lease)
{
    for (size_t i = 0; i < all->n; i++) {
        struct egress_lease *present = &all->leases[i];
        if (!egress_lease_equal(present, lease))
            continue;
        present->is_hub = present->is_hub && lease->is_hub;
        if (lease->remaining_ms > present->remaining_ms)
            present->remaining_ms = lease->remaining_ms;
        return 0;
    }
    if (all->n == FIREWALL_MAX_EGRESS)
        return -E2BIG;
    all->leases[all->n++] = *lease;
    return 0;
}

/* Returns how many of what is leased now were left out: the hub's, or the others. */
static size_t take_present(const struct nft_state *rules, bool hub, struct destinations *ret_kept)
{
    struct egress_lease all[FIREWALL_MAX_EGRESS];
    size_t n = nft_state_egress(rules, all, FIREWALL_MAX_EGRESS), left_out = 0;
    ret_kept->n = 0;
    for (size_t i = 0; i < n; i++) {
        if (all[i].is_hub != hub)
            left_out++;
        else if (all[i].remaining_ms > 0)
            ret_kept->leases[ret_kept->n++] = all[i];
    }
    return left_out;
}

int egress_leases_allow_hub(struct nft_state *rules, const struct sockaddr_storage *hub,
                            int64_t timeout_ms, struct strbuf *problem)
{
    struct destinations hubs, all;
    struct egress_lease lease;
    int result = egress_leases_read_hub(hub, timeout_ms, &lease);
    if (result < 0)
        return result;
    (void)take_present(rules, false, &all);
    (void)take_present(rules, true, &hubs);
    for (size_t i = 0; result == 0 && i < hubs.n; i++) {
        if (!egress_lease_equal(&hubs.leases[i], &lease)) /* its time may become shorter */
            result = merge(&all, &hubs.leases[i]);
    }
    if (result == 0)
        result = merge(&all, &lease);
    return result < 0 ? result : nft_state_set_egress(rules, all.leases, all.n, problem);
}

int egress_leases_forget_hub(struct nft_state *rules, struct strbuf *problem)
{
    struct destinations others;
    if (take_present(rules, false, &others) == 0)
        return 0;
    return nft_state_set_egress(rules, others.leases, others.n, problem);
}

int egress_leases_set(struct nft_state *rules, const struct egress_lease *leases, size_t n_leases,
                      struct strbuf *problem)
{
    struct destinations all;
    int result = 0;
    (void)take_present(rules, true, &all);
    for (size_t i = 0; result == 0 && i < n_leases; i++) {
        if (leases[i].remaining_ms > 0)
            result = merge(&all, &leases[i]);
    }
    return result < 0 ? result : nft_state_set_egress(rules, all.leases, all.n, problem);
}
