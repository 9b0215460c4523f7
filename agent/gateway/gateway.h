/*
 * The gateway: owns the lines, the pipeline, the outbox, the uplink and the local socket, and
 * wires them together. They call the gateway only through the callbacks that are set here. Main
 * loop only.
 */
#ifndef SALLYPORT_AGENT_GATEWAY_GATEWAY_H
#define SALLYPORT_AGENT_GATEWAY_GATEWAY_H

#include "config/schema/config.h"

#include <systemd/sd-event.h>

struct gateway; /* opaque */

/*
 * Opens the store, makes the lines and the uplink, and starts them. Takes CONFIG over, also on
 * failure. Returns 0, or a negative errno after logging why.
 */
int gateway_start(struct config *config, sd_event *loop, struct gateway **ret_gateway);

/*
 * Stops in the reverse order: no more polls, what was read goes out or to disk, `offline` is
 * published. Blocks for a few seconds at most. Returns false when the MQTT client is stuck and
 * the process must leave with _exit(). Accepts NULL.
 */
bool gateway_stop(struct gateway *gateway);

#endif
