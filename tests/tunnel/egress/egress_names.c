/* Names: when they are asked for, and how long what they had may be reached. */
#include "tunnel/egress/egress_names.h"

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define S CLOCK_NS_PER_S
#define ALL_NAMES (NETD_MAX_NAMES + NETD_MAX_REACH_NAMES)
#define HOLD_MS 360000 /* 300 s and a fifth */

static struct ip_network host(const char *text)
{
    struct ip_network network;
    CU_ASSERT_EQUAL_FATAL(ip_network_parse(text, &network), 0);
    return network;
}

static struct firewall_config *make_config(size_t n)
{
    static const struct firewall_name wanted[] = {
        {.host = "broker.test", .protocol = IPPROTO_TCP, .port = 8883},
        {.host = "ntp.test", .protocol = IPPROTO_UDP, .port = 123, .is_time = true}};
    struct firewall_config *config = memory_zeroed(1, sizeof(*config));
    config->egress = EGRESS_STRICT;
    config->egress_lease_s = 300;
    config->n_names = n;
    memcpy(config->names, wanted, n * sizeof(wanted[0]));
    return config;
}

static struct egress_names *start(size_t n)
{
    struct firewall_config *config = make_config(n);
    struct egress_names *names = egress_names_new();
    egress_names_follow(names, config, 0);
    free(config);
    return names;
}

/* The time that ADDRESS may still be reached, at any port; 0: not at all. */
static int64_t left_ms(const struct egress_names *names, const char *address, int64_t now_ns)
{
    struct egress_lease leases[EGRESS_NAMES_MAX_LEASES];
    struct ip_network wanted = host(address);
    size_t n = egress_names_leases(names, now_ns, leases);
    for (size_t i = 0; i < n; i++) {
        if (ip_network_equal(&leases[i].destination, &wanted))
            return leases[i].remaining_ms;
    }
    return 0;
}

static bool answer(struct egress_names *names, int name, const char *address, int64_t now_ns)
{
    struct ip_network one = host(address);
    return egress_names_answered(names, name, &one, 1, now_ns);
}

static void test_asked(void)
{
    struct egress_names *names = start(2);
    CU_ASSERT_EQUAL(egress_names_due_ns(names), 0);
    CU_ASSERT_EQUAL(egress_names_next(names, 0), 0);
    CU_ASSERT_EQUAL(egress_names_next(names, 0), 1);
    CU_ASSERT_EQUAL(egress_names_next(names, 1000 * S), -ENOENT); /* both are being asked for */
    CU_ASSERT_EQUAL(egress_names_due_ns(names), INT64_MAX);
    TEST_TEXT_EQUAL(egress_names_get(names, 1).host, "ntp.test");
    CU_ASSERT_EQUAL(egress_names_get(names, 1).port, 123);
    CU_ASSERT_TRUE(answer(names, 0, "203.0.113.1", 1 * S));
    CU_ASSERT_EQUAL(egress_names_due_ns(names), 151 * S); /* half of the lease */
    CU_ASSERT_EQUAL(egress_names_next(names, 151 * S - 1), -ENOENT);
    CU_ASSERT_EQUAL(egress_names_next(names, 151 * S), 0);
    egress_names_free(names);
}

/* 2, 4, 8 ... 150 s; something that changes makes it due at once. */
static void test_failed(void)
{
    struct egress_names *names = start(1);
    const int64_t waits_s[] = {2, 4, 8, 16, 32, 64, 128, 150, 150, 150};
    CU_ASSERT_FALSE(egress_names_get(names, 0).is_known);
    for (unsigned i = 0; i < 10; i++) {
        CU_ASSERT_EQUAL(egress_names_failed(names, 0, 10 * S), i + 1);
        CU_ASSERT_EQUAL(egress_names_due_ns(names), (10 + waits_s[i]) * S);
    }
    egress_names_hurry(names, 11 * S);
    CU_ASSERT_EQUAL(egress_names_next(names, 11 * S), 0);
    CU_ASSERT_TRUE(answer(names, 0, "203.0.113.1", 12 * S));
    CU_ASSERT_EQUAL(egress_names_get(names, 0).failures, 0);
    egress_names_hurry(names, 13 * S);
    CU_ASSERT_EQUAL(egress_names_next(names, 13 * S), -ENOENT); /* it has not failed */
    CU_ASSERT_EQUAL(egress_names_failed(names, 0, 20 * S), 1);
    CU_ASSERT_EQUAL(egress_names_due_ns(names), 22 * S);
    egress_names_free(names);
}

