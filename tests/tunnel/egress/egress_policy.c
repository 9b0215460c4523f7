/* What a name server's answer may not be; and the kernel's word on where an address leads. */
#include "tunnel/egress/egress_policy.h"

#include "agent/base/macros.h"
#include "tests/support/private_network.h"
#include "tests/support/test.h"
#include "tunnel/os/route.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct ip_network network(const char *text)
{
    struct ip_network parsed;
    CU_ASSERT_EQUAL_FATAL(ip_network_parse(text, &parsed), 0);
    return parsed;
}

static const char *objection(const char *address, int side)
{
    struct firewall_config firewall = {.plant = {{"plant0"}, {"br*"}}, .n_plant = 2};
    struct tunnel_config tunnel = {.address = network("10.254.1.42"),
                                   .hub = {.address = network("10.255.0.1")},
                                   .sources = {network("10.254.0.0/24")},
                                   .n_sources = 1};
    struct ip_network host = network(address);
    struct route route;
    int found = route_find(&host, &route);
    CU_ASSERT_TRUE(found == 0 || found == -ENETUNREACH);
    const char *why =
        egress_policy_objection(&host, side, found == 0 ? &route : NULL, &firewall, &tunnel);
    return why ? why : "none";
}

static void make_networks(void)
{
    static const char *const links[][2] = {{"wan0", "192.0.2.2/24"},
                                           {"plant0", "192.168.10.1/24"},
                                           {"br7", "192.168.77.1/24"},
                                           {"spt0", "10.99.0.1/24"}};
    for (size_t i = 0; i < ARRAY_LENGTH(links); i++) {
        const char *name = links[i][0];
        char peer[16];
        (void)snprintf(peer, sizeof(peer), "%s-far", name);
        CU_ASSERT_EQUAL(test_ip("link", "add", name, "type", "veth", "peer", "name", peer, NULL),
                        0);
        CU_ASSERT_EQUAL(test_ip("addr", "add", links[i][1], "dev", name, NULL), 0);
        CU_ASSERT_EQUAL(test_ip("link", "set", name, "up", NULL), 0);
        CU_ASSERT_EQUAL(test_ip("link", "set", peer, "up", NULL), 0);
    }
    CU_ASSERT_EQUAL(test_ip("addr", "add", "2001:db8:1::2/64", "dev", "wan0", "nodad", NULL), 0);
    CU_ASSERT_EQUAL(test_ip("addr", "add", "fd00:10::1/64", "dev", "plant0", "nodad", NULL), 0);
    CU_ASSERT_EQUAL(test_ip("route", "add", "10.20.0.0/16", "via", "192.168.10.254", NULL), 0);
    CU_ASSERT_EQUAL(test_ip("route", "add", "default", "via", "192.0.2.1", NULL), 0);
}

static void test_answers(void)
{
    static const struct {
        const char *address, *why;
    } cases[] = {
        {"203.0.113.7", "none"}, /* by the default route */
        {"192.0.2.9", "none"},
        {"2001:db8:1::9", "none"},
        {"2001:db8:ffff::9", "none"}, /* no route at all: harmless */
        {"127.0.0.1", "loopback"},
        {"127.1.2.3", "loopback"},
        {"::1", "loopback"},
        {"0.0.0.0", "loopback"},
        {"224.0.0.251", "multicast"},
        {"255.255.255.255", "multicast"},
        {"ff02::fb", "multicast"},
        {"169.254.169.254", "link-local"},
        {"fe80::1", "link-local"},
        {"::ffff:127.0.0.1", "disguise"},
        {"::ffff:203.0.113.7", "disguise"},
        {"::192.168.10.5", "disguise"},
        {"10.254.0.7", "inside the tunnel"},
        {"10.254.1.42", "inside the tunnel"},
        {"10.255.0.1", "inside the tunnel"},
        {"10.99.0.9", "inside the tunnel"}, /* of a session: a route leads there */
        {"192.0.2.2", "this gateway itself"},
        {"192.168.10.1", "this gateway itself"},
        {"192.168.10.255", "this gateway itself"},
        {"192.168.10.5", "in the plant"},
        {"10.20.30.40", "in the plant"}, /* behind a router there */
        {"192.168.77.5", "in the plant"},
        {"fd00:10::5", "in the plant"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        TEST_CONTAINS(objection(cases[i].address, NETD_SIDE_WAN), cases[i].why);
}

/* A name of which root said that it is a device in the plant. */
static void test_plant(void)
{
    static const struct {
        const char *address, *why;
    } cases[] = {
        {"192.168.10.5", "none"},
        {"10.20.30.40", "none"}, /* behind a router there */
        {"192.168.77.5", "none"},
        {"fd00:10::5", "none"},
        {"203.0.113.7", "not lie in the plant"},
        {"2001:db8:ffff::9", "not lie in the plant"}, /* no route at all */
        {"127.0.0.1", "loopback"},
        {"::1", "loopback"},
        {"224.0.0.251", "multicast"},
        {"169.254.169.254", "link-local"},
        {"::ffff:192.168.10.5", "disguise"},
        {"10.254.0.7", "inside the tunnel"},
        {"192.168.10.1", "this gateway itself"},
        {"192.168.10.255", "this gateway itself"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        TEST_CONTAINS(objection(cases[i].address, NETD_SIDE_PLANT), cases[i].why);
}

static void test_route(void)
{
    struct ip_network host = network("203.0.113.7");
    struct route route = {.interface = "untouched"};
    CU_ASSERT_EQUAL(route_find(&host, &route), 0);
    TEST_TEXT_EQUAL(route.interface, "wan0");
    CU_ASSERT_TRUE(route.is_unicast);
    CU_ASSERT_FALSE(route.is_local);
    host = network("192.168.10.1");
    CU_ASSERT_EQUAL(route_find(&host, &route), 0);
    CU_ASSERT_TRUE(route.is_local);
    host = network("192.168.10.255");
    CU_ASSERT_EQUAL(route_find(&host, &route), 0);
    CU_ASSERT_FALSE(route.is_local);
    CU_ASSERT_EQUAL(test_ip("route", "add", "blackhole", "198.51.100.0/24", NULL), 0);
    host = network("198.51.100.1");
    memset(&route, 0, sizeof(route));
    CU_ASSERT_TRUE(route_find(&host, &route) < 0);
    TEST_TEXT_EQUAL(route.interface, "");
}

int main(void)
{
    static const struct test_case cases[] = {
        {"a wan and two plant interfaces", make_networks},
        {"answers that lead inside are refused", test_answers},
        {"a device in the plant is nowhere else", test_plant},
        {"the kernel is asked for the way", test_route},
    };
    test_private_network();
    return test_main("answer", cases, ARRAY_LENGTH(cases));
}
