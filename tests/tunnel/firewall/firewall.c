/*
 * The ruleset as text: for each golden configuration, tests/tunnel/firewall/golden/NAME.conf,
 * exactly the rules of NAME.nft, which nft accepts. To write them anew after a wanted change, run
 * this program with SALLYPORT_GOLDEN=write and read the difference.
 */
#include "tunnel/firewall/nft_text.h"

#include "agent/base/descriptor.h"
#include "config/schema/finding.h"
#include "tests/support/private_network.h"
#include "tests/support/test.h"
#include "tunnel/config/netd_config.h"
#include "tunnel/firewall/nft_listing.h"
#include "tunnel/firewall/nft_run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const golden[] = {"minimal", "exceptions", "strict", "tunnel"};

static const char *golden_path(const char *name, const char *suffix)
{
    static char path[512];
    (void)snprintf(path, sizeof(path), SOURCE_FOLDER "/tests/tunnel/firewall/golden/%s.%s", name,
                   suffix);
    return path;
}

/* From a copy: netd refuses a file that others may write, and a checkout's mode is anyone's.
 */
static struct netd_config *load(const char *name)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf content = STRBUF_EMPTY, text = STRBUF_EMPTY;
    struct netd_config *config = NULL;
    CU_ASSERT_EQUAL_FATAL(file_read(golden_path(name, "conf"), 100000, &content), 0);
    const char *path = test_file(name, strbuf_text(&content));
    CU_ASSERT_EQUAL_FATAL(chmod(path, 0600), 0);
    (void)netd_config_load(path, &findings, &config);
    findings_print(&findings, &text);
    if (!config)
        printf("%s\n", strbuf_text(&text));
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    return config;
}

static struct firewall_lease_state lease(const char *source, const char *destination,
                                         uint8_t protocol, uint16_t port, const char *interface)
{
    struct firewall_lease_state state = {
        .lease = {.protocol = protocol, .port = port}, .remaining_ms = 3600000, .bytes = 0};
    CU_ASSERT_EQUAL_FATAL(ip_network_parse(source, &state.lease.source), 0);
    CU_ASSERT_EQUAL_FATAL(ip_network_parse(destination, &state.lease.destination), 0);
    (void)snprintf(state.lease.interface, sizeof(state.lease.interface), "%s", interface);
    return state;
}

static size_t some_leases(struct firewall_lease_state leases[8])
{
    leases[0] = lease("10.254.0.0/24", "10.254.1.42", IPPROTO_TCP, 22, "");
    leases[1] = lease("10.254.0.7", "10.254.1.42", IPPROTO_TCP, 22, ""); /* in the one before */
    leases[2] = lease("10.254.0.0/24", "192.168.10.5", IPPROTO_TCP, 502, "eth1");
    leases[3] = lease("10.253.0.9", "192.168.10.6", IPPROTO_UDP, 554, "eth1");
    leases[3].remaining_ms = 1501;
    leases[3].bytes = 12345;
    leases[4] = lease("10.253.0.9", "10.254.1.42", IPPROTO_TCP, 22, "");
    leases[4].remaining_ms = 0; /* ran out: not written */
    return 5;
}

static void write_text(const struct netd_config *config, const struct firewall_lease_state *leases,
                       size_t n_leases, struct strbuf *out)
{
    const struct nft_text ruleset = {.config = config, .leases = leases, .n_leases = n_leases};
    nft_text_write(&ruleset, out);
}

static void test_golden(void)
{
    for (size_t i = 0; i < ARRAY_LENGTH(golden); i++) {
        CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY, expected = STRBUF_EMPTY;
        struct firewall_lease_state leases[8];
        size_t n_leases = strcmp(golden[i], "tunnel") == 0 ? some_leases(leases) : 0;
        struct netd_config *config = load(golden[i]);
        write_text(config, leases, n_leases, &text);
        const char *path = golden_path(golden[i], "nft");
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
        CU_ASSERT_EQUAL(file_read(golden_path(golden[i], "nft"), 100000, &text), 0);
        CU_ASSERT_EQUAL(nft_run_check(strbuf_text(&text), &problem), 0);
        CU_ASSERT_EQUAL(nft_run_load(strbuf_text(&text), &problem), 0);
        TEST_TEXT_EQUAL(strbuf_text(&problem), "");
    }
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    CU_ASSERT_EQUAL(nft_run_load(nft_text_built_in, &problem), 0);
    TEST_TEXT_EQUAL(strbuf_text(&problem), "");
}

/* The same without the numbers that may differ: one line for each rule that accepts something. */
static size_t count_accepts(const char *text)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, " accept\n")); at++)
        count++;
    return count;
}

static void test_panic_is_small(void)
{
    CU_ASSERT_EQUAL(count_accepts(nft_text_built_in), 5);
    CU_ASSERT_PTR_NULL(strstr(nft_text_built_in, " @lease"));
    CU_ASSERT_PTR_NULL(strstr(nft_text_built_in, "set "));
    TEST_CONTAINS(nft_text_built_in, "hook input priority filter - 5; policy drop;");
    TEST_CONTAINS(nft_text_built_in, "hook forward priority filter - 5; policy drop;");
    /* The policy alone is late when a table is replaced. */
    TEST_CONTAINS(nft_text_built_in, "accept\n\t\tdrop\n\t}\n\tchain forward_lock");
    TEST_CONTAINS(nft_text_built_in, "policy drop;\n\t\tdrop\n\t}\n");
    /* What this machine sends: nothing to whom began it, nothing from the middle. */
    TEST_CONTAINS(nft_text_built_in,
                  "policy accept;\n\t\toifname \"lo\" accept\n\t\toifname \"spt*\" drop\n"
                  "\t\tct direction reply drop\n\t\tct state invalid drop\n"
                  "\t\tct state new tcp flags & (fin | syn | rst | ack) != syn drop\n"
                  "\t\tct state new meta l4proto sctp @th,96,8 != 1 drop\n\t}\n");
}

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
    struct netd_config *config = load("tunnel");
    size_t n_leases = some_leases(leases);
    leases[3].remaining_ms = 90061001; /* 1 d 1 h 1 m 1 s 1 ms */
    write_text(config, leases, n_leases, &text);
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
    CU_ASSERT_EQUAL(test_nft("add rule inet sallyport from_wan tcp dport 22 accept\n"), 0);
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
    struct netd_config *config = load("tunnel");
    write_text(config, NULL, 0, &text);
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

int main(void)
{
    static const struct test_case cases[] = {
        {"each golden configuration gives exactly its golden rules", test_golden},
        {"nft accepts every golden ruleset and the built-in one", test_accepted},
        {"the built-in rules let in replies and neighbours only", test_panic_is_small},
        {"leases come back from the kernel as they were given", test_round_trip},
        {"an element that is not ours is seen", test_foreign_elements},
        {"a broken listing is survived", test_broken_listing},
    };
    test_private_network();
    return test_main("firewall", cases, ARRAY_LENGTH(cases));
}
