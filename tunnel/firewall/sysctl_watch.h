/*
 * The kernel's sysctls below /proc/sys that would loosen what our rules rely on, or what stands
 * behind them as a second line. Noticed when they become looser than they were, and set back.
 * netd only, main thread only.
 *
 *   ip_forward, IPv6 forwarding    the gateway is no router; our forward chain drops all the same
 *   route_localnet                 127.0.0.0/8 becomes reachable from outside
 *   rp_filter, each interface      the second line behind our own check of source addresses; 1 is
 *                                  strict, 2 loose, 0 none
 *   nf_conntrack_tcp_be_liberal    segments outside the window pass as part of a connection, so
 *                                  that `established` lets in what an attacker guessed blindly
 *   nf_conntrack_helper            (kernels before 6.0) payload of others makes conntrack expect
 *                                  connections; `related` lets in no more than ICMP, but the
 *                                  parsers are attacked code
 *
 * These are required of "all", "default" and each interface, whatever was set before: netd sets
 * them when it first sees the place, and from then on they are watched like the others.
 *
 *   accept_redirects, secure_redirects, shared_media    a redirect turns the gateway's way; the
 * rules let none in, this is the second line send_redirects                 an answer, and the
 * gateway is no router accept_source_route            the sender chooses the way arp_ignore,
 * arp_announce       ARP tells at an interface of its own addresses only: nobody at the WAN learns
 * those of plant and tunnel. Sysctls, not an arp table of nft: that one cannot look up which
 * address an interface has, and addresses come and go. IPv6 does so by itself proxy_arp, proxy_ndp
 * answers for the addresses of others
 *
 * Not watched: nf_conntrack_tcp_loose, which is on by default: the rules themselves let no
 * connection begin in its middle, in neither direction; nf_conntrack_checksum, for the stack checks
 * again; sizes and timeouts, which can deny but not open.
 */
#ifndef SALLYPORT_TUNNEL_FIREWALL_SYSCTL_WATCH_H
#define SALLYPORT_TUNNEL_FIREWALL_SYSCTL_WATCH_H

#include "tunnel/model/event.h"
#include "tunnel/os/rtnl_links.h"

#include <stddef.h>

struct sysctl_watch; /* opaque */

/* PROC_FOLDER: "/proc/sys", or what a test puts in its place. What is set now is taken as right,
 * and what is required is set; a warning in the log says when it cannot be. */
struct sysctl_watch *sysctl_watch_new(const char *proc_folder);
struct sysctl_watch *
sysctl_watch_free(struct sysctl_watch *sysctls); /* accepts NULL, returns NULL */

/* What is set now is taken as right, but for what is required, which is set. */
void sysctl_watch_accept(struct sysctl_watch *sysctls);

/*
 * The sysctls of the whole machine: each that is looser than it was is set back, which EVENT, an
 * EVENT_FIREWALL_TAMPERED, gets as members. Returns how many. One that cannot be set back is told
 * once.
 */
size_t sysctl_watch_look(struct sysctl_watch *sysctls, struct event *event);

/* The same for one interface; it is right as it was when it was first seen. */
size_t sysctl_watch_look_at(struct sysctl_watch *sysctls, const struct rtnl_link_info *link,
                            struct event *event);

/* After each interface was looked at: forgets those that are gone. */
void sysctl_watch_end_look(struct sysctl_watch *sysctls);

#endif
