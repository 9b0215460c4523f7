/* The machine's interfaces, in a network of its own. */
#include "tunnel/os/rtnl_links.h"

#include "agent/base/descriptor.h"
#include "tests/support/private_network.h"
#include "tests/support/test.h"
#include "tunnel/os/netlink.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>

static const struct rtnl_link_info *find(const struct rtnl_link_list *list, const char *name)
{
    for (size_t i = 0; i < list->length; i++) {
        if (strcmp(list->items[i].name, name) == 0)
            return &list->items[i];
    }
    return NULL;
}

static void test_list(void)
{
    CLEANUP(descriptor_close) int socket = netlink_open(NETLINK_ROUTE, 0);
    struct rtnl_link_list list = {0};
    CU_ASSERT_EQUAL_FATAL(test_ip("link", "add", "here0", "type", "bridge", NULL), 0);
    CU_ASSERT_EQUAL_FATAL(rtnl_links_list(socket, &list), 0);
    const struct rtnl_link_info *made = find(&list, "here0"), *lo = find(&list, "lo");
    CU_ASSERT_PTR_NOT_NULL_FATAL(made);
    CU_ASSERT_PTR_NOT_NULL_FATAL(lo);
    CU_ASSERT_STRING_EQUAL(made->kind, "bridge");
    CU_ASSERT_STRING_EQUAL(lo->kind, "");
    CU_ASSERT_EQUAL(made->index, if_nametoindex("here0"));
    unsigned index = made->index;
    CU_ASSERT_EQUAL(rtnl_link_delete(socket, index), 0);
    CU_ASSERT_EQUAL(if_nametoindex("here0"), 0);
    CU_ASSERT_EQUAL(rtnl_link_delete(socket, index), -ENODEV);
    CU_ASSERT_TRUE(rtnl_link_delete(socket, if_nametoindex("lo")) < 0);
    CU_ASSERT_EQUAL(rtnl_links_list(socket, &list), 0); /* anew, not behind the last */
    CU_ASSERT_PTR_NULL(find(&list, "here0"));
    rtnl_link_list_free(&list);
}

/* Members, VLANs, and what is up. */
static void test_joined(void)
{
    CLEANUP(descriptor_close) int socket = netlink_open(NETLINK_ROUTE, 0);
    struct rtnl_link_list list = {0};
    CU_ASSERT_EQUAL(test_ip("link", "add", "br0", "type", "bridge", NULL), 0);
    CU_ASSERT_EQUAL(test_ip("link", "add", "v0", "type", "veth", "peer", "name", "v1", NULL), 0);
    CU_ASSERT_EQUAL(test_ip("link", "set", "v0", "master", "br0", "up", NULL), 0);
    CU_ASSERT_EQUAL_FATAL(rtnl_links_list(socket, &list), 0);
    const struct rtnl_link_info *bridge = find(&list, "br0"), *member = find(&list, "v0"),
                                *peer = find(&list, "v1");
    CU_ASSERT_TRUE_FATAL(bridge && member && peer);
    CU_ASSERT_EQUAL(member->master, bridge->index);
    CU_ASSERT_EQUAL(member->parent, peer->index);
    CU_ASSERT_EQUAL(bridge->master, 0);
    CU_ASSERT_EQUAL(bridge->parent, 0);
    CU_ASSERT_TRUE(member->is_up);
    CU_ASSERT_FALSE(peer->is_up);
    rtnl_link_list_free(&list);
}

/* A name or a kind that is too long is cut, one that is missing is no interface. */
static void test_message(void)
{
    const struct ifinfomsg header = {.ifi_index = 3};
    const char much[60] = "a-kind-that-is-longer-than-there-is-room-for-it-in-here";
    struct rtnl_link_info link;
    struct netlink_request request;
    const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)request.bytes;
    netlink_begin(&request, RTM_NEWLINK, 0, &header, sizeof(header));
    CU_ASSERT_FALSE(rtnl_link_read(message, &link));
    netlink_put(&request, IFLA_IFNAME, much, sizeof(much));
    size_t info = netlink_nest(&request, IFLA_LINKINFO);
    netlink_put(&request, IFLA_INFO_KIND, much, sizeof(much));
    netlink_nest_end(&request, info);
    CU_ASSERT_TRUE_FATAL(rtnl_link_read(message, &link));
    CU_ASSERT_EQUAL(link.index, 3);
    CU_ASSERT_EQUAL(strlen(link.name), sizeof(link.name) - 1);
    CU_ASSERT_EQUAL(strlen(link.kind), sizeof(link.kind) - 1);
    netlink_begin(&request, RTM_DELLINK, 0, &header, sizeof(header));
    netlink_put(&request, IFLA_IFNAME, "eth0", 5);
    CU_ASSERT_FALSE(rtnl_link_read(message, &link));
    netlink_begin(&request, RTM_NEWLINK, 0, &header, sizeof(header));
    netlink_put(&request, IFLA_IFNAME, "", 1);
    CU_ASSERT_FALSE(rtnl_link_read(message, &link));
}

int main(void)
{
    static const struct test_case cases[] = {
        {"interfaces are listed and deleted", test_list},
        {"what joins interfaces", test_joined},
        {"odd messages are survived", test_message},
    };
    test_private_network();
    return test_main("rtnl_links", cases, sizeof(cases) / sizeof(cases[0]));
}
