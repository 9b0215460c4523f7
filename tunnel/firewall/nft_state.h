/*
 * What is loaded: puts our table into the kernel, remembers exactly what it must look like, and
 * compares. Mechanism only; firewall.c decides. netd only, main thread only.
 *
 * Deadlines of leases are kept here on the monotonic clock, the same that the kernel's timeouts
 * run on, so that loading again never lengthens a lease.
 */
#ifndef SALLYPORT_TUNNEL_FIREWALL_NFT_STATE_H
#define SALLYPORT_TUNNEL_FIREWALL_NFT_STATE_H

#include "tunnel/firewall/nft_text.h"

struct nft_state; /* opaque */

enum nft_state_verdict {
    NFT_STATE_AS_LOADED,
    NFT_STATE_MISSING, /* there is no table of ours */
    NFT_STATE_CHANGED, /* anything in it but the leases; elements that are none of our leases */
    NFT_STATE_LEASE_WIDENED, /* a lease that we did not give, or one with more time than we gave */
    NFT_STATE_LEASE_LOST,    /* a lease is gone before its time */
};
extern const char *const nft_state_verdict_names[]; /* "as-loaded", "missing", ... */

int nft_state_new(struct nft_state **ret_rules); /* 0 or a negative errno */
struct nft_state *
nft_state_free(struct nft_state *rules); /* unloads nothing; accepts NULL, returns NULL */

/*
 * Replaces our table in one transaction. KEEP: with the leases that are left, each with the time
 * and the byte count that it has; otherwise without any of a session, the hub's egress included.
 * The egress of names stays, with its time, as long as CONFIG has a set for it. 0, or a
 * negative errno with the reason in PROBLEM: what was loaded before is still there, unless it is
 * -EAGAIN (loaded, but other programs changed rules all the while, so that it could not be
 * verified).
 */
int nft_state_load(struct nft_state *rules, const struct netd_config *config, bool keep,
                   struct strbuf *problem);

/* Makes LEASES the only ones, in one transaction, remaining_ms from now. 0 or a negative errno. */
int nft_state_set_leases(struct nft_state *rules, const struct firewall_lease_state *leases,
                         size_t n_leases, struct strbuf *problem);
/* The same for destinations; one for which the rules have no set is left out. */
int nft_state_set_egress(struct nft_state *rules, const struct egress_lease *egress,
                         size_t n_egress, struct strbuf *problem);

/* What was given and not taken back, with the time left (0 when it ran out); returns how many. */
size_t nft_state_leases(const struct nft_state *rules, struct firewall_lease_state *leases,
                        size_t room);
size_t nft_state_egress(const struct nft_state *rules, struct egress_lease *egress, size_t room);

/* Whether no table has been changed since the rules were last known to be right. */
bool nft_state_is_current(struct nft_state *rules);

/* Forgets that the rules are right: nft_state_is_current() is false until they were checked again.
 */
void nft_state_doubt(struct nft_state *rules);

/* Whether GENERATION came from a transaction of this object. */
bool nft_state_is_own(const struct nft_state *rules, uint32_t generation);

/* Compares the kernel's table with what must be there. 0 and the verdict, or a negative errno. */
int nft_state_check(struct nft_state *rules, enum nft_state_verdict *ret_verdict,
                    struct strbuf *problem);

/* What is in the kernel now. 0, -ENOENT for no table, -EBADMSG for elements not ours, or other. */
struct nft_listing;
int nft_state_list(struct nft_state *rules, struct nft_listing *ret_listing,
                   struct strbuf *problem);

/* What was loaded last. */
struct nft_loaded {
    const struct netd_config *config; /* NULL before the first load */
    uid_t agent; /* the user that the rules bind; 0: access.agent_user is none, or root */
};
struct nft_loaded nft_state_loaded(const struct nft_state *rules);

const char *nft_state_hash(const struct nft_state *rules); /* "" before the first load */

/* Packets per nft_text_counter since nft_state_new(): never going down. Reads nothing. */
void nft_state_counters(const struct nft_state *rules, uint64_t ret_packets[COUNTER_COUNT]);

#endif
