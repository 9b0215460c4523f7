/*
 * What the agent knows of netd: the state of firewall and tunnel for the status, and every line of
 * netd's journal as an event. Challenges and answers go on to the relay of signed commands. The
 * last line that was taken into custody is remembered in <state_dir>/warden.position, so that a
 * restart repeats nothing and misses nothing; a kill in the moment between may repeat one line,
 * under another number. Main loop only.
 */
#ifndef SALLYPORT_AGENT_NETD_NETD_WATCH_H
#define SALLYPORT_AGENT_NETD_NETD_WATCH_H

#include "agent/netd/command_relay.h"
#include "config/schema/config.h"
#include "tunnel/model/event.h"
#include "tunnel/wire/wire.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

struct netd_watch; /* opaque */

struct netd_watch_callbacks {
    /* Takes one journal line into custody, durably; false when that is not possible now. */
    bool (*event)(void *context, const struct event *event);
    /* The status has changed, or the connection to netd was made or lost. */
    void (*changed)(void *context);
    void *context;
};

/* CONFIG and RELAY must outlive the result. Returns 0 or a negative errno. */
int netd_watch_new(const struct config_gateway *config, struct command_relay *relay,
                   const struct netd_watch_callbacks *callbacks, sd_event *loop,
                   struct netd_watch **ret_watch);
/* Tells the relay that netd is gone. Accepts NULL, returns NULL. */
struct netd_watch *netd_watch_free(struct netd_watch *watch);

/* The last known status, its counters; NULL while there is no connection. */
const struct wire_status *netd_watch_status(const struct netd_watch *watch);
const struct wire_counters *netd_watch_counters(const struct netd_watch *watch);

#endif
