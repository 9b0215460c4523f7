/*
 * What the gateway publishes about itself in a session: first the opening messages, then the status
 * at intervals, and the last status of a clean stop. Main loop only. NOW_MS is monotonic
 * milliseconds.
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

/* The session is up, or has to be opened again: publishes its opening messages as far as there is
 * room. */
void announcer_open(struct announcer *announcer, int64_t now_ms);

/* The session ended. */
void announcer_close(struct announcer *announcer);

/* Whether all opening messages are published: nothing else goes out before them. */
bool announcer_is_open(const struct announcer *announcer);

/* Something changed: the status is published within a second; a burst of changes makes one. */
void announcer_status_soon(struct announcer *announcer, int64_t now_ms);

/* Publishes what is due; returns when to call it again, INT64_MAX for "when something happens". */
int64_t announcer_settle(struct announcer *announcer, int64_t now_ms);

/* Publishes that the gateway stops, if there is a session. */
void announcer_farewell(struct announcer *announcer);

#endif
