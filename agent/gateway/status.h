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
#include "config/config.h"
#include "drivers/line/line.h"

/* Everything that the status is made of; nothing is owned. */
struct health_view {
    const struct config *config;
    struct line *const *lines; /* config->n_buses of them; NULL: a bus without devices */
    struct outbox *outbox;
    struct uplink *uplink;
    const struct warden_watch *warden;
    int64_t started_mono_ns;
};

/* Appends the status as JSON; LOCAL adds what is for the command line only (the uplink). */
void health_status(const struct health_view *view, bool local, struct strbuf *out);

/* The will, and what a clean stop publishes. */
#define HEALTH_OFFLINE "{\"state\":\"offline\"}"

/* Watches the heartbeats of the lines. */
struct health_watch; /* opaque */

struct health_watch *health_watch_new(size_t n_lines);
struct health_watch *health_watch_free(struct health_watch *watch); /* returns NULL */

/*
 * True while every line has moved within the last STUCK_MS. *RET_STUCK is the index of the first
 * that has not, untouched otherwise. Call it more often than STUCK_MS.
 */
bool health_watch_ok(struct health_watch *watch, const struct health_view *view, int64_t now_ms,
                     int64_t stuck_ms, size_t *ret_stuck);

const char *line_state_name(enum line_state state);
const char *unit_state_name(enum unit_state state);

#endif
