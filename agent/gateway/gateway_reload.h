/* The configuration of a running gateway changes. Main loop only. */
#ifndef SALLYPORT_AGENT_GATEWAY_GATEWAY_RELOAD_H
#define SALLYPORT_AGENT_GATEWAY_GATEWAY_RELOAD_H

#include "agent/gateway/gateway.h"
#include "config/schema/config.h"

/*
 * Puts a fresh configuration, taken over, in force: the lines start again, store and session go on.
 * A change that concerns the session or the process is refused with an event that says so. Returns
 * 0, or a negative errno when the lines could not be started and the process must end.
 */
int gateway_reload(struct gateway *gateway, struct config *fresh);

/* A reload was asked for and the file cannot be used: the running configuration stays. */
void gateway_reject(struct gateway *gateway, const char *why);

#endif
