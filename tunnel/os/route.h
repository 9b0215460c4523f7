/* Which way a packet would leave this machine, by the kernel's word. netd only; main thread. */
#ifndef SALLYPORT_TUNNEL_OS_ROUTE_H
#define SALLYPORT_TUNNEL_OS_ROUTE_H

#include "tunnel/model/address.h"

#include <net/if.h>

struct route {
    bool is_unicast; /* false for our own addresses, broadcast, multicast and blackholes */
    bool is_local;   /* an address of this machine */
    char interface[IFNAMSIZ];
};

/* The route to HOST, one address. 0, -ENETUNREACH for none, or another negative errno. */
int route_find(const struct ip_network *host, struct route *ret_route);

#endif