static void test_lease(void)
{
    struct egress_names *names = start(1);
    struct egress_lease leases[EGRESS_NAMES_MAX_LEASES];
    CU_ASSERT_EQUAL(egress_names_leases(names, 0, leases), 0);
    CU_ASSERT_TRUE(answer(names, 0, "203.0.113.1", 0));
    CU_ASSERT_EQUAL_FATAL(egress_names_leases(names, 100 * S, leases), 1);
    CU_ASSERT_EQUAL(leases[0].protocol, IPPROTO_TCP);
    CU_ASSERT_EQUAL(leases[0].port, 8883);
    CU_ASSERT_FALSE(leases[0].is_hub);
    CU_ASSERT_EQUAL(leases[0].remaining_ms, HOLD_MS); /* given anew each time */
    CU_ASSERT_FALSE(answer(names, 0, "203.0.113.1", 150 * S));

    CU_ASSERT_TRUE(answer(names, 0, "203.0.113.2", 300 * S));
    CU_ASSERT_EQUAL(left_ms(names, "203.0.113.2", 300 * S), HOLD_MS);
    CU_ASSERT_EQUAL(left_ms(names, "203.0.113.1", 300 * S), HOLD_MS - 150000); /* since 150 s */
    CU_ASSERT_EQUAL(left_ms(names, "203.0.113.1", 509 * S), 1000);
    CU_ASSERT_EQUAL(left_ms(names, "203.0.113.1", 510 * S), 0);
    CU_ASSERT_TRUE(answer(names, 0, "203.0.113.1", 400 * S)); /* and back */
    CU_ASSERT_EQUAL(left_ms(names, "203.0.113.1", 509 * S), HOLD_MS);
    egress_names_free(names);
}

/* Without a name server the last answer stays, for as long as it takes. */
static void test_last_answer_stays(void)
{
    struct egress_names *names = start(1);
    CU_ASSERT_TRUE(answer(names, 0, "203.0.113.1", 0));
    for (int64_t at = 150; at < 1000000; at += 150)
        (void)egress_names_failed(names, 0, at * S);
    CU_ASSERT_EQUAL(left_ms(names, "203.0.113.1", 1000000 * S), HOLD_MS);
    CU_ASSERT_TRUE(answer(names, 0, "203.0.113.2", 1000000 * S));
    CU_ASSERT_EQUAL(left_ms(names, "203.0.113.1", 1000000 * S), 0); /* last had long ago */
    egress_names_free(names);
}

