/*
 * The firewall in the running netd: decides which rules are loaded, loads them in one transaction,
 * verifies and watches them. Leases: firewall_leases.h; before netd runs: firewall_boot.h. netd
 * owns it, and nothing else loads rules. Main thread only.
 *
 * Promises: nothing here ever opens a gap while it loads (one transaction, or no change at all); a
 * failure leaves what was loaded before.
 */
#ifndef SALLYPORT_TUNNEL_FIREWALL_FIREWALL_H
#define SALLYPORT_TUNNEL_FIREWALL_FIREWALL_H

#include "agent/base/strbuf.h"
#include "tunnel/config/netd_config.h"
#include "tunnel/firewall/nft_state.h"
#include "tunnel/model/event.h"
#include "tunnel/model/posture.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct firewall; /* opaque */

/* Takes EVENT, which is gone afterwards. */
typedef void firewall_hook(void *context, const struct event *event);

struct firewall_hooks {
    /* Another program changed our rules (also: removed them, added a hook at a device, set a sysctl
     * of the kernel looser, made a tunnel): EVENT_FIREWALL_TAMPERED. netd closes an open session.
     * Called after ours was loaded again where that was possible. */
    firewall_hook *tampered;
    /* Ours is loaded and verified again: EVENT_FIREWALL_REPAIRED. */
    firewall_hook *repaired;
    /* EVENT_FIREWALL_EXPOSED: an interface is not what firewall.wan and firewall.plant take it for,
     * which no rule can mend; again when it is another one; EVENT_FIREWALL_NOT_EXPOSED: no more. */
    firewall_hook *exposed;
    void *context;
};

/* CONFIG must outlive the firewall: its tunnel stays in use whatever firewall_try() brings. Loads
 * nothing yet. */
struct firewall *firewall_new(const struct netd_config *config, const struct firewall_hooks *hooks);
struct firewall *firewall_free(struct firewall *firewall); /* leaves the rules loaded; NULL */

/*
 * Loads our rules without any lease, whatever was there before, and deletes the connection
 * tracking entries of the leases that were. Returns how many leases were left over from an earlier
 * run, or a negative errno with the reason in PROBLEM.
 */
int firewall_start(struct firewall *firewall, struct strbuf *problem);

/* Watches for tampering from LOOP: netlink events, and a poll every second. 0 or negative errno. */
int firewall_watch(struct firewall *firewall, sd_event *loop);

/* INDEX of our own interface (TUNNEL_INTERFACE) from now on, 0 for none: any other is tampering. */
void firewall_set_tunnel(struct firewall *firewall, unsigned index);

/* Appends the names of WireGuard interfaces that are not ours ("wg0,wg1"); nothing: there are none.
 */
void firewall_foreign_tunnels(const struct firewall *firewall, struct strbuf *names);

/* For firewall_leases.c: what is loaded; NULL before firewall_start(). */
struct nft_state *firewall_rules(const struct firewall *firewall);

/*
 * For firewall_leases.c: 0 when the rules are as they should be, so that leases may be given.
 * -ETXTBSY while tampering is latched, or another negative errno, with the reason in PROBLEM.
 */
int firewall_may_open(struct firewall *firewall, struct strbuf *problem);

/* Compares the kernel with what we loaded, now. 0: as it should be; 1: it was not, and was mended;
 * a negative errno. Updates the posture; calls the hooks. */
int firewall_verify(struct firewall *firewall);

/*
 * Ends the latch of FIREWALL_TAMPERED: a person on site has seen it. Looks once more: -EBUSY when
 * there was something new, which that person cannot have seen; or why the rules cannot be repaired.
 * PROBLEM gets one line for a person, and the latch stays.
 */
int firewall_acknowledge(struct firewall *firewall, struct strbuf *problem);

void firewall_get_posture(const struct firewall *firewall, struct firewall_posture *ret_posture);
int firewall_get_counters(struct firewall *firewall, struct firewall_counters *ret_counters);

/*
 * `apply --confirm`: loads the rules of FRESH (keeping the leases that are left), and returns to
 * the present ones unless firewall_confirm() comes in time; the caller keeps that time. FRESH must
 * live until then. firewall_confirm() and firewall_rollback() return -ENOENT with nothing to do.
 */
int firewall_try(struct firewall *firewall, const struct netd_config *fresh,
                 struct strbuf *problem);
int firewall_confirm(struct firewall *firewall);
int firewall_rollback(struct firewall *firewall, struct strbuf *problem);

#endif
