/*
 * The firewall: typed rules to nft text (pure), loaded in one transaction, verified, watched, and
 * the leases of an open session with the kernel's own timeout. netd owns it; nothing else
 * loads rules. Main thread only.
 *
 * Promises: nothing here ever opens a gap while it loads (one transaction, or no change at all);
 * a lease element carries the remaining time of the session as its kernel timeout and is checked
 * before any `established` rule; a failure leaves what was loaded before.
 */
#ifndef SALLYPORT_TUNNEL_FIREWALL_FIREWALL_H
#define SALLYPORT_TUNNEL_FIREWALL_FIREWALL_H

#include "agent/base/strbuf.h"
#include "tunnel/config/netd_config.h"
#include "tunnel/model/event.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>

#define TUNNEL_INTERFACE "spt0" /* the rules match "spt*" */
#define FIREWALL_TABLE "sallyport"
#define FIREWALL_MAX_LEASES (NETD_MAX_SERVICES * NETD_MAX_SOURCES)

/* One permission of an open session. Key: (TUNNEL_INTERFACE, source, destination, protocol, port).
 */
struct firewall_lease {
    struct ip_network source;      /* IPv4, from tunnel.sources */
    struct ip_network destination; /* one IPv4 host: the gateway's tunnel address, or a target */
    uint8_t protocol;
    uint16_t port;
    char interface[IFNAMSIZ]; /* where a target behind the gateway is reached (forward,
                                 masquerade); "" for a service of the gateway itself */
};

/* The same as it stands in the kernel. */
struct firewall_lease_state {
    struct firewall_lease lease; /* `interface` may be "" when the kernel does not tell */
    int64_t remaining_ms;
    uint64_t bytes; /* both directions, since it was added or last extended */
};

/* One destination that the gateway itself may reach for a while (egress = "strict"). */
struct egress_lease {
    struct ip_network destination; /* one host, IPv4 or IPv6 */
    uint8_t protocol;
    uint16_t port;
    bool is_hub; /* for the tunnel of a session, and gone with it */
    int64_t remaining_ms;
};

#define FIREWALL_MAX_EGRESS 512

enum firewall_state {
    FIREWALL_OFF,    /* nothing of ours is loaded: only before the first apply, or if that fails */
    FIREWALL_LOCKED, /* loaded, verified, no exception; leases are counted beside it */
    FIREWALL_EXCEPTED, /* loaded and verified; configured exceptions keep ports open */
    FIREWALL_TAMPERED, /* somebody else changed it; ours is loaded again; latched */
    FIREWALL_FIGHTING, /* three repairs within a minute: each is made, few are told; latched */
};
extern const char *const firewall_state_names[]; /* "off", "locked", ... same order */

struct firewall_posture {
    enum firewall_state state;
    uint32_t exceptions, leases;
    uint32_t reloads;       /* how often ours had to be loaded again since the start */
    int32_t changed_by_pid; /* who changed it last, 0 when unknown */
    char changed_by[32];    /* the name of that program, "" when unknown */
    char hash[65];          /* SHA-256 of the canonical form of what is loaded, hex */
    char problem[160];      /* one line for a person, "" for none */
};

/* Named counters; they never go down while netd runs, reloads included. */
struct firewall_counters {
    uint64_t dropped_in, dropped_forward, dropped_out, spoofed; /* packets */
};

/* ---- Pure ---- */

/*
 * Appends the whole ruleset for CONFIG as text for `nft -f -`: one transaction that replaces our
 * table. LEASES (may be NULL) are in it with their remaining time. TUNNEL_ADDRESS is for a service
 * of the gateway itself. Deterministic: the same input gives the same bytes.
 */
void firewall_text(const struct netd_config *config, const struct firewall_lease_state *leases,
                   size_t n_leases, struct strbuf *out);

/* Whether two leases have the same key, and the same interface behind the gateway. */
bool firewall_lease_equal(const struct firewall_lease *a, const struct firewall_lease *b);

/* The built-in set: replies and neighbour discovery in, nothing else; what this machine sends begins
 * with a SYN or answers nobody. Loads on 5.10. */
