/*
 * What the gateway says of itself: the status document (`P/status`, `sallyport status`), and
 * whether every part still moves, for the watchdog. Main loop only.
 */
#ifndef SALLYPORT_AGENT_GATEWAY_STATUS_H
#define SALLYPORT_AGENT_GATEWAY_STATUS_H

#include "agent/base/strbuf.h"
#include "agent/netd/netd_watch.h"
#include "agent/outbox/outbox.h"
#include "agent/uplink/uplink.h"
#include "config/schema/config.h"
#include "drivers/line/line.h"

/* Everything that the status is made of; nothing is owned. */
struct status_view {
    const struct config *config;
    struct line *const *lines; /* config->n_buses of them; NULL: a bus without devices */
    struct outbox *outbox;
    struct uplink *uplink;
    const struct netd_watch *netd;
    int64_t started_mono_ns;
};

/* Appends the status as JSON; LOCAL adds what is for the command line only (the uplink). */
void status_write(const struct status_view *view, bool local, struct strbuf *out);

/* The will, and what a clean stop publishes. */
#define STATUS_OFFLINE "{\"state\":\"offline\"}"

/* Watches the heartbeats of the lines. */
struct liveness; /* opaque */

struct liveness *liveness_new(size_t n_lines);
struct liveness *liveness_free(struct liveness *watch); /* returns NULL */

/*
 * True while every line has moved within the last STUCK_MS. *RET_STUCK is the index of the first
 * that has not, untouched otherwise. Call it more often than STUCK_MS.
 */
bool liveness_ok(struct liveness *watch, const struct status_view *view, int64_t now_ms,
                 int64_t stuck_ms, size_t *ret_stuck);

const char *line_state_name(enum line_state state);
const char *device_state_name(enum device_state state);

#endif
