/* netd.conf: what a good file becomes, and what is said about a bad one. */
#include "tunnel/config/netd_config.h"
#include "tunnel/config/netd_difference.h"
#include "tunnel/config/netd_options.h"
#include "tunnel/config/netd_reference.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "tests/support/test.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define KEY "w2h8S6S0yyzcV4X3g1Uq8pGq8qnJzTzYc0m4kq1O1nE="
#define FIREWALL "firewall: { wan = [ \"eth0\" ]; plant = [ \"eth1\", \"br*\" ]; };\n"
#define EXCEPTION "firewall: { exceptions = ( { interface = \"eth1\"; source = \"::/0\"; "
#define STRICT "firewall: { egress = \"strict\"; "
#define HUB                                                                                        \
    "hub = { public_key = \"" KEY "\"; endpoint = \"vpn.example.com:443\"; "                       \
    "address = \"10.254.0.1\"; };\n"
#define TUNNEL_HEAD TUNNEL_START "max_ttl_s = 60; idle_close_s = 900;\n"
#define TUNNEL_START                                                                               \
    "tunnel: { gateway = \"plant-7/gw-0042\"; address = \"10.254.1.42\";\n"                        \
    "private_key_file = \"wireguard.key\"; sources = [ \"10.254.0.0/24\" ];\n"
#define SERVICES                                                                                   \
    "services = ( { name = \"ssh\"; port = 22; },\n"                                               \
    "{ name = \"plc1\"; protocol = \"tcp\"; port = 502; target = \"192.168.10.5\"; "               \
    "interface = \"eth1\"; } );\n"

static struct netd_config *load(const char *text, struct strbuf *out)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    struct netd_config *config = NULL;
    (void)netd_config_load(test_file("netd.conf", text), &findings, &config);
    findings_sort(&findings);
    findings_print(&findings, out);
    return config;
}

