/* IP networks as typed values. */
#include "tunnel/model/address.h"

#include "agent/base/macros.h"
#include "tests/support/test.h"

static struct ip_network parse(const char *text)
{
    struct ip_network network = {0};
    CU_ASSERT_EQUAL(ip_network_parse(text, &network), 0);
    return network;
}

static void test_round_trip(void)
{
    static const char *const texts[] = {"192.168.10.20", "10.0.0.0/8", "0.0.0.0/0",
                                        "2001:db8::1",   "fe80::/10",  "2001:db8::/33",
                                        "::/0",          "10.1.2.2/31"};
    char text[IP_NETWORK_TEXT_BYTES];
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        struct ip_network network = parse(texts[i]);
        TEST_TEXT_EQUAL(ip_network_format(&network, text), texts[i]);
    }
    struct ip_network host = parse("192.168.10.20/32");
    TEST_TEXT_EQUAL(ip_network_format(&host, text), "192.168.10.20");
}

static void test_refused(void)
{
    static const char *const texts[] = {"",
                                        "10.0.0.1/8",
                                        "10.0.0.0/33",
                                        "10.0.0.0/",
                                        "10.0.0.0/-1",
                                        "10.0.0.0/08",
                                        "10.0.0",
                                        " 10.0.0.1",
                                        "10.0.0.1 ",
                                        "hub.example",
                                        "::1/129",
                                        "2001:db8::1/64",
                                        "1.2.3.4/32/32",
                                        "fe80::1%eth0",
                                        "10.0.0.0/4294967304"};
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        struct ip_network network;
        CU_ASSERT_NOT_EQUAL(ip_network_parse(texts[i], &network), 0);
    }
}

static void test_inside(void)
{
    struct ip_network net = parse("10.254.0.0/15"), in = parse("10.255.3.0/24"),
                      out = parse("10.0.0.0/8"), other = parse("10.252.0.1"), six = parse("::/0");
    CU_ASSERT_TRUE(ip_network_contains(&net, &in));
    CU_ASSERT_TRUE(ip_network_contains(&net, &net));
    struct ip_network same = parse("10.254.0.0/15");
    CU_ASSERT_TRUE(ip_network_equal(&net, &same));
    CU_ASSERT_FALSE(ip_network_equal(&net, &in));
    same.prefix = 16;
    CU_ASSERT_FALSE(ip_network_equal(&net, &same));
    CU_ASSERT_FALSE(ip_network_contains(&net, &out));
    CU_ASSERT_FALSE(ip_network_contains(&net, &other));
    CU_ASSERT_FALSE(ip_network_contains(&six, &in));
}

static void test_unicast(void)
{
    static const char *const good[] = {"10.0.0.1", "192.168.1.255", "2001:db8::1", "fe80::1"};
    static const char *const bad[] = {"127.0.0.1",       "0.0.0.0", "224.0.0.1", "239.255.255.250",
                                      "255.255.255.255", "::",      "::1",       "ff02::1",
                                      "10.0.0.0/24"};
    for (size_t i = 0; i < ARRAY_LENGTH(good); i++) {
        struct ip_network host = parse(good[i]);
        CU_ASSERT_TRUE(ip_network_is_unicast_host(&host));
    }
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        struct ip_network host = parse(bad[i]);
        CU_ASSERT_FALSE(ip_network_is_unicast_host(&host));
    }
}

TEST_MAIN("address", {"what is read is written back", test_round_trip},
          {"half a network, names and host bits are refused", test_refused},
          {"one network inside another", test_inside},
          {"loopback, multicast and networks are no destination", test_unicast})
