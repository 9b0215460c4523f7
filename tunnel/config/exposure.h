/*
 * Whether the machine's interfaces are what netd.conf takes them for. The rules judge packets by
 * the interface that they come in at. They see nothing of what a bridge passes from one of its
 * members to the other, and give no promise for an interface that nobody has put on a side. Pure;
 * any thread.
 */
#ifndef SALLYPORT_TUNNEL_CONFIG_EXPOSURE_H
#define SALLYPORT_TUNNEL_CONFIG_EXPOSURE_H

#include "agent/base/strbuf.h"
#include "tunnel/config/netd_settings.h"
#include "tunnel/os/rtnl_links.h"

/*
 * Appends to PROBLEM, for a person, what is wrong first, and returns true:
 * - a bridge, a bond, a VLAN, a macvlan or a veth pair joins an interface of the WAN with one of
 * the plant, directly or through others (two VLANs of the same wire are apart);
 * - an interface that is up and that packets come in at is neither in firewall.wan nor in
 *   firewall.plant. For a member of a bridge or bond that one counts.
 * Loopback and sallyport's own tunnel are always right. Returns false when all is well.
 */
bool exposure_find(const struct firewall_config *firewall, const struct rtnl_link_list *links,
                   struct strbuf *problem);

/* Whether any interface of firewall.wan or firewall.plant is in LINKS: this is the machine meant.
 */
bool exposure_is_machine(const struct firewall_config *firewall,
                         const struct rtnl_link_list *links);

#endif
