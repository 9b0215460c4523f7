/*
 * The machine's network interfaces as rtnetlink tells them. netd and the command line; main thread
 * only.
 */
#ifndef SALLYPORT_TUNNEL_OS_RTNL_LINKS_H
#define SALLYPORT_TUNNEL_OS_RTNL_LINKS_H

#include <linux/netlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

struct rtnl_link_info {
    unsigned index;
    char name[IFNAMSIZ];
    char kind[32];   /* "wireguard", "veth", "tun", ...; "" for real hardware */
    unsigned master; /* index of the bridge, bond or VRF that it is a member of; 0: none */
    unsigned parent; /* index of the one that it is a VLAN or the like of; 0: none */
    bool is_up;      /* administratively; a cable may be missing */
};

/* Reads one RTM_NEWLINK. Returns false for any other message, and for one without a name. */
bool rtnl_link_read(const struct nlmsghdr *message, struct rtnl_link_info *ret_link);

struct rtnl_link_list {
    struct rtnl_link_info *items;
    size_t length, room;
};

/* Makes LIST (zeroed before its first use) what is there now; SOCKET is one of NETLINK_ROUTE. 0 or
 * a negative errno. */
int rtnl_links_list(int socket, struct rtnl_link_list *list);
void rtnl_link_list_free(struct rtnl_link_list *list);

/* Deletes an interface. 0 or a negative errno (-EOPNOTSUPP: real hardware). */
int rtnl_link_delete(int socket, unsigned index);

#endif
