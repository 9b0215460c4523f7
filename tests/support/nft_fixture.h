/*
 * For tests of the ruleset: the golden configurations, tests/tunnel/firewall/golden/NAME.conf, and
 * some leases. Linked with sp_tunnel.
 */
#ifndef SALLYPORT_TESTS_SUPPORT_NFT_FIXTURE_H
#define SALLYPORT_TESTS_SUPPORT_NFT_FIXTURE_H

#include "tunnel/firewall/nft_text.h"

/* The file NAME.SUFFIX; valid until the next call. */
const char *nft_fixture_path(const char *name, const char *suffix);

struct netd_config *nft_fixture_load(const char *name);

struct firewall_lease_state nft_fixture_lease(const char *source, const char *destination,
                                              uint8_t protocol, uint16_t port,
                                              const char *interface);

/* Five leases, of which three are written. */
size_t nft_fixture_leases(struct firewall_lease_state leases[8]);

void nft_fixture_write(const struct netd_config *config, const struct firewall_lease_state *leases,
                       size_t n_leases, struct strbuf *out);

#endif
