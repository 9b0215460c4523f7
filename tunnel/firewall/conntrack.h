/*
 * Removes entries of the kernel's connection tracking: those of leases that ended, so that a later,
 * identical lease starts clean, and those of connections that this machine did not begin. netd
 * only, main thread.
 */
#ifndef SALLYPORT_TUNNEL_FIREWALL_CONNTRACK_H
#define SALLYPORT_TUNNEL_FIREWALL_CONNTRACK_H

#include "tunnel/model/lease.h"

#include <stddef.h>

/*
 * Deletes every entry that was begun under one of LEASES. Returns how many, or a negative errno
 * (-EPROTONOSUPPORT, -EOPNOTSUPP and the like: this kernel cannot).
 */
int conntrack_forget(const struct firewall_lease_state *leases, size_t n_leases);

/*
 * Deletes the entries of TCP and SCTP connections that this machine did not begin, other than those
 * under one of KEPT: from then on the rules judge their packets, and let none begin a connection
 * but with a SYN or INIT. What this machine began is kept if the kernel saw it begin: an entry of
 * TCP that was made in the middle of a connection goes, whoever it says began it. With IS_OPEN (no
 * rules of ours were loaded until now) every entry of SCTP goes, which does not tell, and every one
 * of IPv6 that says that this machine began it, but for connections of TCP that it has a socket of:
 * anybody can have written its address.
 *
 * Entries of UDP and of other protocols without a beginning stay: as long as there is one, the
 * rules know that a stranger began it, and pass nothing of it; without it the next datagram that
 * this machine sends would make the flow its own.
 *
 * Returns how many were deleted, or a negative errno as conntrack_forget().
 */
int conntrack_cut(const struct firewall_lease_state *kept, size_t n_kept, bool is_open);

#endif
