/* Destinations of egress = "strict": the hub's and those of names, in the kernel's sets. */
#include "tunnel/firewall/egress_leases.h"

#include "tests/support/nft_fixture.h"
#include "tests/support/private_network.h"
#include "tests/support/test.h"
#include "tunnel/config/netd_config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static struct netd_config *config;
static struct nft_state *rules;
static struct strbuf problem;

static struct sockaddr_storage hub(const char *text, uint16_t port)
{
    struct sockaddr_storage made = {0};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (inet_pton(AF_INET, text, &four.sin_addr) == 1)
        memcpy(&made, &four, sizeof(four));
    else if (inet_pton(AF_INET6, text, &six.sin6_addr) == 1)
        memcpy(&made, &six, sizeof(six));
    return made;
}

static struct egress_lease to(const char *text, uint8_t protocol, uint16_t port,
                              int64_t remaining_ms)
{
    struct egress_lease lease = {.protocol = protocol, .port = port, .remaining_ms = remaining_ms};
    CU_ASSERT_EQUAL(ip_network_parse(text, &lease.destination), 0);
    return lease;
}

/* How long TEXT may be reached, 0: not at all. */
static int64_t left_ms(const char *text, uint8_t protocol, uint16_t port)
{
    struct egress_lease all[FIREWALL_MAX_EGRESS];
    const struct egress_lease wanted = to(text, protocol, port, 1);
    size_t n = nft_state_egress(rules, all, FIREWALL_MAX_EGRESS);
    for (size_t i = 0; i < n; i++) {
        if (egress_lease_equal(&all[i], &wanted))
            return all[i].remaining_ms;
    }
    return 0;
}

static void test_hub(void)
{
    const struct sockaddr_storage first = hub("203.0.113.7", 443), next = hub("2001:db8::7", 443);
    CU_ASSERT_EQUAL(egress_leases_forget_hub(rules, &problem), 0);
    CU_ASSERT_EQUAL(egress_leases_allow_hub(rules, &first, 60000, &problem), 0);
    CU_ASSERT_EQUAL(egress_leases_allow_hub(rules, &next, 60000, &problem), 0);
    CU_ASSERT_TRUE(left_ms("203.0.113.7", IPPROTO_UDP, 443) > 30000);
    CU_ASSERT_TRUE(left_ms("2001:db8::7", IPPROTO_UDP, 443) > 30000);
    CU_ASSERT_EQUAL(egress_leases_allow_hub(rules, &first, 5000, &problem), 0); /* shorter */
    CU_ASSERT_TRUE(left_ms("203.0.113.7", IPPROTO_UDP, 443) <= 5000);
    CU_ASSERT_EQUAL(egress_leases_forget_hub(rules, &problem), 0);
    CU_ASSERT_EQUAL(left_ms("203.0.113.7", IPPROTO_UDP, 443), 0);
    CU_ASSERT_EQUAL(left_ms("2001:db8::7", IPPROTO_UDP, 443), 0);
}

static void test_refused(void)
{
    static const char *const wrong[] = {"127.0.0.1", "224.0.0.1", "0.0.0.0", "ff02::1", "::", ""};
    struct sockaddr_storage bad;
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        bad = hub(wrong[i], 443);
        CU_ASSERT_EQUAL(egress_leases_allow_hub(rules, &bad, 60000, &problem), -EINVAL);
    }
    bad = hub("203.0.113.7", 0);
    CU_ASSERT_EQUAL(egress_leases_allow_hub(rules, &bad, 60000, &problem), -EINVAL);
    bad = hub("203.0.113.7", 443);
    CU_ASSERT_EQUAL(egress_leases_allow_hub(rules, &bad, 0, &problem), -EINVAL);
}

/* What names have and what the hub needs do not take each other's place. */
static void test_together(void)
{
    const struct sockaddr_storage where = hub("203.0.113.7", 443);
    const struct egress_lease names[] = {to("203.0.113.7", IPPROTO_UDP, 443, 20000),
                                         to("198.51.100.9", IPPROTO_TCP, 8883, 20000),
                                         to("198.51.100.10", IPPROTO_TCP, 8883, 0)};
    CU_ASSERT_EQUAL(egress_leases_allow_hub(rules, &where, 60000, &problem), 0);
    CU_ASSERT_EQUAL(egress_leases_set(rules, names, 3, &problem), 0);
    CU_ASSERT_TRUE(left_ms("203.0.113.7", IPPROTO_UDP, 443) > 30000);
    CU_ASSERT_TRUE(left_ms("198.51.100.9", IPPROTO_TCP, 8883) > 10000);
    CU_ASSERT_EQUAL(left_ms("198.51.100.10", IPPROTO_TCP, 8883), 0);
    CU_ASSERT_EQUAL(egress_leases_forget_hub(rules, &problem), 0);
    CU_ASSERT_TRUE(left_ms("203.0.113.7", IPPROTO_UDP, 443) > 0); /* a name has it as well */
    CU_ASSERT_EQUAL(egress_leases_set(rules, NULL, 0, &problem), 0);
    CU_ASSERT_EQUAL(left_ms("198.51.100.9", IPPROTO_TCP, 8883), 0);
}

static void test_too_many(void)
{
    struct egress_lease leases[FIREWALL_MAX_EGRESS + 1];
    for (size_t i = 0; i < ARRAY_LENGTH(leases); i++)
        leases[i] = to("198.51.100.9", IPPROTO_TCP, (uint16_t)(1 + i), 20000);
    CU_ASSERT_EQUAL(egress_leases_set(rules, leases, ARRAY_LENGTH(leases), &problem), -E2BIG);
    CU_ASSERT_EQUAL(egress_leases_set(rules, leases, FIREWALL_MAX_EGRESS, &problem), 0);
    CU_ASSERT_EQUAL(egress_leases_set(rules, NULL, 0, &problem), 0);
}

/* First, for the fixture asserts. */
static void test_start(void)
{
    config = nft_fixture_load("strict");
    CU_ASSERT_EQUAL_FATAL(nft_state_new(&rules), 0);
    CU_ASSERT_EQUAL_FATAL(nft_state_load(rules, config, false, &problem), 0);
}

int main(void)
{
    static const struct test_case cases[] = {
        {"strict rules are loaded", test_start},
        {"the hub may be reached as long as is said, and no longer", test_hub},
        {"what can be no hub is refused", test_refused},
        {"names and hub do not take each other's place", test_together},
        {"too many are refused", test_too_many},
    };
    test_private_network();
    int result = test_main("egress_leases", cases, ARRAY_LENGTH(cases));
    nft_state_free(rules);
    netd_config_free(config);
    strbuf_free(&problem);
    return result;
}
