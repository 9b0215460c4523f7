/*
 * The ruleset as text: typed rules in, input of `nft -f -` out, and nothing else. Deterministic:
 * the same input gives the same bytes. Pure; any thread.
 */
#ifndef SALLYPORT_TUNNEL_FIREWALL_NFT_TEXT_H
#define SALLYPORT_TUNNEL_FIREWALL_NFT_TEXT_H

#include "agent/base/strbuf.h"
#include "tunnel/config/netd_config.h"
#include "tunnel/firewall/nft_agent.h"
#include "tunnel/firewall/nft_built_in.h"
#include "tunnel/model/lease.h"

struct nft_text {
    const struct netd_config *config;
    const struct firewall_lease_state *leases;
    size_t n_leases;
    const struct egress_lease *egress; /* left out: those for which there is no set */
    size_t n_egress;
    uid_t agent; /* its user, which the rules bind; 0 (root is never bound): there is none */
};

/* Order of the named counters: the ruleset, the listing and firewall_counters agree on it. */
enum nft_text_counter {
    COUNTER_DROPPED_IN,
    COUNTER_DROPPED_FORWARD,
    COUNTER_DROPPED_OUT,
    COUNTER_SPOOFED,
    COUNTER_COUNT,
};
extern const char *const nft_text_counter_names[];

#define NFT_TEXT_LEASE_IN "lease_in"
#define NFT_TEXT_LEASE_THROUGH "lease_through"
#define NFT_TEXT_EGRESS4 "egress4"
#define NFT_TEXT_EGRESS6 "egress6"

/* Appends the transaction that replaces our table. A lease without time left is not written. */
void nft_text_write(const struct nft_text *ruleset, struct strbuf *out);

/* Appends the transaction that makes LEASES the only ones in the loaded table. */
void nft_text_write_leases(const struct firewall_lease_state *leases, size_t n_leases,
                           struct strbuf *out);

/* The same for the destinations, in whose sets there are: RULESET is what was loaded. */
void nft_text_write_egress(const struct nft_text *ruleset, struct strbuf *out);

/* Whether the rules have a set for this destination. */
bool nft_text_has_set(const struct nft_text *ruleset, const struct egress_lease *lease);

/*
 * Whether another of LEASES already permits all that LEASES[AT] does: the kernel refuses a set
 * with overlapping networks, so such a lease is left out.
 */
bool nft_text_is_covered(const struct firewall_lease_state *leases, size_t n_leases, size_t at);

#endif
