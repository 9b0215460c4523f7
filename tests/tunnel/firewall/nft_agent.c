/*
 * The rules that bind the agent, as text: what may stand before what. What the kernel makes of them
 * is the scenario agent-reach; that nft takes them, the test of nft_text.
 */
#include "tunnel/firewall/nft_agent.h"

#include "tests/support/nft_fixture.h"
#include "tests/support/test.h"

#include <string.h>

#define GUARD "\t\tip daddr 10.254.0.7 drop\n"

/* The rules of one golden configuration. */
static void write_rules(const char *name, struct strbuf *out)
{
    struct netd_config *config = nft_fixture_load(name);
    nft_agent_write_chains(&config->firewall, GUARD, out);
    netd_config_free(config);
}

static size_t place(const char *text, const char *part)
{
    const char *at = strstr(text, part);
    TEST_CONTAINS(text, part);
    return at ? (size_t)(at - text) : 0;
}

static bool is_in_order(const char *text, const char *first, const char *second)
{
    return place(text, first) < place(text, second);
}

#define OWN "oifname \"lo\" goto agent_own"
#define PLANT "oifname \"eth1\" goto agent_refused"

/* A network, or what is meant for the world outside, opens no service of the gateway itself. */
static void test_own_services(void)
{
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    write_rules("agent-open", &out);
    const char *text = strbuf_text(&out), *own = strstr(text, "\tchain agent_own {");
    CU_ASSERT_PTR_NOT_NULL_FATAL(own);
    CU_ASSERT_TRUE(is_in_order(text, OWN, "accept"));
    CU_ASSERT_TRUE(is_in_order(text, "oifname \"spt*\" goto agent_refused", OWN));
    CU_ASSERT_TRUE(is_in_order(text, "ct direction reply counter name dropped_out drop", OWN));
    CU_ASSERT_TRUE(is_in_order(text, GUARD, "accept"));
    TEST_CONTAINS(own, "127.0.0.1 } tcp dport 1883 accept");
    TEST_CONTAINS(own, "accept\n\t\tgoto agent_refused\n\t}\n");
    static const char *const others[] = {"192.168.20.0/24", "203.0.113.7", "established", "443"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        CU_ASSERT_PTR_NULL(strstr(own, others[i]));
}

/* A network of egress_allow, and a name of the WAN, do not reach into the plant. */
static void test_plant(void)
{
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    write_rules("agent-open", &out);
    const char *text = strbuf_text(&out);
    CU_ASSERT_TRUE(is_in_order(text, PLANT, "meta nfproto ipv4 tcp dport 443 accept"));
    CU_ASSERT_TRUE(is_in_order(text, PLANT, "ct state established tcp dport 8883"));
    CU_ASSERT_TRUE(is_in_order(text, "oifname \"eth1\" ct state established tcp dport 502", PLANT));
    CU_ASSERT_TRUE(is_in_order(text, "oifname \"br*\" goto agent_refused",
                               "meta nfproto ipv4 tcp dport 443 accept"));
    CU_ASSERT_PTR_NULL(strstr(text, "established tcp dport 443"));
}

/* Time servers are not the agent's; a host that is given twice is written once. */
static void test_left_out(void)
{
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    write_rules("agent-strict", &out);
    const char *text = strbuf_text(&out);
    CU_ASSERT_PTR_NULL(strstr(text, "dport 123"));
    TEST_CONTAINS(text, "ip daddr { 192.0.2.53 } udp dport 53 accept");
    TEST_CONTAINS(text, "ip daddr { 192.168.10.5, 192.168.10.6 } tcp dport 502 accept");
}

/* Without the group the other rules go on after those for the gateway itself. */
static void test_local(void)
{
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    write_rules("agent-local", &out);
    const char *text = strbuf_text(&out);
    TEST_CONTAINS(text, OWN "\n\t}\n");
}

TEST_MAIN("nft_agent", {"services of the gateway need an entry of their own", test_own_services},
          {"what is meant for the WAN opens nothing in the plant", test_plant},
          {"what is not for the agent is left out", test_left_out},
          {"without the group plant and WAN stay open", test_local})
