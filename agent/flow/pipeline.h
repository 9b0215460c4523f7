/*
 * The way of plant data through the main loop: queue -> latest values -> report on change ->
 * intake. What lines report about themselves leaves it by a callback. Main loop only, but for
 * pipeline_deliver().
 */
#ifndef SALLYPORT_AGENT_FLOW_PIPELINE_H
#define SALLYPORT_AGENT_FLOW_PIPELINE_H

#include "agent/flow/intake.h"
#include "agent/flow/numbering.h"
#include "agent/flow/value_table.h"
#include "config/schema/config.h"

struct pipeline; /* opaque */

struct pipeline_callbacks {
    /* A line or device changed its state; BATCH_EVENT's event and owner (see sample.h). */
    void (*line_event)(void *context, enum line_event event, uint16_t owner, int64_t timestamp_ms);
    void *context;
};

/* CONFIG and INTAKE must outlive the result; the number of each device is its index. */
struct pipeline *pipeline_new(const struct config *config, struct intake *intake,
                              const struct pipeline_callbacks *callbacks);

/*
 * Another configuration, of which some devices are KEPT (see numbering_next(); their lines
 * continue): what is known of them is kept. DEVICES has the numbers of all. Waiting batches of a
 * device that is gone are dropped when their turn comes: drain before. CONFIG and DEVICES must
 * outlive the result, or the next call.
 */
void pipeline_apply(struct pipeline *pipeline, const struct config *config,
                    const struct numbering *devices, const uint16_t *kept);

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
 * Reports the batches that the queue has refused since the last call, if any, as a gap. For the
 * main loop's every pass; cheap.
 */
void pipeline_report_refused(struct pipeline *pipeline);

/* The latest value of each tag; `timestamp_ms` is when it was read (wall clock). */
const struct value_table *pipeline_values(const struct pipeline *pipeline);

#endif
