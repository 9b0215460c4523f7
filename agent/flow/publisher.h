/*
 * From the outbox to the uplink: live messages first, the backlog beside them, within the
 * window. Pure policy over the two; main loop only.
 */
#ifndef SALLYPORT_AGENT_FLOW_PUBLISHER_H
#define SALLYPORT_AGENT_FLOW_PUBLISHER_H

#include "agent/outbox/outbox.h"
#include "agent/payload/encode.h"
#include "agent/uplink/uplink.h"

struct publisher; /* opaque */

/*
 * PREFIX is what P stands for: "<prefix>/<site>/<id>". BACKLOG_RATE: bytes a second for the
 * backlog, 0 for no limit. OUTBOX, UPLINK and ENCODER must outlive the result.
 */
struct publisher *publisher_new(const char *prefix, int64_t window, uint64_t backlog_rate,
                                const struct encoder *encoder, struct outbox *outbox,
                                struct uplink *uplink);
struct publisher *publisher_free(struct publisher *publisher); /* accepts NULL, returns NULL */

/*
 * Publishes what the window allows; everything handed out must have been committed. Returns
 * milliseconds until it should be called again although nothing happens (the backlog's rate),
 * -1 for "when something happens".
 */
int64_t publisher_pump(struct publisher *publisher, int64_t now_ms);

#endif
