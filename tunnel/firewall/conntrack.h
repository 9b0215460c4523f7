/*
 * Removes connection tracking entries of leases that ended, so that a later, identical lease
 * starts clean. Not what shuts the tunnel: that is the lease itself. netd only, main thread.
 */
#ifndef SALLYPORT_TUNNEL_FIREWALL_CONNTRACK_H
#define SALLYPORT_TUNNEL_FIREWALL_CONNTRACK_H

#include "tunnel/firewall/firewall.h"

/*
 * Deletes every entry that was begun under one of LEASES. Returns how many, or a negative errno
 * (-EPROTONOSUPPORT, -EOPNOTSUPP and the like: this kernel cannot).
 */
int conntrack_forget(const struct firewall_lease *leases, size_t n_leases);

#endif
