/* Leases as values: when two are the same, and what is left of many. */
#include "tunnel/model/lease.h"

#include "agent/base/macros.h"
#include "tests/support/test.h"

#include <netinet/in.h>
#include <string.h>

static struct firewall_lease lease(const char *source, const char *destination, uint16_t port,
                                   const char *interface)
{
    struct firewall_lease made = {.protocol = IPPROTO_TCP, .port = port};
    CU_ASSERT_EQUAL(ip_network_parse(source, &made.source), 0);
    CU_ASSERT_EQUAL(ip_network_parse(destination, &made.destination), 0);
    strcpy(made.interface, interface);
    return made;
}

static void test_equal(void)
{
    const struct firewall_lease one = lease("10.254.0.0/24", "192.168.10.5", 502, "eth1");
    const struct firewall_lease others[] = {
        lease("10.254.0.0/24", "192.168.10.6", 502, "eth1"),
        lease("10.254.0.0/24", "192.168.10.5", 503, "eth1"),
        lease("10.254.0.0/24", "192.168.10.5", 502, "eth2"),
        lease("10.254.0.0/24", "192.168.10.5", 502, ""),
    };
    const struct firewall_lease elsewhere = lease("10.254.0.0/25", "192.168.10.5", 502, "eth1");
    struct firewall_lease udp = one;
    udp.protocol = IPPROTO_UDP;
    CU_ASSERT_TRUE(firewall_lease_equal(&one, &one));
    CU_ASSERT_FALSE(firewall_lease_equal(&one, &elsewhere));
    CU_ASSERT_TRUE(firewall_lease_is_same_place(&one, &elsewhere));
    CU_ASSERT_FALSE(firewall_lease_is_same_place(&one, &udp));
    for (size_t i = 0; i < ARRAY_LENGTH(others); i++) {
        CU_ASSERT_FALSE(firewall_lease_equal(&one, &others[i]));
        CU_ASSERT_FALSE(firewall_lease_is_same_place(&one, &others[i]));
    }
}

static void test_egress(void)
{
    struct egress_lease one = {.protocol = IPPROTO_UDP, .port = 443, .remaining_ms = 5}, other;
    CU_ASSERT_EQUAL(ip_network_parse("203.0.113.7", &one.destination), 0);
    other = one;
    other.is_hub = true;
    other.remaining_ms = 9;
    CU_ASSERT_TRUE(egress_lease_equal(&one, &other)); /* the same place */
    other.is_agents = true;
    CU_ASSERT_FALSE(egress_lease_equal(&one, &other)); /* for others */
    other.is_agents = false;
    other.port = 444;
    CU_ASSERT_FALSE(egress_lease_equal(&one, &other));
    other = one;
    other.protocol = IPPROTO_TCP;
    CU_ASSERT_FALSE(egress_lease_equal(&one, &other));
}

static void test_left(void)
{
    struct firewall_lease_state all[] = {{.remaining_ms = 0, .bytes = 1},
                                         {.remaining_ms = 5, .bytes = 2},
                                         {.remaining_ms = -3, .bytes = 3},
                                         {.remaining_ms = 1, .bytes = 4}};
    CU_ASSERT_EQUAL(firewall_leases_left(all, 4), 2);
    CU_ASSERT_EQUAL(all[0].bytes, 2);
    CU_ASSERT_EQUAL(all[1].bytes, 4);
    CU_ASSERT_EQUAL(firewall_leases_left(all, 0), 0);
}

TEST_MAIN("lease", {"every part of its key makes a lease another one", test_equal},
          {"a destination is its place, however long", test_egress},
          {"what ran out is dropped", test_left})
