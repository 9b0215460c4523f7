/* What a name server's answer may not be. */
#include "tunnel/egress/egress_policy.h"

#include "agent/base/macros.h"

#include <string.h>

static bool is_link_local(const struct ip_network *address)
{
    /* RFC 3927 2.1; RFC 4291 2.5.6 */
    static const char *const ranges[] = {"169.254.0.0/16", "fe80::/10"};
    for (size_t i = 0; i < ARRAY_LENGTH(ranges); i++) {
        struct ip_network range;
        if (ip_network_parse(ranges[i], &range) == 0 && ip_network_contains(&range, address))
            return true;
    }
    return false;
}

/* An IPv4 address that hides in an IPv6 one would be judged by the wrong rules: RFC 4291 2.5.5. */
static bool is_disguised(const struct ip_network *address)
{
    static const uint8_t compatible[12] = {0}, mapped[12] = {[10] = 0xff, [11] = 0xff};
    return address->family == AF_INET6 &&
           (memcmp(address->bytes, compatible, 12) == 0 || memcmp(address->bytes, mapped, 12) == 0);
}

static bool is_in_tunnel(const struct ip_network *address, const struct tunnel_config *tunnel)
{
    for (size_t i = 0; i < tunnel->n_sources; i++) {
        if (ip_network_contains(&tunnel->sources[i], address))
            return true;
    }
    return ip_network_equal(&tunnel->address, address) ||
           ip_network_equal(&tunnel->hub.address, address);
}

static bool is_plant(const char *interface, const struct firewall_config *config)
{
    for (size_t i = 0; i < config->n_plant; i++) {
        const char *text = config->plant[i].text;
        size_t length = strlen(text);
        bool is_pattern = length > 0 && text[length - 1] == '*';
        if (is_pattern ? strncmp(interface, text, length - 1) == 0 : strcmp(interface, text) == 0)
            return true;
    }
    return false;
}

const char *egress_policy_objection(const struct ip_network *address, int side,
                                    const struct route *route, const struct firewall_config *plant,
                                    const struct tunnel_config *tunnel)
{
    if (!ip_network_is_unicast_host(address))
        return "it is loopback, multicast or no address of a host";
    if (is_link_local(address))
        return "it is link-local";
    if (is_disguised(address))
        return "it is an IPv4 address in disguise";
    if (is_in_tunnel(address, tunnel))
        return "it lies inside the tunnel";
    if (route && !route->is_unicast)
        return "it is an address of this gateway itself, or of everybody";
    if (route && strncmp(route->interface, "spt", 3) == 0)
        return "it lies inside the tunnel";
    bool is_in_plant = route && is_plant(route->interface, plant);
    if (side == NETD_SIDE_PLANT)
        return is_in_plant ? NULL : "it does not lie in the plant";
    return is_in_plant ? "it lies in the plant" : NULL;
}
