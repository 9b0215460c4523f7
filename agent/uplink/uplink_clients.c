/* The MQTT clients of one set of settings. */
#include "agent/uplink/uplink_clients.h"

#include "agent/base/log.h"
#include "agent/base/macros.h"

#include <string.h>

int uplink_clients_make(struct uplink_clients *clients, const struct uplink_settings *settings,
                        size_t in_flight, struct uplink_ring *ring)
{
    const struct config_uplink *config = &settings->config;
    size_t most = 2 * in_flight; /* what was not sent when a session ended is sent in the next */
    int result = 0;
    for (size_t i = 0; i < config->servers.length && result == 0; i++) {
        bool websocket = settings->servers[i].websocket;
        if (!clients->of[websocket])
            result =
                mqtt_client_new(config->client_id, websocket, most, ring, &clients->of[websocket]);
    }
    if (result < 0)
        log_error("uplink", "the MQTT client cannot be created (client_id %s): %s",
                  config->client_id, strerror(-result));
    return result;
}

void uplink_clients_free(struct uplink_clients *clients)
{
    for (size_t i = 0; i < ARRAY_LENGTH(clients->of); i++)
        clients->of[i] = mqtt_client_free(clients->of[i]);
}
