/* Routes: RTM_GETROUTE as a dump. */
#include "tunnel/os/rtnl_routes.h"

#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "tunnel/os/netlink.h"

#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static bool is_of_interest(const struct rtmsg *header)
{
    return header->rtm_dst_len > 0 && header->rtm_table == RT_TABLE_MAIN &&
           (header->rtm_flags & RTM_F_CLONED) == 0 &&
           (header->rtm_type == RTN_UNICAST || header->rtm_type == RTN_BLACKHOLE ||
            header->rtm_type == RTN_UNREACHABLE || header->rtm_type == RTN_PROHIBIT);
}

bool rtnl_route_read(const struct nlmsghdr *message, struct rtnl_route *ret_route)
{
    const size_t head = NLMSG_LENGTH(sizeof(struct rtmsg));
    struct rtnl_route route = {0};
    struct rtmsg header;
    if (message->nlmsg_type != RTM_NEWROUTE || message->nlmsg_len < head)
        return false;
    memcpy(&header, NLMSG_DATA(message), sizeof(header));
    const uint8_t *first = (const uint8_t *)message + head;
    size_t length = message->nlmsg_len - head;
    size_t bytes = header.rtm_family == AF_INET6 ? 16 : 4;
    const struct nlattr *to = netlink_find(first, length, RTA_DST);
    const struct nlattr *out = netlink_find(first, length, RTA_OIF);
    int index;
    if ((header.rtm_family != AF_INET && header.rtm_family != AF_INET6) ||
        !is_of_interest(&header) || header.rtm_dst_len > 8 * bytes || !to ||
        netlink_value_bytes(to) != bytes)
        return false;
    route.network = (struct ip_network){.family = header.rtm_family, .prefix = header.rtm_dst_len};
    memcpy(route.network.bytes, netlink_value(to), bytes);
    if (out && netlink_value_bytes(out) == sizeof(index)) {
        memcpy(&index, netlink_value(out), sizeof(index));
        (void)if_indextoname((unsigned)index, route.interface); /* it may have gone meanwhile */
    }
    route.is_connected = header.rtm_type == RTN_UNICAST && out &&
                         !netlink_find(first, length, RTA_GATEWAY) &&
                         !netlink_find(first, length, RTA_VIA);
    *ret_route = route;
    return true;
}

static void rtnl_routes_take(const struct nlmsghdr *message, void *context)
{
    struct rtnl_route_list *list = context;
    struct rtnl_route route;
    if (!rtnl_route_read(message, &route))
        return;
    if (list->length == list->room) {
        list->room = list->room ? 2 * list->room : 16;
        list->items = memory_resize(list->items, list->room, sizeof(*list->items));
    }
    list->items[list->length++] = route;
}

int rtnl_routes_list(struct rtnl_route_list *list)
{
    CLEANUP(descriptor_close) int socket = netlink_open(NETLINK_ROUTE, 0);
    if (socket < 0)
        return socket;
    const struct rtmsg header = {.rtm_family = AF_INET};
    struct netlink_request request;
    list->length = 0;
    netlink_begin(&request, RTM_GETROUTE, NLM_F_DUMP, &header, sizeof(header));
    return netlink_ask(socket, &request, rtnl_routes_take, list);
}

void rtnl_route_list_free(struct rtnl_route_list *list)
{
    free(list->items);
    *list = (struct rtnl_route_list){0};
}
