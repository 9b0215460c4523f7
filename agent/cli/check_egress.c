/* Whether egress = "strict" lets the agent reach its broker or proxy. */
#include "agent/cli/check_egress.h"

#include "config/load/broker_url.h"
#include "config/load/proxy_url.h"
#include "config/schema/option.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* A name may resolve to any address that egress_allow lists with its port: only DNS could tell. */
static bool is_allowed(const struct firewall_config *firewall, const char *host, uint16_t port)
{
    struct ip_network address;
    bool is_address = ip_network_parse(host, &address) == 0;
    for (size_t i = 0; i < firewall->n_names; i++) {
        const struct firewall_name *name = &firewall->names[i];
        if (name->protocol == IPPROTO_TCP && name->port == port &&
            strcasecmp(name->host, host) == 0)
            return true;
    }
    for (size_t i = 0; i < firewall->n_allow; i++) {
        const struct firewall_egress *allow = &firewall->allow[i];
        if (allow->protocol == IPPROTO_TCP && allow->port == port &&
            (!is_address || ip_network_contains(&allow->destination, &address)))
            return true;
    }
    return false;
}

static bool is_this_machine(const char *host)
{
    struct ip_network address;
    return strcasecmp(host, "localhost") == 0 ||
           (ip_network_parse(host, &address) == 0 && !ip_network_is_unicast_host(&address));
}

static void check_host(const struct config *agent, const char *key, const char *host, uint16_t port,
                       const struct netd_config *netd, struct findings *findings)
{
    const struct option *row = option_find(&config_uplink_table, key);
    const struct where where = {agent->files[0],
                                agent->uplink_lines[row - config_uplink_table.rows]};
    char full_key[80];
    (void)snprintf(full_key, sizeof(full_key), "uplink.%s", key);
    if (!is_this_machine(host) && !is_allowed(&netd->firewall, host, port))
        findings_add(findings, FINDING_WARNING, where, full_key,
                     "%s port %u is not in firewall.egress_allow of netd.conf: with egress = "
                     "\"strict\" the agent cannot reach it, unless it is in a plant network",
                     host, port);
}

void check_egress(const struct config *agent, const struct netd_config *netd,
                  struct findings *findings)
{
    struct proxy_url proxy;
    struct problem ignored;
    if (netd->firewall.egress != EGRESS_STRICT)
        return;
    if (agent->uplink.proxy) { /* which is all that the agent connects to then */
        if (proxy_url_parse(agent->uplink.proxy, &proxy, &ignored) == 0)
            check_host(agent, "proxy", proxy.host, proxy.port, netd, findings);
        return;
    }
    for (size_t i = 0; i < agent->uplink.servers.length; i++) {
        struct broker_url server;
        struct problem problem = {0};
        if (broker_url_parse(agent->uplink.servers.items[i], &server, &problem) == 0)
            check_host(agent, "servers", server.host, server.port, netd, findings);
    }
}
