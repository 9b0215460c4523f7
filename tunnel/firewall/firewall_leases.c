/* Leases: given, extended, taken back. The rules that look them up are firewall.c's affair. */
#include "tunnel/firewall/firewall_leases.h"

#include "agent/base/memory.h"
#include "tunnel/firewall/conntrack.h"
#include "tunnel/firewall/egress_leases.h"
#include "tunnel/firewall/forwarding.h"
#include "tunnel/firewall/nft_listing.h"

#include <errno.h>
#include <string.h>

static void stop_forwarding(const struct nft_state *rules)
{
    forwarding_stop(&nft_state_loaded(rules).config->tunnel);
}

static bool firewall_leases_is_sound(const struct firewall_lease *lease)
{
    return lease->source.family == AF_INET && ip_network_is_unicast_host(&lease->destination) &&
           lease->destination.family == AF_INET && lease->port != 0 &&
           (lease->protocol == IPPROTO_TCP || lease->protocol == IPPROTO_UDP) &&
           memchr(lease->interface, '\0', sizeof(lease->interface)) &&
           !strpbrk(lease->interface, "\"*\\ \n");
}

int firewall_add_leases(struct firewall *firewall, const struct firewall_lease *leases,
                        size_t n_leases, int64_t timeout_ms, struct strbuf *problem)
{
    struct firewall_lease_state states[FIREWALL_MAX_LEASES];
    if (timeout_ms <= 0 || n_leases == 0)
        return -EINVAL;
    int result = firewall_may_open(firewall, problem);
    if (result < 0)
        return result;
    struct nft_state *rules = firewall_rules(firewall);
    size_t n = firewall_leases_left(states, nft_state_leases(rules, states, ARRAY_LENGTH(states)));
    if (n_leases > ARRAY_LENGTH(states) - n)
        return -E2BIG;
    for (size_t i = 0; i < n_leases; i++) {
        if (!firewall_leases_is_sound(&leases[i]))
            return -EINVAL;
        states[n++] = (struct firewall_lease_state){.lease = leases[i], .remaining_ms = timeout_ms};
    }
    result = forwarding_start(leases, n_leases, problem);
    if (result == 0)
        result = nft_state_set_leases(rules, states, n, problem);
    if (result < 0 && n == n_leases)
        stop_forwarding(rules);
    return result;
}

static bool is_in_kernel(const struct nft_listing *listing, const struct firewall_lease *lease)
{
    for (size_t i = 0; i < listing->n_leases; i++) {
        if (firewall_lease_equal(&listing->leases[i].lease, lease))
            return true;
    }
    return false;
}

static bool firewall_leases_is_tampered(const struct firewall *firewall)
{
    struct firewall_posture posture;
    firewall_get_posture(firewall, &posture);
    return posture.state == FIREWALL_TAMPERED || posture.state == FIREWALL_FIGHTING;
}

/* Only those that we gave (not what another program added), and that are still there: one that ran
 * out is over. */
int firewall_extend_leases(struct firewall *firewall, int64_t timeout_ms, struct strbuf *problem)
{
    struct firewall_lease_state leases[FIREWALL_MAX_LEASES];
    struct nft_listing listing;
    if (timeout_ms <= 0)
        return -EINVAL;
    if (firewall_leases_is_tampered(firewall))
        return -ETXTBSY;
    struct nft_state *rules = firewall_rules(firewall);
    int result = nft_state_list(rules, &listing, problem);
    if (result < 0)
        return result;
    size_t n = nft_state_leases(rules, leases, ARRAY_LENGTH(leases)), kept = 0;
    n = firewall_leases_left(leases, n);
    for (size_t i = 0; i < n; i++) {
        if (!is_in_kernel(&listing, &leases[i].lease))
            continue;
        leases[kept] = leases[i];
        leases[kept].remaining_ms = timeout_ms;
        leases[kept++].bytes = 0;
    }
    return nft_state_set_leases(rules, leases, kept, problem);
}

/*
 * Debian 12's kernel (6.1) refuses to flush a set of intervals while an element is in it
 * whose time is over, and collects that only after a change of the set. A new table has none.
 */
static int clear_leases(struct nft_state *rules, struct strbuf *problem)
{
    CLEANUP(strbuf_free) struct strbuf ignored = STRBUF_EMPTY;
    if (nft_state_set_leases(rules, NULL, 0, &ignored) == 0)
        return 0;
    return nft_state_load(rules, nft_state_loaded(rules).config, false, problem);
}

int firewall_remove_leases(struct firewall *firewall, struct strbuf *problem)
{
    struct firewall_lease_state leases[FIREWALL_MAX_LEASES];
    struct nft_state *rules = firewall_rules(firewall);
    size_t n_leases = nft_state_leases(rules, leases, ARRAY_LENGTH(leases));
    if (n_leases == 0)
        return 0;
    int result = clear_leases(rules, problem);
    if (result < 0)
        return result;
    stop_forwarding(rules);
    (void)conntrack_forget(leases, n_leases); /* that packets stop does not depend on it */
    return 0;
}

int firewall_list_leases(struct firewall *firewall, struct firewall_lease_state *leases,
                         size_t room)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    struct nft_listing listing;
    int result = nft_state_list(firewall_rules(firewall), &listing, &problem);
    if (result < 0)
        return result;
    size_t n = listing.n_leases < room ? listing.n_leases : room;
    memcpy(leases, listing.leases, n * sizeof(*leases));
    return (int)listing.n_leases;
}

/* ---- Destinations ---- */

static bool is_strict(const struct nft_state *rules)
{
    return nft_state_loaded(rules).config->firewall.egress == EGRESS_STRICT;
}

int firewall_allow_hub(struct firewall *firewall, const struct sockaddr_storage *hub,
                       int64_t timeout_ms)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    struct nft_state *rules = firewall_rules(firewall);
    return is_strict(rules) ? egress_leases_allow_hub(rules, hub, timeout_ms, &problem) : 0;
}

int firewall_forget_hub(struct firewall *firewall)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    struct nft_state *rules = firewall_rules(firewall);
    return is_strict(rules) ? egress_leases_forget_hub(rules, &problem) : 0;
}

int firewall_set_egress(struct firewall *firewall, const struct egress_lease *leases,
                        size_t n_leases, struct strbuf *problem)
{
    struct nft_state *rules = firewall_rules(firewall);
    return is_strict(rules) || nft_state_loaded(rules).agent != 0
               ? egress_leases_set(rules, leases, n_leases, problem)
               : 0;
}
