/* Switches IPv4 forwarding of one interface: RTM_SETLINK with IFLA_INET_CONF. */
#include "tunnel/forwarding.h"

#include "agent/base/descriptor.h"
#include "tunnel/netlink.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

int forwarding_set(const char *interface, bool is_on)
{
    unsigned index = if_nametoindex(interface);
    if (index == 0)
        return -ENODEV;
    CLEANUP(descriptor_close) int socket = netlink_open(NETLINK_ROUTE, 0);
    if (socket < 0)
        return socket;
    const struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = (int)index};
    const uint32_t value = is_on;
    struct netlink_request request;
    netlink_begin(&request, RTM_SETLINK, 0, &header, sizeof(header));
    size_t families = netlink_nest(&request, IFLA_AF_SPEC);
    size_t inet = netlink_nest(&request, AF_INET);
    size_t settings = netlink_nest(&request, IFLA_INET_CONF);
    netlink_put(&request, IPV4_DEVCONF_FORWARDING, &value, sizeof(value));
    netlink_nest_end(&request, settings);
    netlink_nest_end(&request, inet);
    netlink_nest_end(&request, families);
    return netlink_ask(socket, &request, NULL, NULL);
}