/* More addresses than are kept: those of the last answer are, however many there were before. */
static void test_many(void)
{
    struct egress_names *names = start(1);
    struct ip_network addresses[2 * EGRESS_NAMES_ADDRESSES];
    struct egress_lease leases[EGRESS_NAMES_MAX_LEASES];
    for (size_t i = 0; i < 2 * EGRESS_NAMES_ADDRESSES; i++) {
        addresses[i] = host("203.0.113.0");
        addresses[i].bytes[3] = (uint8_t)(i + 1);
    }
    for (int64_t i = 0; i < EGRESS_NAMES_ADDRESSES; i++)
        (void)egress_names_answered(names, 0, &addresses[i], 1, i * S);
    CU_ASSERT_EQUAL(egress_names_leases(names, 20 * S, leases), EGRESS_NAMES_ADDRESSES);
    CU_ASSERT_TRUE(egress_names_answered(names, 0, &addresses[EGRESS_NAMES_ADDRESSES],
                                         EGRESS_NAMES_ADDRESSES, 20 * S));
    CU_ASSERT_EQUAL(egress_names_leases(names, 20 * S, leases), EGRESS_NAMES_ADDRESSES);
    CU_ASSERT_EQUAL(left_ms(names, "203.0.113.16", 20 * S), 0);
    CU_ASSERT_EQUAL(left_ms(names, "203.0.113.17", 20 * S), HOLD_MS);
    CU_ASSERT_EQUAL(left_ms(names, "203.0.113.32", 20 * S), HOLD_MS);
    CU_ASSERT_FALSE(egress_names_answered(names, 0, &addresses[EGRESS_NAMES_ADDRESSES],
                                          EGRESS_NAMES_ADDRESSES, 30 * S));
    CU_ASSERT_TRUE(egress_names_answered(names, 0, addresses, 2 * EGRESS_NAMES_ADDRESSES, 40 * S));
    CU_ASSERT_EQUAL(egress_names_leases(names, 40 * S, leases), EGRESS_NAMES_ADDRESSES);
    egress_names_free(names);
}

/* A part of the answer that comes or goes is a change; order and doubles are none. */
static void test_change(void)
{
    struct egress_names *names = start(1);
    struct ip_network both[] = {host("203.0.113.1"), host("203.0.113.2"), host("203.0.113.1")};
    CU_ASSERT_TRUE(egress_names_answered(names, 0, both, 1, 0));
    CU_ASSERT_TRUE(egress_names_answered(names, 0, both, 2, 0));
    CU_ASSERT_FALSE(egress_names_answered(names, 0, both + 1, 2, 0));
    CU_ASSERT_FALSE(egress_names_answered(names, 0, both, 3, 0));
    CU_ASSERT_TRUE(egress_names_answered(names, 0, both + 1, 1, 0));
    CU_ASSERT_TRUE(egress_names_refused(names, 0, &both[0]));
    CU_ASSERT_TRUE(egress_names_refused(names, 0, &both[1]));
    CU_ASSERT_FALSE(egress_names_refused(names, 0, &both[0]));
    CU_ASSERT_FALSE(egress_names_refused(names, 0, &both[1]));
    CU_ASSERT_TRUE(egress_names_refused(names, EGRESS_NAMES_DNS, &both[0]));
    CU_ASSERT_FALSE(egress_names_refused(names, EGRESS_NAMES_DNS, &both[0]));
    for (unsigned i = 0; i < EGRESS_NAMES_ADDRESSES; i++) {
        struct ip_network other = host("198.51.100.0");
        other.bytes[3] = (uint8_t)(i + 1);
        CU_ASSERT_TRUE(egress_names_refused(names, 0, &other));
    }
    CU_ASSERT_TRUE(egress_names_refused(names, 0, &both[0])); /* long ago */
    egress_names_free(names);
}

static void test_dns(void)
{
    struct egress_names *names = start(0);
    struct egress_lease leases[EGRESS_NAMES_MAX_LEASES];
    struct ip_network servers[] = {host("192.0.2.53"), host("2001:db8::53")};
    CU_ASSERT_TRUE(egress_names_have_dns(names, servers, 2, 0));
    CU_ASSERT_FALSE(egress_names_have_dns(names, servers, 2, 5 * S));
    CU_ASSERT_EQUAL_FATAL(egress_names_leases(names, 5 * S, leases), 4);
    unsigned of[256] = {0};
    for (size_t i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(leases[i].port, 53);
        of[leases[i].protocol]++;
    }
    CU_ASSERT_EQUAL(of[IPPROTO_UDP], 2);
    CU_ASSERT_EQUAL(of[IPPROTO_TCP], 2);
    egress_names_free(names);
}

