/*
 * From "the session may open" to "the hub has answered": resolver, interface, handshake, each in
 * its own time and none of them waited for. netd only; main loop only.
 */
#ifndef SALLYPORT_TUNNEL_SESSION_TUNNEL_OPENING_H
#define SALLYPORT_TUNNEL_SESSION_TUNNEL_OPENING_H

#include "tunnel/firewall/firewall_leases.h"
#include "tunnel/model/session.h"
#include "tunnel/session/wireguard.h"

#include <systemd/sd-event.h>

struct tunnel_opening; /* opaque */

struct tunnel_opening_hooks {
    /* The hub has answered. */
    void (*ready)(void *context);
    /* It will not, or what was there broke down. DETAIL is one line for a person. Never called
     * from within tunnel_opening_start(). */
    void (*failed)(void *context, enum session_end end, const char *detail);
    void *context;
};

struct tunnel_opening *tunnel_opening_new(const struct tunnel_config *config,
                                          struct firewall *firewall,
                                          const struct tunnel_opening_hooks *hooks, sd_event *loop);
struct tunnel_opening *
tunnel_opening_free(struct tunnel_opening *opening); /* after tunnel_opening_stop(); NULL */

void tunnel_opening_start(struct tunnel_opening *opening);

/* Ends whatever is going on and removes the interface. Repeatable. 0 or a negative errno. */
int tunnel_opening_stop(struct tunnel_opening *opening);

/* What has been missing so far, for a person, should the time run out: "no handshake: ...". */
const char *tunnel_opening_obstacle(const struct tunnel_opening *opening);

/* The hub's address in use; family AF_UNSPEC when there is none. */
const struct sockaddr_storage *tunnel_opening_hub(const struct tunnel_opening *opening);

#endif
