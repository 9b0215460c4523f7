/*
 * The ruleset as text: for each golden configuration, tests/tunnel/firewall/golden/NAME.conf,
 * exactly the rules of NAME.nft, which nft accepts. To record them after a wanted change, run this
 * program with SALLYPORT_GOLDEN=write and read the difference.
 */
#include "tunnel/firewall/nft_text.h"

#include "agent/base/descriptor.h"
#include "tests/support/nft_fixture.h"
#include "tests/support/private_network.h"
#include "tests/support/test.h"
#include "tunnel/config/netd_config.h"
#include "tunnel/firewall/nft_run.h"

#include <stdlib.h>
#include <string.h>

static const char *const golden[] = {"minimal",     "exceptions", "strict",      "tunnel",
                                     "agent-local", "agent-open", "agent-strict"};

static void test_golden(void)
{
    for (size_t i = 0; i < ARRAY_LENGTH(golden); i++) {
        CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY, expected = STRBUF_EMPTY;
        struct firewall_lease_state leases[8];
        size_t n_leases = strcmp(golden[i], "tunnel") == 0 ? nft_fixture_leases(leases) : 0;
        struct netd_config *config = nft_fixture_load(golden[i]);
        nft_fixture_write(config, leases, n_leases, &text);
        const char *path = nft_fixture_path(golden[i], "nft");
        if (getenv("SALLYPORT_GOLDEN"))
            (void)file_replace(path, text.data, text.length, 0644);
        CU_ASSERT_EQUAL(file_read(path, 100000, &expected), 0);
        TEST_TEXT_EQUAL(strbuf_text(&text), strbuf_text(&expected));
        netd_config_free(config);
    }
}

static void test_accepted(void)
{
    for (size_t i = 0; i < ARRAY_LENGTH(golden); i++) {
        CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY, problem = STRBUF_EMPTY;
        CU_ASSERT_EQUAL(file_read(nft_fixture_path(golden[i], "nft"), 100000, &text), 0);
        CU_ASSERT_EQUAL(nft_run_check(strbuf_text(&text), &problem), 0);
        CU_ASSERT_EQUAL(nft_run_load(strbuf_text(&text), &problem), 0);
        TEST_TEXT_EQUAL(strbuf_text(&problem), "");
    }
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    CU_ASSERT_EQUAL(nft_run_load(nft_text_built_in, &problem), 0);
    TEST_TEXT_EQUAL(strbuf_text(&problem), "");
}

/* One line for each rule that accepts something. */
static size_t count_accepts(const char *text)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, " accept\n")); at++)
        count++;
    return count;
}

static void test_panic_is_small(void)
{
    CU_ASSERT_EQUAL(count_accepts(nft_text_built_in), 7);
    CU_ASSERT_PTR_NULL(strstr(nft_text_built_in, " @lease"));
    CU_ASSERT_PTR_NULL(strstr(nft_text_built_in, "set "));
    TEST_CONTAINS(nft_text_built_in, "hook input priority filter - 5; policy drop;");
    TEST_CONTAINS(nft_text_built_in, "hook forward priority filter - 5; policy drop;");
    /* The policy alone is late when a table is replaced. */
    TEST_CONTAINS(nft_text_built_in, "accept\n\t\tdrop\n\t}\n\tchain forward_lock");
    TEST_CONTAINS(nft_text_built_in, "policy drop;\n\t\tdrop\n\t}\n");
    /* What this machine sends: no ICMP answer, nothing to whom began it, nothing from the middle.
     */
    TEST_CONTAINS(nft_text_built_in,
                  "policy accept;\n\t\toifname \"lo\" accept\n\t\toifname \"spt*\" drop\n"
                  "\t\ticmp type != echo-request drop\n"
                  "\t\ticmpv6 type != 128 icmpv6 type != 131-133 icmpv6 type != 135-136 "
                  "icmpv6 type != 143 drop\n"
                  "\t\tct direction reply drop\n\t\tct state invalid drop\n"
                  "\t\tct state new tcp flags & (fin | syn | rst | ack) != syn drop\n"
                  "\t\tct state new meta l4proto sctp @th,96,8 != 1 drop\n\t}\n");
}

/* Of leases for one place the wider covers the narrower, if it lasts. */
static void test_covered(void)
{
    struct firewall_lease_state leases[] = {
        nft_fixture_lease("10.254.0.0/24", "10.254.1.42", IPPROTO_TCP, 22, ""),
        nft_fixture_lease("10.254.0.7", "10.254.1.42", IPPROTO_TCP, 22, ""),
        nft_fixture_lease("10.254.0.7", "10.254.1.42", IPPROTO_UDP, 22, ""),
        nft_fixture_lease("10.254.0.0/24", "10.254.1.42", IPPROTO_TCP, 22, ""),
    };
    CU_ASSERT_FALSE(nft_text_is_covered(leases, 4, 0));
    CU_ASSERT_TRUE(nft_text_is_covered(leases, 4, 1));
    CU_ASSERT_FALSE(nft_text_is_covered(leases, 4, 2));
    CU_ASSERT_TRUE(nft_text_is_covered(leases, 4, 3)); /* the same once more */
    leases[0].remaining_ms = leases[3].remaining_ms = 0;
    CU_ASSERT_FALSE(nft_text_is_covered(leases, 4, 1));
}

int main(void)
{
    static const struct test_case cases[] = {
        {"each golden configuration gives exactly its golden rules", test_golden},
        {"nft accepts every golden ruleset and the built-in one", test_accepted},
        {"the built-in rules let in replies and neighbours only", test_panic_is_small},
        {"a lease that another covers is found", test_covered},
    };
    test_private_network();
    return test_main("nft_text", cases, ARRAY_LENGTH(cases));
}
