/*
 * The routes of the machine's main table, as rtnetlink tells them. netd and the command line; main
 * thread only.
 */
#ifndef SALLYPORT_TUNNEL_OS_RTNL_ROUTES_H
#define SALLYPORT_TUNNEL_OS_RTNL_ROUTES_H

#include "tunnel/model/address.h"

#include <linux/netlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

struct rtnl_route {
    struct ip_network network;
    char interface[IFNAMSIZ]; /* "" for a blackhole and the like, and for several ways */
    bool is_connected;        /* its hosts are on the link, not behind a router */
};

/*
 * Reads one RTM_NEWROUTE of the main table with unicast, blackhole, unreachable or prohibit as its
 * type. Returns false for any other message, and for a default route.
 */
bool rtnl_route_read(const struct nlmsghdr *message, struct rtnl_route *ret_route);

struct rtnl_route_list {
    struct rtnl_route *items;
    size_t length, room;
};

/* Makes LIST (zeroed before its first use) what is there now, IPv4. 0 or a negative errno. */
int rtnl_routes_list(struct rtnl_route_list *list);
void rtnl_route_list_free(struct rtnl_route_list *list);

#endif
