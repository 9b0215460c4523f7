/* Requests built and replies read by hand: lengths that lie, and what the kernel itself answers. */
#include "tunnel/os/netlink.h"

#include "agent/base/descriptor.h"
#include "tests/support/private_network.h"
#include "tests/support/test.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

static void test_building(void)
{
    const struct ifinfomsg header = {.ifi_family = AF_UNSPEC};
    const uint8_t odd[3] = {1, 2, 3};
    struct netlink_request request;
    netlink_begin(&request, RTM_GETLINK, NLM_F_DUMP, &header, sizeof(header));
    netlink_put(&request, 7, odd, sizeof(odd));
    size_t outer = netlink_nest(&request, 8), inner = netlink_nest(&request, 9);
    netlink_put(&request, 10, "text", 5);
    netlink_nest_end(&request, inner);
    netlink_nest_end(&request, outer);
    const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)request.bytes;
    const uint8_t *first = request.bytes + NLMSG_LENGTH(sizeof(header));
    size_t length = message->nlmsg_len - NLMSG_LENGTH(sizeof(header));
    const struct nlattr *found = netlink_find(first, length, 7);
    CU_ASSERT_PTR_NOT_NULL_FATAL(found);
    CU_ASSERT_EQUAL(netlink_value_bytes(found), 3);
    CU_ASSERT_EQUAL(memcmp(netlink_value(found), odd, 3), 0);
    found = netlink_find(first, length, 8); /* the mark of a nest is no part of its type */
    CU_ASSERT_PTR_NOT_NULL_FATAL(found);
    found = netlink_find(netlink_value(found), netlink_value_bytes(found), 9);
    CU_ASSERT_PTR_NOT_NULL_FATAL(found);
    found = netlink_find(netlink_value(found), netlink_value_bytes(found), 10);
    CU_ASSERT_PTR_NOT_NULL_FATAL(found);
    CU_ASSERT_STRING_EQUAL(netlink_value(found), "text");
    CU_ASSERT_PTR_NULL(netlink_find(first, length, 11));
}

static void test_lies(void)
{
    _Alignas(struct nlattr) uint8_t bytes[32] = {0};
    struct nlattr attribute = {.nla_len = 8, .nla_type = 5};
    uint32_t value = 0;
    uint16_t small = 0;
    memcpy(bytes, &attribute, sizeof(attribute));
    memcpy(bytes + 4, (const uint8_t[]){0, 0, 1, 2}, 4);
    CU_ASSERT_EQUAL(netlink_be32(bytes, 8, 5, &value), 0);
    CU_ASSERT_EQUAL(value, 258);
    CU_ASSERT_EQUAL(netlink_be16(bytes, 8, 5, &small), -EBADMSG); /* another size */
    CU_ASSERT_EQUAL(netlink_be32(bytes, 8, 6, &value), -EBADMSG);
    CU_ASSERT_EQUAL(netlink_be32(bytes, 7, 5, &value), -EBADMSG); /* cut short */
    static const uint16_t lies[] = {0, 1, 3, 9, 33, 65535};
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        attribute.nla_len = lies[i];
        memcpy(bytes, &attribute, sizeof(attribute));
        CU_ASSERT_PTR_NULL(netlink_find(bytes, 8, 5));
        CU_ASSERT_PTR_NULL(netlink_find(bytes, 8, 6));
    }
}

static void count(const struct nlmsghdr *message, void *context)
{
    unsigned *links = context;
    *links += message->nlmsg_type == RTM_NEWLINK;
}

static void test_kernel(void)
{
    CLEANUP(descriptor_close) int socket = netlink_open(NETLINK_ROUTE, 0);
    const struct ifinfomsg all = {.ifi_family = AF_UNSPEC};
    const struct ifinfomsg absent = {.ifi_family = AF_UNSPEC, .ifi_index = 4711};
    struct netlink_request request;
    unsigned links = 0;
    CU_ASSERT_TRUE_FATAL(socket >= 0);
    netlink_begin(&request, RTM_GETLINK, NLM_F_DUMP, &all, sizeof(all));
    CU_ASSERT_EQUAL(netlink_ask(socket, &request, count, &links), 0);
    CU_ASSERT_TRUE(links >= 1);
    netlink_begin(&request, RTM_GETLINK, 0, &absent, sizeof(absent));
    CU_ASSERT_EQUAL(netlink_ask(socket, &request, NULL, NULL), -ENODEV);
    /* NLM_F_EXCL is one of the two bits of NLM_F_DUMP, and no dump: it is acknowledged. */
    netlink_begin(&request, RTM_NEWLINK, NLM_F_EXCL, &absent, sizeof(absent));
    CU_ASSERT_EQUAL(netlink_ask(socket, &request, NULL, NULL), -ENODEV);
}

static void test_events(void)
{
    CLEANUP(descriptor_close) int events = netlink_open(NETLINK_ROUTE, RTNLGRP_LINK);
    unsigned links = 0;
    CU_ASSERT_TRUE_FATAL(events >= 0);
    CU_ASSERT_EQUAL(netlink_drain(events, count, &links), 0);
    CU_ASSERT_EQUAL(test_ip("link", "add", "some", "type", "bridge", NULL), 0);
    CU_ASSERT_TRUE(netlink_drain(events, count, &links) > 0);
    CU_ASSERT_TRUE(links > 0);
    CU_ASSERT_EQUAL(test_ip("link", "del", "some", NULL), 0);
}

int main(void)
{
    static const struct test_case cases[] = {
        {"what was put in is found again", test_building},
        {"a length that lies finds nothing", test_lies},
        {"the kernel's answers and refusals arrive", test_kernel},
        {"events are taken", test_events},
    };
    test_private_network();
    return test_main("netlink", cases, sizeof(cases) / sizeof(cases[0]));
}
