/*
 * The MQTT clients that one set of settings needs: one for each kind of server. One owner, the
 * session; main loop only, and not while an attempt to connect is under way.
 */
#ifndef SALLYPORT_AGENT_UPLINK_UPLINK_CLIENTS_H
#define SALLYPORT_AGENT_UPLINK_UPLINK_CLIENTS_H

#include "agent/uplink/mqtt_client.h"
#include "agent/uplink/uplink_settings.h"

struct uplink_clients {
    struct mqtt_client *of[2]; /* by server.websocket; NULL when no server needs it */
};

/*
 * Makes those that are missing, for IN_FLIGHT messages at a time. Returns 0 or a negative errno,
 * logged.
 */
int uplink_clients_make(struct uplink_clients *clients, const struct uplink_settings *settings,
                        size_t in_flight, struct uplink_ring *ring);

/* No attempt and no session may be left. Accepts empty ones. */
void uplink_clients_free(struct uplink_clients *clients);

#endif