extern const char firewall_panic_text[];

/* ---- Before the network (no configuration, no loop) ---- */

/* Writes the checked, expanded boot file (`nft -c`, fsync, rename). 0 or a negative errno. */
int firewall_write_boot_file(const struct netd_config *config, const char *path,
                             struct strbuf *problem);

/*
 * Loads PATH (at most 1 MiB) or, if that is missing or broken, the panic set. Returns 0 for the
 * file, 1 for the panic set, a negative errno when neither could be loaded; what is wrong with the
 * file goes to PROBLEM.
 */
int firewall_lockdown(const char *path, struct strbuf *problem);

/* ---- In the running netd ---- */

struct firewall; /* opaque */

/* Takes EVENT, which is gone afterwards. */
typedef void firewall_hook(void *context, const struct event *event);

struct firewall_hooks {
    /* Somebody changed our rules (also: removed them, added a hook at a device, set a switch of
     * the kernel looser, made a tunnel): EVENT_FIREWALL_TAMPERED. netd closes an open session.
     * Called after ours was loaded again where that was possible. */
    firewall_hook *tampered;
    /* Ours is loaded and verified again: EVENT_FIREWALL_REPAIRED. */
    firewall_hook *repaired;
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

/*
 * Adds LEASES, all with TIMEOUT_MS (positive), in one transaction: all or none. Also what a target
 * behind the gateway needs (forwarding sysctls of the two interfaces, masquerade).
 * -ETXTBSY while tampering is latched. 0 or a negative errno with the reason in PROBLEM.
 */
int firewall_add_leases(struct firewall *firewall, const struct firewall_lease *leases,
                        size_t n_leases, int64_t timeout_ms, struct strbuf *problem);

/* Gives every present lease TIMEOUT_MS from now, in one transaction; never adds one that ran out.
 */
int firewall_extend_leases(struct firewall *firewall, int64_t timeout_ms, struct strbuf *problem);

/* Removes all leases and their connection tracking entries; restores the sysctls. Repeatable. */
int firewall_remove_leases(struct firewall *firewall, struct strbuf *problem);

/* What is in the kernel now; returns how many (at most ROOM are written), or a negative errno. */
int firewall_list_leases(struct firewall *firewall, struct firewall_lease_state *leases,
                         size_t room);

/*
 * egress = "strict": lets the tunnel's own UDP out to HUB for at most TIMEOUT_MS (the deadline of
 * the session); forgetting is repeatable. With egress = "open" both do nothing and return 0.
 */
int firewall_allow_hub(struct firewall *firewall, const struct sockaddr_storage *hub,
                       int64_t timeout_ms);
int firewall_forget_hub(struct firewall *firewall);

/*
 * egress = "strict": makes LEASES the only destinations of the gateway itself beside the hub, in
 * one transaction, each for its remaining time; one with none is left out. They outlast
 * repairs and other rules. 0, -E2BIG with more than fit (FIREWALL_MAX_EGRESS and the hub's), or
 * another negative errno with the reason in PROBLEM. With egress = "open" it does nothing.
 */
int firewall_set_egress(struct firewall *firewall, const struct egress_lease *leases,
                        size_t n_leases, struct strbuf *problem);

/* INDEX of our own interface (TUNNEL_INTERFACE) from now on, 0 for none: any other is tampering. */
void firewall_set_tunnel(struct firewall *firewall, unsigned index);

/* Appends the names of WireGuard interfaces that are not ours ("wg0,wg1"); nothing: there are none.
 */
void firewall_foreign_tunnels(const struct firewall *firewall, struct strbuf *names);

/* Compares the kernel with what we loaded, now. 0: as it should be; 1: it was not, and was mended;
 * a negative errno. Updates the posture; calls the hooks. */
int firewall_verify(struct firewall *firewall);

/*
 * Ends the latch of FIREWALL_TAMPERED: somebody on site has seen it. Looks once more: -EBUSY when
 * there was something new, which nobody can have seen; or why the rules cannot be repaired. PROBLEM
 * gets one line for a person, and the latch stays.
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
