/* Which way a packet would leave this machine: RTM_GETROUTE. */
#include "tunnel/os/route.h"

#include "agent/base/descriptor.h"
#include "tunnel/os/netlink.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>

struct route_answer {
    bool is_there, is_unicast, is_local;
    int index;
};

static void take_route(const struct nlmsghdr *message, void *context)
{
    struct route_answer *answer = context;
    const size_t head = NLMSG_LENGTH(sizeof(struct rtmsg));
    struct rtmsg header;
    if (message->nlmsg_type != RTM_NEWROUTE || message->nlmsg_len < head)
        return;
    memcpy(&header, NLMSG_DATA(message), sizeof(header));
    const struct nlattr *out = netlink_find((const uint8_t *)message + NLMSG_ALIGN(head),
                                            message->nlmsg_len - NLMSG_ALIGN(head), RTA_OIF);
    if (!out || netlink_value_bytes(out) != sizeof(answer->index))
        return;
    memcpy(&answer->index, netlink_value(out), sizeof(answer->index));
    answer->is_there = true;
    answer->is_unicast = header.rtm_type == RTN_UNICAST;
    answer->is_local = header.rtm_type == RTN_LOCAL;
}

int route_find(const struct ip_network *host, struct route *ret_route)
{
    CLEANUP(descriptor_close) int socket = netlink_open(NETLINK_ROUTE, 0);
    if (socket < 0)
        return socket;
    const struct rtmsg header = {.rtm_family = (unsigned char)host->family,
                                 .rtm_dst_len = host->prefix};
    struct netlink_request request;
    struct route_answer answer = {0};
    struct route route = {0};
    netlink_begin(&request, RTM_GETROUTE, 0, &header, sizeof(header));
    netlink_put(&request, RTA_DST, host->bytes, host->family == AF_INET6 ? 16 : 4);
    int result = netlink_ask(socket, &request, take_route, &answer);
    if (result < 0)
        return result;
    if (!answer.is_there || !if_indextoname((unsigned)answer.index, route.interface))
        return -ENETUNREACH;
    route.is_unicast = answer.is_unicast;
    route.is_local = answer.is_local;
    *ret_route = route;
    return 0;
}