/* Other rules: what stays keeps its answer and is asked for at once, what is gone is gone. */
static void test_follow(void)
{
    struct egress_names *names = start(2);
    struct firewall_config *config = make_config(2);
    struct ip_network server = host("192.0.2.53");
    CU_ASSERT_EQUAL(egress_names_next(names, 0), 0);
    (void)answer(names, 0, "203.0.113.1", 0);
    (void)answer(names, 1, "203.0.113.2", 0);
    (void)egress_names_have_dns(names, &server, 1, 0);
    CU_ASSERT_EQUAL(egress_names_next(names, 200 * S), 0);
    config->names[0].port = 443;
    config->egress_lease_s = 600;
    config->dns_is_fixed = true;
    egress_names_follow(names, config, 200 * S);
    CU_ASSERT_FALSE(egress_names_get(names, 0).is_known);
    CU_ASSERT_EQUAL(left_ms(names, "203.0.113.1", 200 * S), 0);
    CU_ASSERT_EQUAL(left_ms(names, "203.0.113.2", 200 * S), 2 * HOLD_MS);
    CU_ASSERT_EQUAL(left_ms(names, "192.0.2.53", 200 * S), 0);
    CU_ASSERT_EQUAL(egress_names_next(names, 200 * S),
                    0); /* whoever was asked before is forgotten */
    CU_ASSERT_EQUAL(egress_names_next(names, 200 * S), 1);
    free(config);
    egress_names_free(names);
}

/* How many leases for the agent, or for the whole gateway, ADDRESS has. */
static size_t count_for(const struct egress_names *names, const char *address, bool is_agents)
{
    struct egress_lease leases[EGRESS_NAMES_MAX_LEASES];
    struct ip_network wanted = host(address);
    size_t n = egress_names_leases(names, 0, leases), count = 0;
    for (size_t i = 0; i < n; i++)
        count +=
            leases[i].is_agents == is_agents && ip_network_equal(&leases[i].destination, &wanted);
    return count;
}

/* Whom an answer is for: time servers are not the agent's, its own names are nobody else's. */
static void test_for_whom(void)
{
    static const struct {
        int egress;
        bool is_bound;
        size_t all[5], agent[5]; /* broker, time server, device, name servers, local ones */
    } cases[] = {
        {EGRESS_STRICT, true, {1, 1, 0, 2, 0}, {1, 0, 1, 2, 2}},
        {EGRESS_STRICT, false, {1, 1, 0, 2, 0}, {0, 0, 0, 0, 2}},
        {EGRESS_OPEN, true, {0, 0, 0, 0, 0}, {1, 0, 1, 2, 2}},
        {EGRESS_OPEN, false, {0, 0, 0, 0, 0}, {0, 0, 0, 0, 2}},
    };
    static const char *const addresses[] = {"203.0.113.1", "203.0.113.2", "192.168.10.5",
                                            "192.0.2.53", "127.0.0.1"};
    struct egress_names *names = egress_names_new();
    struct firewall_config *config = make_config(2);
    struct ip_network server = host("192.0.2.53"), local = host("127.0.0.1");
    config->names[config->n_names++] = (struct firewall_name){.host = "plc.test",
                                                              .protocol = IPPROTO_TCP,
                                                              .port = 502,
                                                              .side = NETD_SIDE_PLANT,
                                                              .is_agents = true};
    config->agent.is_bound = true;
    egress_names_follow(names, config, 0);
    CU_ASSERT_EQUAL(egress_names_get(names, 2).side, NETD_SIDE_PLANT);
    CU_ASSERT_EQUAL(egress_names_get(names, 0).side, NETD_SIDE_WAN);
    for (int i = 0; i < 3; i++)
        (void)answer(names, i, addresses[i], 0);
    (void)egress_names_have_dns(names, &server, 1, 0);
    (void)egress_names_have_local_dns(names, &local, 1, 0);
    for (size_t i = 0; i < 4; i++) {
        config->egress = cases[i].egress;
        config->agent.is_bound = cases[i].is_bound;
        egress_names_follow(names, config, 0); /* answers outlast a trial of other rules */
        for (size_t j = 0; j < 5; j++) {
            CU_ASSERT_EQUAL(count_for(names, addresses[j], false), cases[i].all[j]);
            CU_ASSERT_EQUAL(count_for(names, addresses[j], true), cases[i].agent[j]);
        }
    }
    CU_ASSERT_EQUAL(egress_names_due_ns(names), INT64_MAX); /* nobody needs a name */
    (void)egress_names_failed(names, 0, 0);
    egress_names_free(names);
    free(config);
}

