/*
 * From the outbox to the uplink: live messages first, the backlog beside them, within the
 * window. Pure policy over the two; main loop only.
 */
#ifndef SALLYPORT_AGENT_FLOW_PUBLISHER_H
#define SALLYPORT_AGENT_FLOW_PUBLISHER_H

#include "agent/outbox/outbox.h"
#include "agent/payload/dialect.h"
#include "agent/uplink/uplink.h"

struct publisher; /* opaque */

/*
 * WINDOW: as configured. BACKLOG_RATE: bytes a second for the backlog, 0 for no limit. DIALECT,
 * OUTBOX and UPLINK must outlive the result.
 */
struct publisher *publisher_new(int64_t window, uint64_t backlog_rate, struct dialect *dialect,
                                struct outbox *outbox, struct uplink *uplink);
struct publisher *publisher_free(struct publisher *publisher); /* accepts NULL, returns NULL */

/* Another window, as configured. */
void publisher_set_window(struct publisher *publisher, int64_t window);

/*
 * Publishes what the window allows; everything handed out must have been committed. Returns
 * milliseconds until it should be called again although nothing happens (the backlog's rate),
 * -1 for "when something happens".
 */
int64_t publisher_pump(struct publisher *publisher, int64_t now_ms);

#endif
