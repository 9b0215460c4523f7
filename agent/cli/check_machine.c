/* Whether the addresses and interfaces of netd.conf fit this machine and its plant. */
#include "agent/cli/check_machine.h"

#include "agent/base/descriptor.h"
#include "config/load/broker_url.h"
#include "config/load/proxy_url.h"
#include "config/schema/option.h"
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

static void check_address(const struct netd_config *netd, const char *host, const char *full_key,
                          struct where where, struct findings *findings)
{
    struct ip_network address;
    const char *key;
    char text[IP_NETWORK_TEXT_BYTES];
    if (!host || ip_network_parse(host, &address) < 0)
        return;
    const struct ip_network *own = overlap_find(&netd->tunnel, &address, &key);
    if (own)
        findings_add(findings, FINDING_ERROR, where, full_key,
                     "%s lies in %s of netd.conf (%s), which only a session's tunnel reaches: "
                     "choose other addresses for the tunnel",
                     host, key, ip_network_format(own, text));
}

/* The key `host` of the bus's driver; NULL: it has none, or it is unset. */
static const char *bus_host(const struct config_bus *bus)
{
    const struct option *row = option_find(&bus->driver->bus, "host");
    const char *host = NULL;
    if (row && row->type == OPTION_TEXT)
        memcpy(&host, (const char *)bus->options + row->offset, sizeof(host));
    return host;
}

static void check_uplink_address(const struct config *agent, const struct netd_config *netd,
                                 const char *key, const char *host, struct findings *findings)
{
    const struct option *row = option_find(&config_uplink_table, key);
    char full_key[80];
    (void)snprintf(full_key, sizeof(full_key), "uplink.%s", key);
    check_address(
        netd, host, full_key,
        (struct where){agent->files[0], agent->uplink_lines[row - config_uplink_table.rows]},
        findings);
}

void check_tunnel_addresses(const struct config *agent, const struct netd_config *netd,
                            struct findings *findings)
{
    struct problem ignored;
    for (size_t i = 0; i < agent->n_buses; i++) {
        char key[80];
        (void)snprintf(key, sizeof(key), "buses.%s.host", agent->buses[i].name);
        check_address(netd, bus_host(&agent->buses[i]), key, agent->buses[i].where, findings);
    }
    for (size_t i = 0; i < agent->uplink.servers.length; i++) {
        struct broker_url server;
        if (broker_url_parse(agent->uplink.servers.items[i], &server, &ignored) == 0)
            check_uplink_address(agent, netd, "servers", server.host, findings);
    }
    struct proxy_url proxy;
    if (agent->uplink.proxy && proxy_url_parse(agent->uplink.proxy, &proxy, &ignored) == 0)
        check_uplink_address(agent, netd, "proxy", proxy.host, findings);
}