/* The same name on the other side, or for others, is another one. */
static void test_identity(void)
{
    struct egress_names *names = start(1);
    struct firewall_config *config = make_config(1);
    (void)answer(names, 0, "203.0.113.1", 0);
    config->names[0].side = NETD_SIDE_PLANT;
    egress_names_follow(names, config, 0);
    CU_ASSERT_FALSE(egress_names_get(names, 0).is_known);
    config->names[0].side = NETD_SIDE_WAN;
    config->names[0].is_agents = config->agent.is_bound = true;
    egress_names_follow(names, config, 0);
    CU_ASSERT_FALSE(egress_names_get(names, 0).is_known);
    egress_names_free(names);
    free(config);
}

/* The most that there can be fits into the kernel's sets, the hub beside it. */
static void test_all_full(void)
{
    struct firewall_config *config = memory_zeroed(1, sizeof(*config));
    struct egress_names *names = egress_names_new();
    struct egress_lease leases[EGRESS_NAMES_MAX_LEASES];
    struct ip_network addresses[EGRESS_NAMES_ADDRESSES];
    config->egress = EGRESS_STRICT;
    config->egress_lease_s = 300;
    config->agent.is_bound = true;
    for (config->n_names = 0; config->n_names < ALL_NAMES; config->n_names++)
        config->names[config->n_names] =
            (struct firewall_name){.host = "a.test",
                                   .protocol = IPPROTO_TCP,
                                   .port = (uint16_t)(config->n_names + 1),
                                   .is_agents = config->n_names >= NETD_MAX_NAMES};
    egress_names_follow(names, config, 0);
    for (size_t i = 0; i < EGRESS_NAMES_ADDRESSES; i++) {
        addresses[i] = host("203.0.113.0");
        addresses[i].bytes[3] = (uint8_t)(i + 1);
    }
    (void)egress_names_have_dns(names, addresses, EGRESS_NAMES_ADDRESSES, 0);
    (void)egress_names_have_local_dns(names, addresses, EGRESS_NAMES_ADDRESSES, 0);
    for (int i = 0; i < ALL_NAMES; i++)
        (void)egress_names_answered(names, i, addresses, EGRESS_NAMES_ADDRESSES, 0);
    CU_ASSERT_EQUAL(egress_names_leases(names, 0, leases), EGRESS_NAMES_MAX_LEASES);
    CU_ASSERT_TRUE(EGRESS_NAMES_MAX_LEASES < FIREWALL_MAX_EGRESS);
    free(config);
    egress_names_free(names);
}

TEST_MAIN("names", {"a name is asked for at once, and again after half its lease", test_asked},
          {"without an answer it is asked for soon, then less often", test_failed},
          {"an address may be reached for the lease and a fifth more", test_lease},
          {"the last good answer outlasts the name server", test_last_answer_stays},
          {"the addresses of one name have an upper number", test_many},
          {"a change is told from the same answer", test_change},
          {"name servers are leased over UDP and TCP", test_dns},
          {"other rules bring other names", test_follow}, {"who may use an answer", test_for_whom},
          {"a name of the plant is not the same as one of the WAN", test_identity},
          {"all that there can be fits", test_all_full})
