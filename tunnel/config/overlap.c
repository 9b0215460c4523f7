/* The tunnel's networks against all others. */
#include "tunnel/config/overlap.h"

#include "agent/base/macros.h"
#include "tunnel/model/lease.h"

#include <stdio.h>
#include <string.h>

#define MAX_OWN (NETD_MAX_SOURCES + 2)

/* A network of the tunnel, and what it is called in netd.conf. */
struct own {
    const struct ip_network *network;
    const char *key;
};

static size_t list_own(const struct tunnel_config *tunnel, struct own own[MAX_OWN])
{
    size_t n = 0;
    for (size_t i = 0; i < tunnel->n_sources; i++)
        own[n++] = (struct own){&tunnel->sources[i], "tunnel.sources"};
    own[n++] = (struct own){&tunnel->hub.address, "tunnel.hub.address"};
    own[n++] = (struct own){&tunnel->address, "tunnel.address"};
    return n;
}

static bool overlaps(const struct ip_network *a, const struct ip_network *b)
{
    return a->family == b->family && (ip_network_contains(a, b) || ip_network_contains(b, a));
}

const struct ip_network *overlap_find(const struct tunnel_config *tunnel,
                                      const struct ip_network *network, const char **ret_key)
{
    struct own own[MAX_OWN];
    size_t n = tunnel->is_configured ? list_own(tunnel, own) : 0;
    for (size_t i = 0; i < n; i++) {
        if (!overlaps(own[i].network, network))
            continue;
        *ret_key = own[i].key;
        return own[i].network;
    }
    return NULL;
}

/* ---- Within netd.conf ---- */

static void report(const struct netd_config *config, const struct ip_network *network,
                   const char *what, const char *path, struct findings *findings)
{
    const char *key;
    char theirs[IP_NETWORK_TEXT_BYTES], ours[IP_NETWORK_TEXT_BYTES];
    /* "Anybody" is no place: the tunnel's addresses never come that way. */
    if (network->prefix == 0)
        return;
    const struct ip_network *own = overlap_find(&config->tunnel, network, &key);
    if (own)
        findings_add(findings, FINDING_ERROR, (struct where){path, 0}, key,
                     "%s overlaps with %s of %s: only the tunnel reaches it; choose other "
                     "addresses for the tunnel",
                     ip_network_format(own, ours), ip_network_format(network, theirs), what);
}

void overlap_check_config(const struct netd_config *config, const char *path,
                          struct findings *findings)
{
    const struct firewall_config *firewall = &config->firewall;
    struct ip_network hub;
    for (size_t i = 0; i < firewall->n_exceptions; i++)
        report(config, &firewall->exceptions[i].source, "firewall.exceptions", path, findings);
    for (size_t i = 0; i < firewall->n_allow; i++)
        report(config, &firewall->allow[i].destination, "firewall.egress_allow, dns or ntp", path,
               findings);
    for (size_t i = 0; i < firewall->agent.n_reach; i++)
        report(config, &firewall->agent.reach[i].destination, "agent.may_reach", path, findings);
    if (config->tunnel.is_configured &&
        ip_network_parse(config->tunnel.hub.endpoint_host, &hub) == 0)
        report(config, &hub, "tunnel.hub.endpoint", path, findings);
}

/* ---- With the machine's routes ---- */

/*
 * Whether ROUTE, of others, and OWN are in each other's way. A route through a router to more than
 * OWN, as the default route is one, does not say that anything is there.
 */
static bool is_in_the_way(const struct rtnl_route *route, const struct ip_network *own)
{
    return strncmp(route->interface, "spt", 3) != 0 &&
           (ip_network_contains(own, &route->network) ||
            (route->is_connected && ip_network_contains(&route->network, own)));
}

bool overlap_with_routes(const struct tunnel_config *tunnel, const struct rtnl_route_list *routes,
                         const char **ret_key, struct strbuf *problem)
{
    struct own own[MAX_OWN];
    char theirs[IP_NETWORK_TEXT_BYTES], ours[IP_NETWORK_TEXT_BYTES];
    size_t n = tunnel->is_configured ? list_own(tunnel, own) : 0;
    for (size_t i = 0; i < n * routes->length; i++) {
        const struct own *mine = &own[i % n];
        const struct rtnl_route *route = &routes->items[i / n];
        if (!is_in_the_way(route, mine->network))
            continue;
        *ret_key = mine->key;
        strbuf_addf(problem,
                    "%s overlaps with %s, which this machine reaches through %s: everything from "
                    "there is dropped, session or not; choose other addresses for the tunnel",
                    ip_network_format(mine->network, ours),
                    ip_network_format(&route->network, theirs),
                    route->interface[0] ? route->interface : "a route without interface");
        return true;
    }
    return false;
}

/* A route to a part of OWN goes on working; one to all of it would lose to the tunnel's. */
static const struct rtnl_route *find_loser(const struct rtnl_route_list *routes,
                                           const struct ip_network *own)
{
    for (size_t i = 0; i < routes->length; i++) {
        const struct rtnl_route *route = &routes->items[i];
        if (is_in_the_way(route, own) && ip_network_contains(&route->network, own))
            return route;
    }
    return NULL;
}

bool overlap_bars_session(const struct tunnel_config *tunnel, const struct rtnl_route_list *routes,
                          const struct ip_network *hub, struct strbuf *problem)
{
    struct own own[MAX_OWN];
    char ours[IP_NETWORK_TEXT_BYTES], theirs[IP_NETWORK_TEXT_BYTES];
    size_t n = list_own(tunnel, own);
    for (size_t i = 0; i < n; i++) {
        const struct rtnl_route *loser = find_loser(routes, own[i].network);
        (void)ip_network_format(own[i].network, ours);
        if (loser)
            strbuf_addf(problem, "%s %s would take the place of the route to %s at %s", own[i].key,
                        ours, ip_network_format(&loser->network, theirs), loser->interface);
        else if (ip_network_contains(own[i].network, hub))
            strbuf_addf(problem, "the hub's endpoint %s lies in %s %s",
                        ip_network_format(hub, theirs), own[i].key, ours);
        if (problem->length > 0)
            return true;
    }
    return false;
}