static void test_good(void)
{
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    struct netd_config *config = load(
        "firewall: { wan = [ \"eth0\" ]; plant = [ \"eth1\", \"br*\" ]; egress = \"strict\";\n"
        "exceptions = ( { interface = \"eth1\"; source = \"192.168.10.20/32\"; port = 22; } );\n"
        "dns = [ \"192.0.2.53\" ]; ntp = [ \"2001:db8::123\", \"ntp.example.com\" ];\n"
        "egress_allow = ( { destination = \"0.0.0.0/0\"; port = 8883; },\n"
        "{ destination = \"broker.example.com\"; protocol = \"udp\"; port = 4433; } ); };\n"
        "paths: { state_dir = \"state\"; runtime_dir = \"/run/x\"; };\n" TUNNEL_HEAD HUB SERVICES
        "approval = \"local\"; };\n",
        &out);
    TEST_TEXT_EQUAL(strbuf_text(&out), "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    char text[IP_NETWORK_TEXT_BYTES];
    TEST_TEXT_EQUAL(config->firewall.wan[0].text, "eth0");
    TEST_TEXT_EQUAL(config->firewall.plant[1].text, "br*");
    CU_ASSERT_EQUAL(config->firewall.egress, EGRESS_STRICT);
    CU_ASSERT_EQUAL(config->firewall.n_exceptions, 1);
    TEST_TEXT_EQUAL(ip_network_format(&config->firewall.exceptions[0].source, text),
                    "192.168.10.20");
    CU_ASSERT_EQUAL(config->firewall.exceptions[0].protocol, IPPROTO_TCP);
    CU_ASSERT_EQUAL_FATAL(config->firewall.n_allow, 4);
    CU_ASSERT_TRUE(config->firewall.dns_is_fixed);
    CU_ASSERT_EQUAL(config->firewall.egress_lease_s, 300);
    static const struct {
        const char *destination;
        uint8_t protocol;
        uint16_t port;
    } allowed[] = {{"192.0.2.53", IPPROTO_UDP, 53},
                   {"192.0.2.53", IPPROTO_TCP, 53},
                   {"2001:db8::123", IPPROTO_UDP, 123},
                   {"0.0.0.0/0", IPPROTO_TCP, 8883}};
    for (size_t i = 0; i < 4; i++) {
        const struct firewall_egress *allow = &config->firewall.allow[i];
        TEST_TEXT_EQUAL(ip_network_format(&allow->destination, text), allowed[i].destination);
        CU_ASSERT_EQUAL(allow->protocol, allowed[i].protocol);
        CU_ASSERT_EQUAL(allow->port, allowed[i].port);
    }
    CU_ASSERT_EQUAL_FATAL(config->firewall.n_names, 2);
    TEST_TEXT_EQUAL(config->firewall.names[0].host, "ntp.example.com");
    CU_ASSERT_EQUAL(config->firewall.names[0].port, 123);
    CU_ASSERT_EQUAL(config->firewall.names[0].protocol, IPPROTO_UDP);
    TEST_TEXT_EQUAL(config->firewall.names[1].host, "broker.example.com");
    CU_ASSERT_EQUAL(config->firewall.names[1].port, 4433);
    CU_ASSERT_EQUAL(config->firewall.names[1].protocol, IPPROTO_UDP);
    TEST_CONTAINS(config->paths.state_dir, "/state");
    CU_ASSERT_EQUAL(config->paths.state_dir[0], '/');
    CU_ASSERT_EQUAL(config->tunnel.max_ttl_s, 60);
    CU_ASSERT_EQUAL(config->tunnel.idle_close_s, 900);
    CU_ASSERT_EQUAL(config->tunnel.approval, APPROVAL_LOCAL);
    TEST_TEXT_EQUAL(config->tunnel.hub.endpoint_host, "vpn.example.com");
    CU_ASSERT_EQUAL(config->tunnel.hub.endpoint_port, 443);
    const struct tunnel_service *plc = netd_config_service(config, "plc1");
    CU_ASSERT_PTR_NOT_NULL_FATAL(plc);
    CU_ASSERT_TRUE(plc->is_behind);
    TEST_TEXT_EQUAL(ip_network_format(&plc->target, text), "192.168.10.5");
    CU_ASSERT_FALSE(netd_config_service(config, "ssh")->is_behind);
    CU_ASSERT_PTR_NULL(netd_config_service(config, "plc"));
    netd_config_free(config);
}

static void test_without_tunnel(void)
{
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    struct netd_config *config = load(FIREWALL, &out);
    TEST_TEXT_EQUAL(strbuf_text(&out), "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    CU_ASSERT_FALSE(config->tunnel.is_configured);
    CU_ASSERT_FALSE(config->firewall.dns_is_fixed);
    TEST_TEXT_EQUAL(config->paths.state_dir, "/var/lib/sallyport-netd");
    TEST_TEXT_EQUAL(config->access.agent_user, "sallyport");
    netd_config_free(config);
}

/* Ping and ranges of ports. */
static void test_exceptions(void)
{
    static const struct {
        const char *keys;
        uint8_t protocol;
        uint16_t first, last;
    } cases[] = {
        {"port = 22;", IPPROTO_TCP, 22, 22},
        {"port = \"50000-50100\";", IPPROTO_TCP, 50000, 50100},
        {"protocol = \"udp\"; port = \"1-65535\";", IPPROTO_UDP, 1, 65535},
        {"protocol = \"udp\"; port = \"7-7\";", IPPROTO_UDP, 7, 7},
        {"protocol = \"icmp\";", IPPROTO_ICMP, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY, text = STRBUF_EMPTY;
        strbuf_addf(&text, EXCEPTION "%s } ); };", cases[i].keys);
        struct netd_config *config = load(strbuf_text(&text), &out);
        TEST_TEXT_EQUAL(strbuf_text(&out), "");
        CU_ASSERT_PTR_NOT_NULL_FATAL(config);
        CU_ASSERT_EQUAL_FATAL(config->firewall.n_exceptions, 1);
        CU_ASSERT_EQUAL(config->firewall.exceptions[0].protocol, cases[i].protocol);
        CU_ASSERT_EQUAL(config->firewall.exceptions[0].port, cases[i].first);
        CU_ASSERT_EQUAL(config->firewall.exceptions[0].last_port, cases[i].last);
        netd_config_free(config);
    }
}

static const struct {
    const char *text, *finding;
} bad[] = {
    {"firewall: { wam = [ ]; };", ":1: firewall.wam: unknown key \"wam\"; did you mean \"wan\"?"},
    {"firewall: { wan = [ \"*\" ]; };", "firewall.wan: \"*\" is not an interface name"},
    {"firewall: { wan = [ \"s*\" ]; };", "would take in loopback or the tunnel"},
    {"firewall: { wan = [ \"l*\" ]; };", "would take in loopback or the tunnel"},
    {"firewall: { wan = [ \"spt1\" ]; };", "would take in loopback or the tunnel"},
    {"firewall: { wan = [ \"eth0; flush\" ]; };", "is not an interface name"},
    {"firewall: { wan = [ \"an-interface-name\" ]; };", "is not an interface name"},
    {"firewall: { wan = [ \"eth0\" ]; plant = [ \"eth0\" ]; };", "is listed in wan as well"},
    {"firewall: { exceptions = ( { interface = \"eth1\"; port = 22; } ); };",
     "firewall.exceptions[0].source: missing"},
    {"firewall: { exceptions = ( { interface = \"eth1\"; source = \"10.0.0.1/8\"; port = 22; } ); "
     "};",
     "is not an address or network"},
    {"firewall: { exceptions = ( { interface = \"eth1\"; source = \"::/0\"; port = 0; } ); };",
     "firewall.exceptions[0].port"},
    {EXCEPTION "} ); };", "firewall.exceptions[0].port: missing"},
    {EXCEPTION "protocol = \"udp\"; } ); };", "firewall.exceptions[0].port: missing"},
    {EXCEPTION "port = 65536; } ); };", "firewall.exceptions[0].port: 65536 is out of range"},
    {EXCEPTION "port = \"9-8\"; } ); };", "port: \"9-8\" ends before it begins"},
    {EXCEPTION "port = \"1-65536\"; } ); };", "port: 65536 is out of range"},
    {EXCEPTION "port = \"0-1\"; } ); };", "port: 0 is out of range"},
    {EXCEPTION "port = \"1-2-3\"; } ); };", "port: \"1-2-3\" is not a range"},
    {EXCEPTION "port = \"ssh\"; } ); };", "port: \"ssh\" is not a range"},
    {EXCEPTION "port = \"1 - 2\"; } ); };", "port: \"1 - 2\" is not a range"},
    {EXCEPTION "port = 1.5; } ); };", "port: expected a number, or a range as a text"},
    {EXCEPTION "protocol = \"icmp\"; port = 8; } ); };",
     "port: has no meaning with protocol = \"icmp\""},
    {EXCEPTION "protocol = \"icmp\"; port = 0; } ); };", "port: 0 is out of range"},
    {EXCEPTION "protocol = \"ping\"; } ); };", "allowed: \"tcp\", \"udp\", \"icmp\""},
    {STRICT
     "egress_allow = ( { destination = \"192.0.2.1\"; protocol = \"icmp\"; port = 1; } ); };",
     "unknown value \"icmp\""},
    {STRICT "egress_allow = ( { destination = \"192.0.2.1\"; port = \"1-2\"; } ); };",
     "firewall.egress_allow[0].port: expected a whole number"},
    {STRICT "egress_allow = ( { destination = \"1.2.3\"; port = 1; } ); };",
     "firewall.egress_allow[0].destination: \"1.2.3\" is not an address or network"},
    {STRICT "egress_allow = ( { destination = \"a_b.example\"; port = 1; } ); };",
     "\"a_b.example\" is not a name, address or network"},
    {STRICT "egress_allow = ( { destination = \"-a.example\"; port = 1; } ); };",
     "\"-a.example\" is not a name, address or network"},
    {STRICT "egress_allow = ( { destination = \"mqtts://a:8883\"; port = 1; } ); };",
     "is not an address or network"},
    {STRICT "egress_allow = ( { destination = \"\"; port = 1; } ); };",
     "firewall.egress_allow[0].destination"},
    {STRICT "dns = [ \"ns.example.com\" ]; };",
     "firewall.dns: \"ns.example.com\" is not an address"},
    {STRICT "dns = [ \"127.0.0.53\" ]; };", "is not the address of a server elsewhere"},
    {"agent: { may_reach = ( { destination = \"1.2.3\"; port = 1; } ); };",
     "agent.may_reach[0].destination: \"1.2.3\" is not an address or network"},
    {"agent: { may_reach = ( { destination = \"a_b\"; port = 1; } ); };",
     "agent.may_reach[0].destination: \"a_b\" is not a name, address or network"},
    {"agent: { may_reach = ( { destination = \"a.test\"; } ); };",
     "agent.may_reach[0].port: missing"},
    {"agent: { may_reach = ( { destination = \"a.test\"; port = 1; side = \"lan\"; } ); };",
     "agent.may_reach[0].side"},
    {"agent: { reach = ( ); };", "agent.reach: unknown"},
    {STRICT "dns = [ \"192.0.2.0/24\" ]; };", "is not the address of a server elsewhere"},
    {STRICT "ntp = [ \"a..b\" ]; };", "firewall.ntp: \"a..b\" is not a name"},
    {STRICT "egress_lease_s = 0; };", "firewall.egress_lease_s"},
    {TUNNEL_HEAD SERVICES "};", "tunnel.hub.public_key: missing"},
    {TUNNEL_START HUB SERVICES "idle_close_s = 900; };", "netd.conf:1: tunnel.max_ttl_s: missing"},
    {TUNNEL_START HUB SERVICES "max_ttl_s = 60; };", "netd.conf:1: tunnel.idle_close_s: missing"},
    {TUNNEL_START HUB SERVICES "max_ttl_s = 0; idle_close_s = 9; };",
     "tunnel.max_ttl_s: 0 is out of range"},
    {TUNNEL_START HUB SERVICES "max_ttl_s = 604801; idle_close_s = 9; };",
     "tunnel.max_ttl_s: 604801 is out of range"},
    {TUNNEL_START HUB SERVICES "max_ttl_s = 9; idle_close_s = -1; };",
     "tunnel.idle_close_s: -1 is out of range"},
    {TUNNEL_HEAD HUB "services = ( { name = \"a\"; port = 1; }, { name = \"a\"; port = 2; } ); };",
     "is given twice"},
    {TUNNEL_HEAD HUB "services = ( { name = \"a\"; port = 1; }, { name = \"b\"; port = 1; } ); };",
     "is the same place as the service \"a\""},
    {TUNNEL_HEAD HUB "services = ( { name = \"a\"; port = 1; target = \"192.168.1.1\"; } ); };",
     "target and interface belong together"},
    {TUNNEL_HEAD HUB "services = ( { name = \"a\"; port = 1; target = \"127.0.0.1\"; "
                     "interface = \"eth1\"; } ); };",
     "is not the IPv4 address of one host"},
    {TUNNEL_HEAD HUB "services = ( { name = \"a\"; port = 1; target = \"10.254.0.9\"; "
                     "interface = \"eth1\"; } ); };",
     "lies inside tunnel.sources"},
    {TUNNEL_HEAD HUB "services = ( { name = \"a\"; port = 1; target = \"192.168.1.1\"; "
                     "interface = \"eth*\"; } ); };",
     "is not an interface name"},
    {"tunnel: { gateway = \"plant\"; address = \"10.0.0.1\"; private_key_file = \"k\"; "
     "sources = [ \"10.1.0.0/16\" ]; max_ttl_s = 9; idle_close_s = 9; " HUB "};",
     "is not SITE/ID"},
    {"tunnel: { gateway = \"p/g\"; address = \"10.0.0.0/24\"; private_key_file = \"k\"; "
     "sources = [ \"10.1.0.0/16\" ]; max_ttl_s = 9; idle_close_s = 9; " HUB "};",
     "tunnel.address: \"10.0.0.0/24\" is not the IPv4 address"},
    {"tunnel: { gateway = \"p/g\"; address = \"10.0.0.1\"; private_key_file = \"k\"; "
     "sources = [ \"0.0.0.0/0\" ]; max_ttl_s = 9; idle_close_s = 9; " HUB "};",
     "tunnel.sources"},
    {TUNNEL_HEAD "hub = { public_key = \"" KEY "\"; endpoint = \"vpn.example.com\"; "
                 "address = \"10.254.0.1\"; }; };",
     "is not NAME:PORT"},
    {TUNNEL_HEAD "hub = { public_key = \"" KEY "\"; endpoint = \"-o.example.com:443\"; "
                 "address = \"10.254.0.1\"; }; };",
     "is not NAME:PORT"},
    {TUNNEL_HEAD "hub = { public_key = \"" KEY "\"; endpoint = \"vpn:65536\"; "
                 "address = \"10.254.0.1\"; }; };",
     "is not NAME:PORT"},
    {TUNNEL_HEAD "hub = { public_key = \"w2h8S6S0yyzcV4X3g1Uq8pGq8qnJzTzYc0m4kq1O1nF=\"; "
                 "endpoint = \"vpn:443\"; address = \"10.254.0.1\"; }; };",
     "is not a WireGuard key"},
    {TUNNEL_HEAD "hub = { public_key = \"" KEY "\"; endpoint = \"vpn:443\"; "
                 "address = \"10.254.1.42\"; }; };",
     "is the hub's address as well"},
    {"firewal: { };", "unknown key \"firewal\"; did you mean \"firewall\"?"},
    {"firewall: { wan = ", ""},
};

static void test_bad(void)
{
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
        struct netd_config *config = load(bad[i].text, &out);
        CU_ASSERT_PTR_NULL(config);
        CU_ASSERT_TRUE(out.length > 0);
        TEST_CONTAINS(strbuf_text(&out), bad[i].finding);
        netd_config_free(config);
    }
}

/* As many names as can be, and one more. */
static void test_many_names(void)
{
    for (int n = NETD_MAX_NAMES; n <= NETD_MAX_NAMES + 1; n++) {
        CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY, out = STRBUF_EMPTY;
        strbuf_add(&text, STRICT "ntp = [ \"a.test\" ]; egress_allow = (");
        for (int i = 1; i < n; i++)
            strbuf_addf(&text, "%s{ destination = \"b.test\"; port = %d; }", i > 1 ? "," : "", i);
        strbuf_add(&text, "); };");
        struct netd_config *config = load(strbuf_text(&text), &out);
        CU_ASSERT_EQUAL(config != NULL, n == NETD_MAX_NAMES);
        if (!config)
            TEST_CONTAINS(strbuf_text(&out), "is one name too many");
        netd_config_free(config);
    }
}

static void test_no_effect(void)
{
    static const char *const texts[] = {
        "dns = [ \"192.0.2.53\" ];", "ntp = [ \"a.test\" ];",
        "egress_allow = ( { destination = \"a.test\"; port = 1; } );"};
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY, out = STRBUF_EMPTY;
        strbuf_addf(&text, "firewall: { %s };", texts[i]);
        struct netd_config *config = load(strbuf_text(&text), &out);
        CU_ASSERT_PTR_NOT_NULL(config);
        TEST_CONTAINS(strbuf_text(&out), "egress_allow, dns and ntp have no effect");
        netd_config_free(config);
        strbuf_reset(&out);
        strbuf_add(&text, " agent: { };"); /* which the first two bind or let out */
        config = load(strbuf_text(&text), &out);
        CU_ASSERT_PTR_NOT_NULL(config);
        TEST_TEXT_EQUAL(strstr(strbuf_text(&out), "no effect") ? "told" : "",
                        strstr(texts[i], "ntp") ? "told" : "");
        netd_config_free(config);
    }
}

/* The group `agent`: addresses, networks, names, and this gateway itself. */
static void test_agent(void)
{
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    struct netd_config *config =
        load("firewall: { dns = [ \"192.0.2.53\" ]; egress_allow = ( "
             "{ destination = \"proxy.test\"; port = 3128; } ); };\n"
             "agent: { may_reach = ( { destination = \"192.168.10.5\"; port = 502; },\n"
             "{ destination = \"fd00::/64\"; protocol = \"udp\"; port = 502; },\n"
             "{ destination = \"LocalHost\"; port = 1883; },\n"
             "{ destination = \"broker.test\"; port = 8883; },\n"
             "{ destination = \"plc.test\"; port = 502; side = \"plant\"; } ); };\n",
             &out);
    TEST_TEXT_EQUAL(strbuf_text(&out), ""); /* dns and egress_allow have an effect now */
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    const struct firewall_config *firewall = &config->firewall;
    static const struct {
        const char *destination;
        uint8_t protocol;
        uint16_t port;
    } reach[] = {{"192.168.10.5", IPPROTO_TCP, 502},
                 {"fd00::/64", IPPROTO_UDP, 502},
                 {"127.0.0.1", IPPROTO_TCP, 1883},
                 {"::1", IPPROTO_TCP, 1883}};
    char text[IP_NETWORK_TEXT_BYTES];
    CU_ASSERT_TRUE(firewall->agent.is_bound);
    CU_ASSERT_EQUAL(firewall->agent.n_destinations, 6);
    CU_ASSERT_EQUAL_FATAL(firewall->agent.n_reach, ARRAY_LENGTH(reach));
    for (size_t i = 0; i < ARRAY_LENGTH(reach); i++) {
        const struct firewall_egress *entry = &firewall->agent.reach[i];
        TEST_TEXT_EQUAL(ip_network_format(&entry->destination, text), reach[i].destination);
        CU_ASSERT_EQUAL(entry->protocol, reach[i].protocol);
        CU_ASSERT_EQUAL(entry->port, reach[i].port);
    }
    CU_ASSERT_EQUAL_FATAL(firewall->n_names, 3);
    for (size_t i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(firewall->names[i].side, strcmp(firewall->names[i].host, "plc.test") == 0
                                                     ? NETD_SIDE_PLANT
                                                     : NETD_SIDE_WAN);
    CU_ASSERT_EQUAL(firewall->names[0].is_agents + firewall->names[1].is_agents +
                        firewall->names[2].is_agents,
                    2);
    netd_config_free(config);
    config = load(FIREWALL, &out);
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    CU_ASSERT_FALSE(config->firewall.agent.is_bound);
    netd_config_free(config);
    config = load(FIREWALL "agent: { };", &out); /* which is bound to nothing at all */
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    CU_ASSERT_TRUE(config->firewall.agent.is_bound);
    netd_config_free(config);
}

/* The longest list of the agent, and one more. */
static void test_agent_limits(void)
{
    static const struct {
        const char *destination, *finding;
        int most;
    } cases[] = {{"localhost", "agent.may_reach", NETD_MAX_REACH},
                 {"b.test", "is one name too many: may_reach takes 16", NETD_MAX_REACH_NAMES}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        for (int n = cases[i].most; n <= cases[i].most + 1; n++) {
            CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY, out = STRBUF_EMPTY;
            strbuf_add(&text, "agent: { may_reach = (");
            for (int j = 1; j <= n; j++)
                strbuf_addf(&text, "%s{ destination = \"%s\"; port = %d; }", j > 1 ? "," : "",
                            cases[i].destination, j);
            strbuf_add(&text, "); };");
            struct netd_config *config = load(strbuf_text(&text), &out);
            CU_ASSERT_EQUAL(config != NULL, n == cases[i].most);
            if (!config)
                TEST_CONTAINS(strbuf_text(&out), cases[i].finding);
            netd_config_free(config);
        }
    }
}

static void test_endpoints(void)
{
    static const struct {
        const char *endpoint, *host;
    } good[] = {{"203.0.113.7:443", "203.0.113.7"},
                {"[2001:db8::7]:443", "2001:db8::7"},
                {"hub:443", "hub"}};
    for (size_t i = 0; i < ARRAY_LENGTH(good); i++) {
        CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
        char text[2048];
        (void)snprintf(text, sizeof(text),
                       TUNNEL_HEAD "hub = { public_key = \"" KEY "\"; endpoint = \"%s\"; "
                                   "address = \"10.254.0.1\"; };\n" SERVICES "};",
                       good[i].endpoint);
        struct netd_config *config = load(text, &out);
        TEST_TEXT_EQUAL(strbuf_text(&out), "");
        CU_ASSERT_PTR_NOT_NULL_FATAL(config);
        TEST_TEXT_EQUAL(config->tunnel.hub.endpoint_host, good[i].host);
        netd_config_free(config);
    }
}

static void test_owner(void)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    struct netd_config *config = NULL;
    const char *path = test_file("loose.conf", FIREWALL);
    CU_ASSERT_EQUAL(chmod(path, 0666), 0);
    CU_ASSERT_NOT_EQUAL(netd_config_load(path, &findings, &config), 0);
    findings_print(&findings, &out);
    TEST_CONTAINS(strbuf_text(&out), "others than root may write this file");
}

/* The shipped example is the generated one, and loads. */
static void test_example(void)
{
    CLEANUP(strbuf_free) struct strbuf shipped = STRBUF_EMPTY;
    CLEANUP(strbuf_free) struct strbuf made = STRBUF_EMPTY;
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    netd_reference_example(&made);
    CU_ASSERT_EQUAL(file_read(SOURCE_FOLDER "/config/netd.conf", 65536, &shipped), 0);
    bool is_fresh = strcmp(strbuf_text(&shipped), strbuf_text(&made)) == 0;
    CU_ASSERT_TRUE(is_fresh);
    if (!is_fresh)
        printf("\nconfig/netd.conf is stale: build the target generate-docs\n");
    struct netd_config *config = load(strbuf_text(&made), &out);
    TEST_TEXT_EQUAL(strbuf_text(&out), "");
    CU_ASSERT_PTR_NOT_NULL(config);
    netd_config_free(config);
}

static void test_explain(void)
{
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    CU_ASSERT_EQUAL(netd_reference_explain("tunnel.max_ttl_s", &out), 0);
    TEST_CONTAINS(strbuf_text(&out), "The longest session");
    TEST_CONTAINS(strbuf_text(&out), "28800");
    strbuf_reset(&out);
    CU_ASSERT_EQUAL(netd_reference_explain("tunnel.services", &out), 0);
    TEST_CONTAINS(strbuf_text(&out), "tunnel.services.target");
    strbuf_reset(&out);
    CU_ASSERT_NOT_EQUAL(netd_reference_explain("tunnel.maxttl", &out), 0);
    TEST_CONTAINS(strbuf_text(&out), "tunnel.max_ttl_s");
}

/* Everything but the firewall takes a restart: a trial has to know what that is. */
/* Whether TRIED names every key of TABLE: a new key has to be compared, and tried here. */
static bool has_each_key(const struct option_table *table, const char *tried)
{
    for (size_t i = 0; i < table->n_rows; i++) {
        CLEANUP(strbuf_free) struct strbuf key = STRBUF_EMPTY;
        strbuf_addf(&key, " %s.%s ", table->path, table->rows[i].key);
        if (strstr(tried, strbuf_text(&key)))
            continue;
        printf("\nnetd_config_difference: nobody has tried%s\n", strbuf_text(&key));
        return false;
    }
    return true;
}

static void test_difference(void)
{
    static const char good[] =
        FIREWALL "access: { agent_user = \"7\"; admin_group = \"8\"; allowed_signers = \"a\"; "
                 "revoked_keys = \"b\"; };\n"
                 "paths: { state_dir = \"s\"; runtime_dir = \"r\"; };\n" TUNNEL_START HUB SERVICES
                 "max_ttl_s = 60; idle_close_s = 30; keepalive_s = 20;\n"
                 "mtu = 1400; approval = \"local\"; };\n";
    static const struct {
        const char *from, *to, *group, *key;
    } changes[] = {
        {"\"eth1\", \"br*\" ];", "\"eth2\" ];", NULL, "firewall.wan"},
        {"paths:", "agent: { may_reach = ( { destination = \"a.test\"; port = 1; } ); };\npaths:",
         NULL, "agent.may_reach"},
        {"\"s\"", "\"t\"", "paths", "paths.state_dir"},
        {"\"r\"", "\"t\"", "paths", "paths.runtime_dir"},
        {"\"7\"", "\"9\"", "access", "access.agent_user"},
        {"\"8\"", "\"9\"", "access", "access.admin_group"},
        {"\"a\"", "\"c\"", "access", "access.allowed_signers"},
        {"\"b\"", "\"c\"", "access", "access.revoked_keys"},
        {"gw-0042", "gw-0043", "tunnel", "tunnel.gateway"},
        {"10.254.1.42", "10.254.1.43", "tunnel", "tunnel.address"},
        {"wireguard.key", "other.key", "tunnel", "tunnel.private_key_file"},
        {"w2h8S6S0", "w2h8S6S1", "tunnel", "tunnel.hub.public_key"},
        {"vpn.example", "hub.example", "tunnel", "tunnel.hub.endpoint"},
        {":443", ":444", "tunnel", "tunnel.hub.endpoint"},
        {"10.254.0.1\"", "10.254.0.2\"", "tunnel", "tunnel.hub.address"},
        {"hub = {", "hub = { preshared_key_file = \"x\";", "tunnel",
         "tunnel.hub.preshared_key_file"},
        {"10.254.0.0/24", "10.254.0.0/25", "tunnel", "tunnel.sources"},
        {"\"ssh\"", "\"tty\"", "tunnel", "tunnel.services.name"},
        {"port = 22;", "port = 23;", "tunnel", "tunnel.services.port"},
        {"\"tcp\"", "\"udp\"", "tunnel", "tunnel.services.protocol"},
        {"192.168.10.5", "192.168.10.6", "tunnel", "tunnel.services.target"},
        {"interface = \"eth1\"", "interface = \"eth2\"", "tunnel", "tunnel.services.interface"},
        {"= 60", "= 61", "tunnel", "tunnel.max_ttl_s"},
        {"= 30", "= 31", "tunnel", "tunnel.idle_close_s"},
        {"= 20", "= 21", "tunnel", "tunnel.keepalive_s"},
        {"1400", "1401", "tunnel", "tunnel.mtu"},
        {"\"local\"", "\"none\"", "tunnel", "tunnel.approval"},
    };
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY, tried = STRBUF_EMPTY;
    struct netd_config *before = load(good, &out);
    CU_ASSERT_PTR_NOT_NULL_FATAL(before);
    for (size_t i = 0; i < ARRAY_LENGTH(changes); i++) {
        CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
        const char *at = strstr(good, changes[i].from);
        CU_ASSERT_PTR_NOT_NULL_FATAL(at);
        strbuf_append(&text, good, (size_t)(at - good));
        strbuf_add(&text, changes[i].to);
        strbuf_add(&text, at + strlen(changes[i].from));
        struct netd_config *after = load(strbuf_text(&text), &out);
        TEST_TEXT_EQUAL(strbuf_text(&out), "");
        CU_ASSERT_PTR_NOT_NULL_FATAL(after);
        const char *group = netd_config_difference(before, after);
        TEST_TEXT_EQUAL(group ? group : "-", changes[i].group ? changes[i].group : "-");
        netd_config_free(after);
        strbuf_addf(&tried, " %s ", changes[i].key);
    }
    netd_config_free(before);
    CU_ASSERT_TRUE(has_each_key(&netd_paths_table, strbuf_text(&tried)));
    CU_ASSERT_TRUE(has_each_key(&netd_access_table, strbuf_text(&tried)));
    CU_ASSERT_TRUE(has_each_key(&netd_tunnel_table, strbuf_text(&tried)));
    CU_ASSERT_TRUE(has_each_key(&netd_hub_table, strbuf_text(&tried)));
    CU_ASSERT_TRUE(has_each_key(&netd_service_table, strbuf_text(&tried)));
}

static void test_manual(void)
{
    CLEANUP(strbuf_free) struct strbuf keys = STRBUF_EMPTY, page = STRBUF_EMPTY;
    netd_reference_manual(&keys);
    CU_ASSERT_EQUAL_FATAL(file_read(SOURCE_FOLDER "/packaging/man/netd.conf.5", 1 << 20, &page), 0);
    bool is_fresh = strstr(strbuf_text(&page), strbuf_text(&keys)) != NULL;
    CU_ASSERT_TRUE(is_fresh);
    if (!is_fresh)
        printf("\npackaging/man/netd.conf.5 is stale: build the target generate-docs\n");
}

TEST_MAIN("netd_config", {"a good file becomes typed values", test_good},
          {"without a tunnel there is only the firewall", test_without_tunnel},
          {"exceptions may be ping or a range of ports", test_exceptions},
          {"every mistake is found and said", test_bad},
          {"names have an upper number", test_many_names},
          {"what has no effect is said", test_no_effect}, {"what the agent may reach", test_agent},
          {"the agent's list has an upper length", test_agent_limits},
          {"the hub by name and by both kinds of address", test_endpoints},
          {"a file that others may write is refused", test_owner},
          {"the shipped example is up to date and loads", test_example},
          {"each key explains itself", test_explain},
          {"what a trial cannot change", test_difference},
          {"netd.conf(5) has every key", test_manual})
