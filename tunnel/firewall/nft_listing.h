/*
 * Reads what `nft list table inet sallyport` prints: the leases that are in force, the named
 * counters, and a hash of everything that must not change by itself. Pure; any thread.
 *
 * The canonical form is the listing word by word without what the kernel counts ("packets N bytes
 * N") and without the elements of the six lease sets. Those are read one by one, and anything in
 * them that is not a lease makes the whole listing unreadable: nothing can hide there.
 */
#ifndef SALLYPORT_TUNNEL_FIREWALL_NFT_LISTING_H
#define SALLYPORT_TUNNEL_FIREWALL_NFT_LISTING_H

#include "tunnel/firewall/nft_text.h"
#include "tunnel/journal/sha256.h"

struct nft_listing {
    char hash[SHA256_HEX_BYTES];
    uint64_t packets[COUNTER_COUNT]; /* of the named counters; 0 when there is no such counter */
    struct firewall_lease_state leases[2 * FIREWALL_MAX_LEASES];
    size_t n_leases;
    struct egress_lease egress[2 * FIREWALL_MAX_EGRESS];
    size_t n_egress;
};

/* Returns 0, -EBADMSG for elements that we would never have written, or -E2BIG for too many. */
int nft_listing_read(const char *text, struct nft_listing *ret_listing);

#endif
