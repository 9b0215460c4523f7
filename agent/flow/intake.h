/*
 * The only way into the outbox: facts become a body and a topic of the dialect, and go into custody
 * as the next message of the stream. Everything that is taken still has to be committed. Main loop
 * only; the buffers are reused, so the steady state allocates nothing.
 */
#ifndef SALLYPORT_AGENT_FLOW_INTAKE_H
#define SALLYPORT_AGENT_FLOW_INTAKE_H

#include "agent/outbox/outbox.h"
#include "agent/payload/dialect.h"
#include "config/schema/config.h"
#include "drivers/sample.h"
#include "tunnel/model/event.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct intake; /* opaque */

/* DIALECT and OUTBOX must outlive the result. */
struct intake *intake_new(struct dialect *dialect, struct outbox *outbox);
struct intake *intake_free(struct intake *intake); /* accepts NULL, returns NULL */

/*
 * Takes one poll of DEVICE: SLOTS[0] is its header. PICKED: as for the dialect. Returns the number
 * of the message; 0 when nothing was worth a message, or the store cannot take it (which it
 * counts, and reports as a gap).
 */
uint64_t intake_data(struct intake *intake, const struct config_device *device,
                     const union slot *slots, size_t n_slots, const bool *picked);

/* Takes an event. Returns its number, or 0 when the store cannot take it. */
uint64_t intake_event(struct intake *intake, const struct event *event);

/* Takes an event for each gap of the outbox that is not reported yet. Cheap when there is none. */
void intake_report_gaps(struct intake *intake);

#endif
