/* Whether the addresses and interfaces of netd.conf fit this machine and its plant. */
#include "agent/cli/check_machine.h"

#include "agent/base/descriptor.h"
#include "agent/cli/reach.h"
#include "tunnel/config/exposure.h"
#include "tunnel/config/overlap.h"
#include "tunnel/os/netlink.h"

#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

/* ---- The machine ---- */

static int list_links(struct rtnl_link_list *links)
{
    CLEANUP(descriptor_close) int socket = netlink_open(NETLINK_ROUTE, 0);
    return socket < 0 ? socket : rtnl_links_list(socket, links);
}

void check_machine(const struct netd_config *netd, const char *path, struct findings *findings)
{
    CLEANUP(rtnl_link_list_free) struct rtnl_link_list links = {0};
    CLEANUP(rtnl_route_list_free) struct rtnl_route_list routes = {0};
    CLEANUP(strbuf_free) struct strbuf exposure = STRBUF_EMPTY, overlap = STRBUF_EMPTY;
    const struct where where = {path, 0};
    const char *key;
    if (list_links(&links) < 0 || !exposure_is_machine(&netd->firewall, &links))
        return;
    if (exposure_find(&netd->firewall, &links, &exposure))
        findings_add(findings, FINDING_ERROR, where, "firewall", "%s", exposure.data);
    if (rtnl_routes_list(&routes) == 0 &&
        overlap_with_routes(&netd->tunnel, &routes, &key, &overlap))
        findings_add(findings, FINDING_ERROR, where, key, "%s", overlap.data);
}

/* ---- The agent's addresses ---- */

static void check_address(const struct netd_config *netd, const struct reach_need *need,
                          struct findings *findings)
{
    struct ip_network address;
    const char *key;
    char text[IP_NETWORK_TEXT_BYTES];
    if (ip_network_parse(need->host, &address) < 0)
        return;
    const struct ip_network *own = overlap_find(&netd->tunnel, &address, &key);
    if (own)
        findings_add(findings, FINDING_ERROR, need->where, need->key,
                     "%s lies in %s of netd.conf (%s), which only a session's tunnel reaches: "
                     "choose other addresses for the tunnel",
                     need->host, key, ip_network_format(own, text));
}

void check_tunnel_addresses(const struct config *agent, const struct netd_config *netd,
                            struct findings *findings)
{
    CLEANUP(reach_needs_free) struct reach_needs needs;
    reach_needs_make(agent, &needs);
    for (size_t i = 0; i < needs.length; i++)
        check_address(netd, &needs.items[i], findings);
}
