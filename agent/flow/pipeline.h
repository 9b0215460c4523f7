/*
 * The way of plant data through the main loop: queue -> latest values -> report on change ->
 * encoder -> outbox, and the way of events into the same outbox. Publishing is publisher.c's.
 * Main loop only, but for pipeline_deliver().
 */
#ifndef SALLYPORT_AGENT_FLOW_PIPELINE_H
#define SALLYPORT_AGENT_FLOW_PIPELINE_H

#include "agent/flow/value_table.h"
#include "agent/outbox/outbox.h"
#include "agent/payload/encode.h"
#include "config/schema/config.h"

struct pipeline; /* opaque */

struct pipeline_callbacks {
    /* A line or unit changed its state; BATCH_EVENT's event and owner (see sample.h). */
    void (*line_event)(void *context, enum line_event event, size_t owner, int64_t timestamp_ms);
    void *context;
};

/* CONFIG, ENCODER and OUTBOX must outlive the result. */
struct pipeline *pipeline_new(const struct config *config, const struct encoder *encoder,
                              struct outbox *outbox, const struct pipeline_callbacks *callbacks);
struct pipeline *pipeline_free(struct pipeline *pipeline); /* no line may be left; returns NULL */

/* For struct line_callbacks; any thread. CONTEXT is the pipeline. */
bool pipeline_deliver(void *context, const union slot *slots, size_t n_slots);

/* Readable while batches wait. */
int pipeline_descriptor(const struct pipeline *pipeline);

/*
 * Moves what waits into the outbox, at most MOST batches; more keep the descriptor readable.
 * The outbox still has to be committed. Returns how many batches were moved.
 */
size_t pipeline_drain(struct pipeline *pipeline, size_t most);

/*
 * Takes an event of TIMESTAMP_MS (wall clock) into custody: NAME and FIELDS as for struct encoder.
 * Returns its number, or 0 when the store cannot take it.
 */
uint64_t pipeline_event(struct pipeline *pipeline, const char *name, int64_t timestamp_ms,
                        const struct event_field *fields, size_t n_fields);

/*
 * Reports what was lost since the last call, if anything: gaps of the outbox, batches that the
 * queue refused. For the main loop's every pass; cheap.
 */
void pipeline_report_losses(struct pipeline *pipeline);

/* The latest value of each tag; `timestamp_ms` is when it was read (wall clock). */
const struct value_table *pipeline_values(const struct pipeline *pipeline);

#endif
