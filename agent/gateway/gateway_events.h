/*
 * What the gateway reports about itself in events: lines and devices that change their state,
 * certificates that expire, reloads. Main loop only.
 */
#ifndef SALLYPORT_AGENT_GATEWAY_GATEWAY_EVENTS_H
#define SALLYPORT_AGENT_GATEWAY_GATEWAY_EVENTS_H

#include "agent/flow/intake.h"
#include "config/schema/config.h"
#include "drivers/line/line.h"

/* Whether EVENT is of a device; else it is of the line. */
bool gateway_events_is_of_device(enum line_event event);

/*
 * A line or device changed its state: OWNER is the index of the line or of the device. LINES has
 * an entry for each line; NULL for one that is gone, whose reason cannot be looked up any more.
 */
void gateway_events_line(struct intake *intake, const struct config *config,
                         struct line *const *lines, enum line_event event, size_t owner,
                         int64_t timestamp_ms);

/* Reports our own certificate and the CA when they expire within 30 days. */
void gateway_events_certificates(struct intake *intake, const struct config_uplink *uplink);

/* An event of this moment with one detail, or, KEY being MEMBER_OTHER, with none. */
void gateway_events_text(struct intake *intake, enum event_kind kind, enum event_key key,
                         const char *text);

/*
 * Appends LINES, a text of any number of lines, as one line: the first few, cut where they are
 * long, and how many more there are. So a configuration of ten thousand tags that all changed
 * fits an event and a line of the log.
 */
void gateway_events_summary(const char *lines, struct strbuf *out);

/*
 * Logs the store's PROBLEM ("" for none) when it differs from KNOWN, and copies it there; both have
 * room for SIZE bytes. Returns whether it differed.
 */
bool gateway_events_store(const char *problem, char *known, size_t size);

/*
 * An event when a power cut begins to cost more than promised, and when that is over. KNOWN_MS is
 * what STATS said the last time (0 at first), and is updated. Returns whether it differed.
 */
bool gateway_events_unsafe(struct intake *intake, const struct outbox_stats *stats,
                           int64_t *known_ms);

#endif
