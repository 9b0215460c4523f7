/* What is read from nft's listing of our table: from the kernel, and from broken text. */
#include "tunnel/firewall/nft_listing.h"

#include "tests/support/nft_fixture.h"
#include "tests/support/private_network.h"
#include "tests/support/test.h"
#include "tunnel/config/netd_config.h"
#include "tunnel/firewall/nft_run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void read_kernel(struct nft_listing *listing, int expected)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY, problem = STRBUF_EMPTY;
    CU_ASSERT_EQUAL_FATAL(nft_run_list_table(FIREWALL_TABLE, &text, &problem), 0);
    CU_ASSERT_EQUAL(nft_listing_read(strbuf_text(&text), listing), expected);
}

static void test_round_trip(void)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY, problem = STRBUF_EMPTY;
    struct firewall_lease_state leases[8];
    struct nft_listing listing = {0}, again = {0};
    struct netd_config *config = nft_fixture_load("tunnel");
    size_t n_leases = nft_fixture_leases(leases);
    leases[3].remaining_ms = 90061001; /* 1 d 1 h 1 m 1 s 1 ms */
    nft_fixture_write(config, leases, n_leases, &text);
    CU_ASSERT_EQUAL_FATAL(nft_run_load(strbuf_text(&text), &problem), 0);
    read_kernel(&listing, 0);
    CU_ASSERT_EQUAL_FATAL(listing.n_leases, 3);
    const size_t order[] = {0, 2, 3};
    for (size_t i = 0; i < 3; i++) {
        const struct firewall_lease_state *given = &leases[order[i]], *found = NULL;
        for (size_t j = 0; j < 3; j++) {
            if (listing.leases[j].lease.port == given->lease.port)
                found = &listing.leases[j];
        }
        CU_ASSERT_PTR_NOT_NULL_FATAL(found);
        CU_ASSERT_EQUAL(
            memcmp(&found->lease.source, &given->lease.source, sizeof(struct ip_network)), 0);
        CU_ASSERT_EQUAL(
            memcmp(&found->lease.destination, &given->lease.destination, sizeof(struct ip_network)),
            0);
        CU_ASSERT_EQUAL(found->lease.protocol, given->lease.protocol);
        CU_ASSERT_STRING_EQUAL(found->lease.interface, given->lease.interface);
        CU_ASSERT_EQUAL(found->bytes, given->bytes);
        CU_ASSERT_TRUE(found->remaining_ms <= given->remaining_ms);
        CU_ASSERT_TRUE(found->remaining_ms > given->remaining_ms - 60000);
    }
    read_kernel(&again, 0);
    TEST_TEXT_EQUAL(again.hash, listing.hash); /* timers and counters do not matter */
    CU_ASSERT_EQUAL(test_nft("add rule inet sallyport wan_0 tcp dport 22 accept\n"), 0);
    read_kernel(&again, 0);
    CU_ASSERT_STRING_NOT_EQUAL(again.hash, listing.hash);
    netd_config_free(config);
}

/* Elements that we never write make a listing unreadable, whatever a comment pretends. */
static void test_foreign_elements(void)
{
    static const char *const foreign[] = {
        "\"spt0\" . 10.254.0.9 . 10.254.1.42 . tcp . 22", /* for ever */
        "\"eth0\" . 10.254.0.9 . 10.254.1.42 . tcp . 22 timeout 1h",
        "\"spt0\" . 10.254.0.9 . 10.254.1.42 . icmp . 22 timeout 1h",
        "\"spt0\" . 10.254.0.9 . 10.254.1.42 . tcp . 20-30 timeout 1h",
        "\"spt0\" . 10.254.0.9 . 10.254.1.42 . tcp . 22 timeout 1h comment \"mine\"",
    };
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY, problem = STRBUF_EMPTY;
    struct netd_config *config = nft_fixture_load("tunnel");
    nft_fixture_write(config, NULL, 0, &text);
    for (size_t i = 0; i < ARRAY_LENGTH(foreign); i++) {
        CLEANUP(strbuf_free) struct strbuf add = STRBUF_EMPTY;
        struct nft_listing listing;
        CU_ASSERT_EQUAL_FATAL(nft_run_load(strbuf_text(&text), &problem), 0);
        strbuf_addf(&add, "add element inet sallyport lease_in { %s }\n", foreign[i]);
        CU_ASSERT_EQUAL(test_nft(strbuf_text(&add)), 0);
        read_kernel(&listing, -EBADMSG);
    }
    netd_config_free(config);
}

/* No text, however broken, does more than be refused or hash differently. */
static void test_broken_listing(void)
{
    static const char *const broken[] = {
        "",
        "set lease_in { elements",
        "set lease_in { elements = {",
        "set lease_in { elements = { , }",
        "set egress4 { elements = { 1.2.3.4 . tcp . 99999 timeout 1s expires 1s } }",
        "set egress4 { elements = { 1.2.3.4 . tcp . 9 timeout 1s expires 1x } }",
        "set egress4 { elements = { 1.2.3.4 . tcp . 9 timeout 1s expires } }",
        "\"unended"};
    for (size_t i = 0; i < ARRAY_LENGTH(broken); i++) {
        struct nft_listing listing = {0};
        int result = nft_listing_read(broken[i], &listing);
        CU_ASSERT_EQUAL(result, i == 0 || i == 7 ? 0 : -EBADMSG);
        CU_ASSERT_EQUAL(listing.n_leases + listing.n_egress, 0);
    }
}

/* Elements of the agent's sets are told from those of the whole gateway. */
static void test_agents_elements(void)
{
    static const struct {
        const char *set, *address;
        bool is_agents;
    } cases[] = {{"egress4", "192.0.2.7", false},
                 {"egress6", "fd00::5", false},
                 {"agent4", "192.0.2.7", true},
                 {"agent6", "fd00::5", true}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct nft_listing listing;
        char text[160], address[IP_NETWORK_TEXT_BYTES];
        (void)snprintf(text, sizeof(text),
                       "set %s { elements = { %s . tcp . 502 timeout 9s expires 8s } }",
                       cases[i].set, cases[i].address);
        CU_ASSERT_EQUAL_FATAL(nft_listing_read(text, &listing), 0);
        CU_ASSERT_EQUAL_FATAL(listing.n_egress, 1);
        CU_ASSERT_EQUAL(listing.egress[0].is_agents, cases[i].is_agents);
        CU_ASSERT_EQUAL(listing.egress[0].remaining_ms, 8000);
        TEST_TEXT_EQUAL(ip_network_format(&listing.egress[0].destination, address),
                        cases[i].address);
    }
}

int main(void)
{
    static const struct test_case cases[] = {
        {"leases come back from the kernel as they were given", test_round_trip},
        {"an element that is not ours is seen", test_foreign_elements},
        {"the agent's destinations are its own", test_agents_elements},
        {"a broken listing is survived", test_broken_listing},
    };
    test_private_network();
    return test_main("nft_listing", cases, ARRAY_LENGTH(cases));
}
