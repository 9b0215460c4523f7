/*
 * Keeps the names of egress = "strict" and of the agent resolved: starts a resolver for each name
 * that is due, reads the name servers from resolv.conf, judges the answers, and gives the firewall
 * what may be reached for a while. What it asks for comes from netd.conf alone. Nothing of
 * it waits: resolvers are processes of their own without any capability, with a deadline. Owned by
 * netd_main.c; main loop only.
 */
#ifndef SALLYPORT_TUNNEL_EGRESS_EGRESS_RESOLVER_H
#define SALLYPORT_TUNNEL_EGRESS_EGRESS_RESOLVER_H

#include "tunnel/firewall/firewall_leases.h"
#include "tunnel/model/event.h"

#include <systemd/sd-event.h>

struct egress_resolver; /* opaque */

struct egress_resolver_hooks {
    /* Worth a line of the journal; a few at once and then one in five minutes at most. */
    void (*journal)(void *context, const struct event *event);
    void *context;
};

/* Begins at once. TUNNEL and CONFIG, whose rules FIREWALL has loaded, must outlive it. */
struct egress_resolver *egress_resolver_new(const struct netd_config *config,
                                            const struct tunnel_config *tunnel,
                                            struct firewall *firewall,
                                            const struct egress_resolver_hooks *hooks,
                                            sd_event *loop);
struct egress_resolver *
egress_resolver_free(struct egress_resolver *lookup); /* accepts NULL, returns NULL */

/*
 * The firewall has the rules of CONFIG now: its names are asked for at once, the answers of those
 * that stay are kept. CONFIG must outlive the lookup, or the next call of this. Accepts NULL.
 */
void egress_resolver_follow(struct egress_resolver *lookup, const struct netd_config *config);

#endif
