/*
 * From "the session may open" to "the hub has answered": resolver, interface, handshake, each in
 * its own time and none of them waited for. Warden only; main loop only.
 */
#ifndef SALLYPORT_TUNNEL_SESSION_TUNNEL_OPENING_H
#define SALLYPORT_TUNNEL_SESSION_TUNNEL_OPENING_H

#include "tunnel/firewall/firewall.h"
#include "tunnel/model/session.h"
#include "tunnel/session/wireguard.h"

#include <systemd/sd-event.h>

struct bring_up; /* opaque */

struct bring_up_hooks {
    /* The hub has answered. */
    void (*ready)(void *context);
    /* It will not, or what was there broke down. DETAIL is one line for a person. Never called
     * from within bring_up_start(). */
    void (*failed)(void *context, enum session_end end, const char *detail);
    void *context;
};

struct bring_up *bring_up_new(const struct tunnel_config *config, struct firewall *firewall,
                              const struct bring_up_hooks *hooks, sd_event *loop);
struct bring_up *bring_up_free(struct bring_up *bring_up); /* after bring_up_stop(); NULL */

void bring_up_start(struct bring_up *bring_up);

/* Ends whatever is going on and removes the interface. Repeatable. 0 or a negative errno. */
int bring_up_stop(struct bring_up *bring_up);

/* What has been missing so far, for a person, should the time run out: "no handshake: ...". */
const char *bring_up_obstacle(const struct bring_up *bring_up);

/* The hub's address in use; family AF_UNSPEC when there is none. */
const struct sockaddr_storage *bring_up_hub(const struct bring_up *bring_up);

#endif
