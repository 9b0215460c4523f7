/* Turns IPv4 forwarding of one interface: RTM_SETLINK with IFLA_INET_CONF. */
#include "tunnel/firewall/forwarding.h"

#include "agent/base/descriptor.h"
#include "tunnel/os/netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int set(const char *interface, bool is_on)
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

int forwarding_start(const struct firewall_lease *leases, size_t n_leases, struct strbuf *problem)
{
    for (size_t i = 0; i < n_leases; i++) {
        const char *const both[] = {leases[i].interface, TUNNEL_INTERFACE};
        for (size_t j = 0; leases[i].interface[0] && j < ARRAY_LENGTH(both); j++) {
            int result = set(both[j], true);
            if (result == 0)
                continue;
            strbuf_addf(problem, "forwarding of %s cannot be enabled: %s", both[j],
                        strerror(-result));
            return result;
        }
    }
    return 0;
}

static bool routes_anyway(void)
{
    char digit = '0';
    CLEANUP(descriptor_close)
    int file = open("/proc/sys/net/ipv4/ip_forward", O_RDONLY | O_CLOEXEC);
    return file >= 0 && read(file, &digit, 1) == 1 && digit != '0';
}

void forwarding_stop(const struct tunnel_config *tunnel)
{
    if (routes_anyway())
        return;
    for (size_t i = 0; i < tunnel->n_services; i++) {
        if (tunnel->services[i].is_behind)
            (void)set(tunnel->services[i].interface.text, false); /* it may be gone */
    }
    (void)set(TUNNEL_INTERFACE, false);
}
