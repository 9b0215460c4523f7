/*
 * Notices what others do to this machine's packet rules: who changed tables, new hooks at devices,
 * sysctls of the kernel set looser (sysctl_watch.h), tunnels that are not ours. It notices, names,
 * and sets back what needs no rules; firewall.c decides. netd only, main thread only.
 */
#ifndef SALLYPORT_TUNNEL_FIREWALL_TAMPER_H
#define SALLYPORT_TUNNEL_FIREWALL_TAMPER_H

#include "agent/base/strbuf.h"
#include "tunnel/firewall/nft_run.h"
#include "tunnel/firewall/nft_state.h"
#include "tunnel/model/event.h"
#include "tunnel/os/rtnl_links.h"

#include <stdbool.h>

struct tamper; /* opaque */

/*
 * PROC_FOLDER: "/proc/sys", TUNNEL_KIND: "wireguard", or what a test puts in their place. 0 or a
 * negative errno. What is there now is taken as right, except interfaces with a name of ours.
 */
int tamper_new(const char *proc_folder, const char *tunnel_kind, struct tamper **ret_tamper);
struct tamper *tamper_free(struct tamper *tamper); /* accepts NULL, returns NULL */

/* What is there now is taken as right: hooks at devices, sysctls, and tunnels of others. */
void tamper_accept(struct tamper *tamper);

/* Readable when rules were changed. */
int tamper_descriptor(const struct tamper *tamper);

/*
 * Takes the waiting events. Returns true when there were changes that were not made by RULES, or
 * when events were lost.
 */
bool tamper_take_events(struct tamper *tamper, const struct nft_state *rules);

/*
 * The latest change by others since the last tamper_forget(): one that touched our table if there
 * was one. NULL for none.
 */
const struct nft_change *tamper_culprit(const struct tamper *tamper);
void tamper_forget(struct tamper *tamper);

/*
 * Looks at the kernel's sysctls; each that is looser than at tamper_accept() is set back. Looks
 * for WireGuard interfaces, and for interfaces with a name of ours ("spt..."), that were not there
 * at the last look; OWN_INDEX is the one that we made ourselves, 0 for none. Whoever takes our name
 * is removed. The others stay, for they may be how this machine is looked after; what comes
 * out of them meets our rules like all else. All are members of
 * EVENT, an EVENT_FIREWALL_TAMPERED. Returns how many.
 */
size_t tamper_look_at_machine(struct tamper *tamper, unsigned own_index, struct event *event);

/* All interfaces at the last look, those of the start included; until the next one. */
const struct rtnl_link_list *tamper_links(const struct tamper *tamper);

/* Appends the names of the tunnels of others at the last look: "wg0,wg1", or nothing. */
void tamper_foreign_tunnels(const struct tamper *tamper, struct strbuf *names);

/*
 * Looks for hooks at devices and flowtables that were not there at the last look; the first of them
 * is a member of EVENT, all are known from then on. Returns how many, or a negative errno with the
 * reason in PROBLEM.
 */
int tamper_look_at_hooks(struct tamper *tamper, struct event *event, struct strbuf *problem);

#endif
