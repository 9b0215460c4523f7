/* What is loaded against what must be there: every way in which it can differ. */
#include "tunnel/firewall/nft_state.h"

#include "tests/support/nft_fixture.h"
#include "tests/support/private_network.h"
#include "tests/support/test.h"
#include "tunnel/config/netd_config.h"
#include "tunnel/firewall/nft_listing.h"

#include <errno.h>
#include <string.h>

static enum nft_state_verdict check(struct nft_state *rules)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    enum nft_state_verdict verdict = NFT_STATE_CHANGED;
    CU_ASSERT_EQUAL(nft_state_check(rules, &verdict, &problem), 0);
    return verdict;
}

static void test_verdicts(void)
{
    static const struct {
        const char *change; /* by somebody else */
        enum nft_state_verdict verdict;
    } cases[] = {
        {"add table inet other\n", NFT_STATE_AS_LOADED},
        {"delete table inet sallyport\n", NFT_STATE_MISSING},
        {"flush ruleset\n", NFT_STATE_MISSING},
        {"add rule inet sallyport input_lock accept\n", NFT_STATE_CHANGED},
        {"flush chain inet sallyport output_lock\n", NFT_STATE_CHANGED},
        {"add chain inet sallyport mine\n", NFT_STATE_CHANGED},
        {"add element inet sallyport lease_in { \"spt0\" . 10.9.0.9 . 10.254.1.42 . tcp . 22 "
         "timeout 1h }\n",
         NFT_STATE_LEASE_WIDENED},
        {"add element inet sallyport lease_in { \"spt0\" . 10.9.0.9 . 10.254.1.42 . tcp . 22 }\n",
         NFT_STATE_CHANGED}, /* for ever */
        {"flush set inet sallyport lease_in\n", NFT_STATE_LEASE_LOST},
    };
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    struct netd_config *config = nft_fixture_load("tunnel");
    const struct firewall_lease_state lease =
        nft_fixture_lease("10.254.0.0/24", "10.254.1.42", IPPROTO_TCP, 22, "");
    struct nft_state *rules = NULL;
    CU_ASSERT_EQUAL_FATAL(nft_state_new(&rules), 0);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        CU_ASSERT_EQUAL_FATAL(nft_state_load(rules, config, false, &problem), 0);
        CU_ASSERT_EQUAL_FATAL(nft_state_set_leases(rules, &lease, 1, &problem), 0);
        CU_ASSERT_EQUAL(check(rules), NFT_STATE_AS_LOADED);
        CU_ASSERT_TRUE(nft_state_is_current(rules));
        CU_ASSERT_EQUAL(test_nft(cases[i].change), 0);
        CU_ASSERT_FALSE(nft_state_is_current(rules));
        if (check(rules) != cases[i].verdict)
            printf("%s: %s\n", cases[i].change, nft_state_verdict_names[check(rules)]);
        CU_ASSERT_EQUAL(check(rules), cases[i].verdict);
    }
    nft_state_free(rules);
    netd_config_free(config);
}

/* Loading again keeps what is left of a lease, with its time, or takes all of it away. */
static void test_keeping(void)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    struct netd_config *config = nft_fixture_load("tunnel");
    struct firewall_lease_state lease =
        nft_fixture_lease("10.254.0.0/24", "10.254.1.42", IPPROTO_TCP, 22, "");
    struct firewall_lease_state found[FIREWALL_MAX_LEASES];
    struct nft_listing listing;
    struct nft_state *rules = NULL;
    CU_ASSERT_EQUAL_FATAL(nft_state_new(&rules), 0);
    CU_ASSERT_PTR_NULL(nft_state_loaded(rules).config);
    CU_ASSERT_EQUAL_FATAL(nft_state_load(rules, config, false, &problem), 0);
    CU_ASSERT_PTR_EQUAL(nft_state_loaded(rules).config, config);
    lease.remaining_ms = 60000;
    CU_ASSERT_EQUAL(nft_state_set_leases(rules, &lease, 1, &problem), 0);
    CU_ASSERT_EQUAL(nft_state_load(rules, config, true, &problem), 0);
    CU_ASSERT_EQUAL(nft_state_leases(rules, found, ARRAY_LENGTH(found)), 1);
    CU_ASSERT_TRUE(firewall_lease_equal(&found[0].lease, &lease.lease));
    CU_ASSERT_TRUE(found[0].remaining_ms > 30000 && found[0].remaining_ms <= 60000);
    CU_ASSERT_EQUAL(nft_state_list(rules, &listing, &problem), 0);
    CU_ASSERT_EQUAL(listing.n_leases, 1);
    CU_ASSERT_TRUE(listing.leases[0].remaining_ms <= 60000);
    CU_ASSERT_EQUAL(nft_state_load(rules, config, false, &problem), 0);
    CU_ASSERT_EQUAL(nft_state_leases(rules, found, ARRAY_LENGTH(found)), 0);
    CU_ASSERT_EQUAL(nft_state_list(rules, &listing, &problem), 0);
    CU_ASSERT_EQUAL(listing.n_leases, 0);
    nft_state_free(rules);
    netd_config_free(config);
}

static void test_refused(void)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    struct netd_config *config = nft_fixture_load("minimal");
    struct nft_state *rules = NULL;
    char hash[SHA256_HEX_BYTES];
    CU_ASSERT_EQUAL_FATAL(nft_state_new(&rules), 0);
    CU_ASSERT_STRING_EQUAL(nft_state_hash(rules), "");
    CU_ASSERT_EQUAL_FATAL(nft_state_load(rules, config, false, &problem), 0);
    (void)snprintf(hash, sizeof(hash), "%s", nft_state_hash(rules));
    strcpy(config->firewall.wan[0].text, "\" drop");
    CU_ASSERT_EQUAL(nft_state_load(rules, config, false, &problem), -EINVAL);
    CU_ASSERT_TRUE(problem.length > 0);
    CU_ASSERT_EQUAL(check(rules), NFT_STATE_AS_LOADED); /* what was there before */
    CU_ASSERT_STRING_EQUAL(nft_state_hash(rules), hash);
    nft_state_doubt(rules);
    CU_ASSERT_FALSE(nft_state_is_current(rules));
    nft_state_free(rules);
    netd_config_free(config);
}

int main(void)
{
    static const struct test_case cases[] = {
        {"every difference is found", test_verdicts},
        {"loading again keeps a lease with its time, or none", test_keeping},
        {"rules that nft refuses leave those before", test_refused},
    };
    test_private_network();
    return test_main("nft_state", cases, ARRAY_LENGTH(cases));
}
