/*
 * What the gateway tells the broker about itself in a session: first what opens the session, then
 * the status, again and again, and the farewell of a clean stop. Main loop only. NOW_MS is
 * monotonic milliseconds.
 */
#ifndef SALLYPORT_AGENT_FLOW_ANNOUNCER_H
#define SALLYPORT_AGENT_FLOW_ANNOUNCER_H

#include "agent/payload/dialect.h"
#include "agent/uplink/uplink.h"

#include <stdbool.h>
#include <stdint.h>

struct announcer; /* opaque */

/* Fills in the facts of this moment. */
typedef void (*announcer_get_facts)(void *context, struct status_facts *ret_facts);

/* DIALECT and UPLINK must outlive the result. */
struct announcer *announcer_new(struct dialect *dialect, struct uplink *uplink,
                                announcer_get_facts get_facts, void *context);
struct announcer *announcer_free(struct announcer *announcer); /* accepts NULL, returns NULL */

/* The session came, or has to be opened again: publishes what opens it, as far as there is room. */
void announcer_open(struct announcer *announcer, int64_t now_ms);

/* The session went. */
void announcer_close(struct announcer *announcer);

/* Whether all that opens the session is published: nothing else goes out before. */
bool announcer_is_open(const struct announcer *announcer);

/* Something changed: the status is published within a second; a burst of changes makes one. */
void announcer_status_soon(struct announcer *announcer, int64_t now_ms);

/* Publishes what is due; returns when to call it again, INT64_MAX for "when something happens". */
int64_t announcer_settle(struct announcer *announcer, int64_t now_ms);

/* Says that the gateway stops, if there is a session. */
void announcer_farewell(struct announcer *announcer);

#endif
