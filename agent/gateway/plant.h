/*
 * The plant side of the gateway: the lines of the configuration in force, the pipeline that takes
 * what they deliver, and the watch over their workers. What they report about themselves becomes
 * events. The object stays the same when another generation is applied. Owned by the gateway; main
 * loop only.
 */
#ifndef SALLYPORT_AGENT_GATEWAY_PLANT_H
#define SALLYPORT_AGENT_GATEWAY_PLANT_H

#include "agent/flow/intake.h"
#include "agent/gateway/generation.h"
#include "agent/payload/json_text.h"
#include "config/schema/config.h"
#include "drivers/line/line.h"

#include <systemd/sd-event.h>

struct plant;        /* opaque */
struct plant_change; /* opaque */

/* Called when a line or device has changed its state, and so the status. */
typedef void (*plant_changed)(void *context);

/*
 * Makes the lines of FIRST, of which the plant becomes a user. Returns 0, or a negative errno after
 * logging why.
 */
int plant_new(struct generation *first, struct intake *intake, sd_event *loop,
              plant_changed changed, void *context, struct plant **ret_plant);

int plant_start(struct plant *plant); /* the workers; 0 or a negative errno, logged */

/* Stops the workers, waits for them, and moves what they have delivered into custody. */
void plant_stop(struct plant *plant);

struct plant *plant_free(struct plant *plant); /* accepts NULL, returns NULL; stops first */

/*
 * Another generation, in two steps. plant_prepare() makes the lines that it needs and changes
 * nothing yet: TOUCHED has a flag for each of its buses (config_diff(), `lines`); the line of a bus
 * without the flag continues undisturbed. Returns 0 and the owned change, or a negative errno after
 * logging why. plant_commit() ends the lines that are not kept, moves what they have delivered into
 * custody, and starts the new ones; it consumes the change. Returns 0, or a negative errno, logged,
 * when a line could not be started: then the process must end. plant_change_free() abandons a
 * change; returns NULL.
 */
int plant_prepare(struct plant *plant, struct generation *fresh, const bool *touched,
                  struct plant_change **ret_change);
int plant_commit(struct plant *plant, struct plant_change *change);
struct plant_change *plant_change_free(struct plant_change *change);

/* Reports what the queue refused, as a gap. For the main loop's every pass; cheap. */
void plant_report_refused(struct plant *plant);

/* The lines, one for each bus of the configuration; NULL for a bus without devices. */
struct line *const *plant_lines(const struct plant *plant);

/* False, after logging it, when a worker has been stuck for too long. */
bool plant_is_alive(struct plant *plant, int64_t now_ms);

/* For the local socket (see there); CONTEXT is the plant. */
int plant_values(void *context, const char *device, struct json_text *json);
int plant_read(void *context, const char *bus, const struct driver_request *request,
               line_request_done done, void *done_context);

#endif
