/*
 * What the gateway tells in events of its own: lines and units that change their state,
 * certificates that expire, and small things with one text. Main loop only.
 */
#ifndef SALLYPORT_AGENT_GATEWAY_GATEWAY_EVENTS_H
#define SALLYPORT_AGENT_GATEWAY_GATEWAY_EVENTS_H

#include "agent/flow/pipeline.h"
#include "config/schema/config.h"
#include "drivers/line/line.h"

/*
 * A line or unit changed its state: OWNER is the index of the bus or of the device. LINES has an
 * entry for each bus; NULL for one that is gone, whose reason cannot be looked up any more.
 */
void gateway_events_line(struct pipeline *pipeline, const struct config *config,
                         struct line *const *lines, enum line_event event, size_t owner,
                         int64_t timestamp_ms);

/* Reports our own certificate and the CA when they expire within 30 days. */
void gateway_events_certificates(struct pipeline *pipeline, const struct config_uplink *uplink);

/* An event with one detail. */
void gateway_events_text(struct pipeline *pipeline, const char *event, const char *key,
                         const char *text);

/*
 * Appends LINES, a text of any number of lines, as one line: the first few, cut where they are
 * long, and how many more there are. So a configuration of ten thousand tags that all changed
 * fits an event and a line of the log.
 */
void gateway_events_summary(const char *lines, struct strbuf *out);

/*
 * Logs that the store's PROBLEM ("" for none) is another one than KNOWN, which it then is; both
 * have room for SIZE bytes. Returns whether it was.
 */
bool gateway_events_store(const char *problem, char *known, size_t size);

#endif
