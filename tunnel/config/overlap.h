/*
 * Whether the addresses of the tunnel are nobody else's. What comes from tunnel.sources, the hub or
 * the gateway's own address in the tunnel is dropped everywhere but in the tunnel, session or not,
 * and nothing is sent there but through it: a network of the plant or the WAN that overlaps with
 * them is cut off. Pure; any thread.
 */
#ifndef SALLYPORT_TUNNEL_CONFIG_OVERLAP_H
#define SALLYPORT_TUNNEL_CONFIG_OVERLAP_H

#include "agent/base/strbuf.h"
#include "config/schema/finding.h"
#include "tunnel/config/netd_settings.h"
#include "tunnel/os/rtnl_routes.h"

/* The tunnel's network that holds a part of NETWORK, with the key that names it; NULL: none. */
const struct ip_network *overlap_find(const struct tunnel_config *tunnel,
                                      const struct ip_network *network, const char **ret_key);

/* Reports what CONFIG itself contradicts, as errors of the file at PATH. */
void overlap_check_config(const struct netd_config *config, const char *path,
                          struct findings *findings);

/*
 * Appends to PROBLEM, for a person, the first of the machine's ROUTES that overlaps, and sets
 * *RET_KEY to the key of netd.conf; returns false when there is none. Routes of the tunnel itself
 * do not count, nor those through a router to more than a network of the tunnel.
 */
bool overlap_with_routes(const struct tunnel_config *tunnel, const struct rtnl_route_list *routes,
                         const char **ret_key, struct strbuf *problem);

/*
 * Whether the routes of a session would take the place of others: one of ROUTES covers all of a
 * network of the tunnel, or HUB (one host: the hub's endpoint) lies in one. Then no session can
 * be opened; appends why to PROBLEM.
 */
bool overlap_bars_session(const struct tunnel_config *tunnel, const struct rtnl_route_list *routes,
                          const struct ip_network *hub, struct strbuf *problem);

#endif
