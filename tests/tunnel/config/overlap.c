/* The tunnel's networks and those of others. */
#include "tunnel/config/overlap.h"

#include "agent/base/macros.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

static struct ip_network network(const char *text)
{
    struct ip_network made = {0};
    CU_ASSERT_EQUAL(ip_network_parse(text, &made), 0);
    return made;
}

static struct tunnel_config tunnel_from(const char *source)
{
    return (struct tunnel_config){.is_configured = true,
                                  .address = network("10.254.1.42"),
                                  .hub = {.address = network("10.253.0.1")},
                                  .sources = {network(source)},
                                  .n_sources = 1};
}

static struct rtnl_route route(const char *text, const char *interface, bool is_connected)
{
    struct rtnl_route made = {.network = network(text), .is_connected = is_connected};
    (void)snprintf(made.interface, sizeof(made.interface), "%s", interface);
    return made;
}

/* The key that overlaps with ROUTE, "" for none; the text names both networks and the interface. */
static const char *found(const struct tunnel_config *tunnel, struct rtnl_route one)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    const struct rtnl_route_list list = {.items = &one, .length = 1};
    char theirs[IP_NETWORK_TEXT_BYTES];
    const char *key = "";
    if (!overlap_with_routes(tunnel, &list, &key, &problem))
        return "";
    CU_ASSERT_PTR_NOT_NULL(strstr(problem.data, ip_network_format(&one.network, theirs)));
    CU_ASSERT_PTR_NOT_NULL(strstr(problem.data, one.interface));
    return key;
}

static void test_routes(void)
{
    struct tunnel_config wide = tunnel_from("10.0.0.0/8"), narrow = tunnel_from("10.254.0.0/24");
    CU_ASSERT_STRING_EQUAL(found(&wide, route("10.1.10.0/24", "plant0", true)), "tunnel.sources");
    CU_ASSERT_STRING_EQUAL(found(&wide, route("10.1.10.0/24", "wan0", false)), "tunnel.sources");
    CU_ASSERT_STRING_EQUAL(found(&narrow, route("10.0.0.0/8", "wan0", true)), "tunnel.sources");
    CU_ASSERT_STRING_EQUAL(found(&narrow, route("10.253.0.0/24", "wan0", true)),
                           "tunnel.hub.address");
    CU_ASSERT_STRING_EQUAL(found(&narrow, route("10.254.1.0/24", "plant0", true)),
                           "tunnel.address");
    /* Everything of the company behind one router, other networks, and the tunnel's own. */
    CU_ASSERT_STRING_EQUAL(found(&narrow, route("10.0.0.0/8", "wan0", false)), "");
    CU_ASSERT_STRING_EQUAL(found(&narrow, route("192.168.10.0/24", "plant0", true)), "");
    CU_ASSERT_STRING_EQUAL(found(&narrow, route("10.254.0.0/24", "spt0", true)), "");
    narrow.is_configured = false;
    CU_ASSERT_STRING_EQUAL(found(&narrow, route("10.254.0.0/24", "plant0", true)), "");
}

static bool is_barred(const char *source, struct rtnl_route one, const char *hub)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    struct tunnel_config tunnel = tunnel_from(source);
    const struct rtnl_route_list list = {.items = &one, .length = 1};
    struct ip_network host = network(hub);
    bool barred = overlap_bars_session(&tunnel, &list, &host, &problem);
    CU_ASSERT_EQUAL(barred, problem.length > 0);
    return barred;
}

static void test_session(void)
{
    CU_ASSERT_TRUE(is_barred("192.0.2.0/24", route("192.0.2.0/24", "wan0", true), "203.0.113.1"));
    CU_ASSERT_TRUE(is_barred("192.0.2.64/26", route("192.0.2.0/24", "wan0", true), "203.0.113.1"));
    CU_ASSERT_TRUE(is_barred("192.0.2.0/24", route("192.0.2.0/24", "wan0", false), "203.0.113.1"));
    CU_ASSERT_TRUE(is_barred("203.0.113.0/24", route("192.0.2.0/24", "wan0", true), "203.0.113.1"));
    CU_ASSERT_FALSE(is_barred("10.0.0.0/8", route("10.1.10.0/24", "plant0", true), "203.0.113.1"));
    CU_ASSERT_FALSE(is_barred("10.254.0.0/24", route("10.0.0.0/8", "wan0", false), "203.0.113.1"));
    CU_ASSERT_FALSE(is_barred("10.254.0.0/24", route("10.254.0.0/24", "spt0", true), "192.0.2.1"));
}

static size_t errors(const struct netd_config *config, const char *key)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    overlap_check_config(config, "netd.conf", &findings);
    for (size_t i = 0; i < findings.length; i++)
        CU_ASSERT_STRING_EQUAL(findings.items[i].key, key);
    return findings.errors;
}

static void test_config(void)
{
    char name[] = "vpn.example.com", address[] = "10.254.0.9";
    struct netd_config config = {.tunnel = tunnel_from("10.254.0.0/24")};
    config.tunnel.hub.endpoint_host = name;
    CU_ASSERT_EQUAL(errors(&config, ""), 0);
    config.tunnel.hub.endpoint_host = address;
    CU_ASSERT_EQUAL(errors(&config, "tunnel.sources"), 1);
    config.tunnel.hub.endpoint_host = name;
    config.firewall.exceptions[0].source = network("10.254.0.20");
    config.firewall.n_exceptions = 1;
    CU_ASSERT_EQUAL(errors(&config, "tunnel.sources"), 1);
    config.firewall.exceptions[0].source = network("0.0.0.0/0");
    CU_ASSERT_EQUAL(errors(&config, ""), 0);
    config.firewall.allow[0].destination = network("10.253.0.0/16");
    config.firewall.n_allow = 1;
    CU_ASSERT_EQUAL(errors(&config, "tunnel.hub.address"), 1);
    config.firewall.n_allow = 0;
    config.firewall.agent.reach[0].destination = network("10.254.1.42");
    config.firewall.agent.n_reach = 1;
    CU_ASSERT_EQUAL(errors(&config, "tunnel.address"), 1);
    config.tunnel.is_configured = false;
    CU_ASSERT_EQUAL(errors(&config, ""), 0);
}

TEST_MAIN("overlap", {"with the machine's routes", test_routes},
          {"that bar a session", test_session}, {"within netd.conf", test_config})
