/* The machine's routes, in a network of its own. */
#include "tunnel/os/rtnl_routes.h"

#include "tests/support/private_network.h"
#include "tests/support/test.h"
#include "tunnel/os/netlink.h"

#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

static const struct rtnl_route *find(const struct rtnl_route_list *list, const char *network)
{
    char text[IP_NETWORK_TEXT_BYTES];
    for (size_t i = 0; i < list->length; i++) {
        if (strcmp(ip_network_format(&list->items[i].network, text), network) == 0)
            return &list->items[i];
    }
    return NULL;
}

static void test_list(void)
{
    struct rtnl_route_list list = {0};
    CU_ASSERT_EQUAL_FATAL(test_ip("link", "add", "here0", "type", "bridge", NULL), 0);
    CU_ASSERT_EQUAL_FATAL(test_ip("addr", "add", "192.0.2.2/24", "dev", "here0", NULL), 0);
    CU_ASSERT_EQUAL_FATAL(test_ip("link", "set", "here0", "up", NULL), 0);
    CU_ASSERT_EQUAL_FATAL(test_ip("route", "add", "default", "via", "192.0.2.1", NULL), 0);
    CU_ASSERT_EQUAL_FATAL(test_ip("route", "add", "10.0.0.0/8", "via", "192.0.2.1", NULL), 0);
    CU_ASSERT_EQUAL_FATAL(test_ip("route", "add", "prohibit", "10.254.0.0/24", NULL), 0);
    CU_ASSERT_EQUAL_FATAL(rtnl_routes_list(&list), 0);
    const struct rtnl_route *connected = find(&list, "192.0.2.0/24");
    const struct rtnl_route *behind = find(&list, "10.0.0.0/8");
    const struct rtnl_route *prohibited = find(&list, "10.254.0.0/24");
    CU_ASSERT_EQUAL(list.length, 3); /* neither the default route nor local addresses */
    CU_ASSERT_PTR_NOT_NULL_FATAL(connected);
    CU_ASSERT_PTR_NOT_NULL_FATAL(behind);
    CU_ASSERT_PTR_NOT_NULL_FATAL(prohibited);
    CU_ASSERT_TRUE(connected->is_connected);
    CU_ASSERT_STRING_EQUAL(connected->interface, "here0");
    CU_ASSERT_FALSE(behind->is_connected);
    CU_ASSERT_STRING_EQUAL(behind->interface, "here0");
    CU_ASSERT_FALSE(prohibited->is_connected);
    CU_ASSERT_EQUAL(rtnl_routes_list(&list), 0); /* anew, not behind the last */
    CU_ASSERT_EQUAL(list.length, 3);
    rtnl_route_list_free(&list);
}

/* What is not as it should be is no route. */
static void test_message(void)
{
    const uint8_t address[16] = {10, 254};
    const struct {
        uint8_t family, bits, table, type;
        uint16_t bytes;
        bool is_route;
    } table[] = {
        {AF_INET, 24, RT_TABLE_MAIN, RTN_UNICAST, 4, true},
        {AF_INET6, 64, RT_TABLE_MAIN, RTN_UNICAST, 16, true},
        {AF_INET, 33, RT_TABLE_MAIN, RTN_UNICAST, 4, false},
        {AF_INET, 24, RT_TABLE_MAIN, RTN_UNICAST, 3, false},
        {AF_INET, 24, RT_TABLE_MAIN, RTN_UNICAST, 16, false},
        {AF_UNIX, 24, RT_TABLE_MAIN, RTN_UNICAST, 4, false},
        {AF_INET, 0, RT_TABLE_MAIN, RTN_UNICAST, 4, false},
        {AF_INET, 32, RT_TABLE_LOCAL, RTN_LOCAL, 4, false},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct rtmsg header = {.rtm_family = table[i].family,
                                     .rtm_dst_len = table[i].bits,
                                     .rtm_table = table[i].table,
                                     .rtm_type = table[i].type};
        struct netlink_request request;
        struct rtnl_route route;
        const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)request.bytes;
        netlink_begin(&request, RTM_NEWROUTE, 0, &header, sizeof(header));
        CU_ASSERT_FALSE(rtnl_route_read(message, &route)); /* without a destination */
        netlink_put(&request, RTA_DST, address, table[i].bytes);
        CU_ASSERT_EQUAL(rtnl_route_read(message, &route), table[i].is_route);
    }
}

int main(void)
{
    static const struct test_case cases[] = {
        {"the routes of the machine", test_list},
        {"messages", test_message},
    };
    test_private_network();
    return test_main("rtnl_routes", cases, sizeof(cases) / sizeof(cases[0]));
}
