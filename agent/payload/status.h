/*
 * The state of the gateway: the facts, and the JSON document that is made of them (`P/status`,
 * `sallyport status`). Pure but for the snapshots that it takes of the lines; main loop only.
 */
#ifndef SALLYPORT_AGENT_PAYLOAD_STATUS_H
#define SALLYPORT_AGENT_PAYLOAD_STATUS_H

#include "agent/outbox/outbox.h"
#include "agent/payload/json_text.h"
#include "agent/uplink/uplink.h"
#include "config/schema/config.h"
#include "drivers/line/line.h"
#include "tunnel/wire/wire.h"

#include <stdbool.h>
#include <stdint.h>

/* A snapshot; the pointers are valid for one turn of the loop. */
struct status_facts {
    int64_t wall_ms, uptime_s;
    const struct config *config;
    struct line *const *lines; /* config->n_buses of them; NULL: a bus without devices */
    const char *stream;
    struct outbox_stats outbox;
    struct uplink_health uplink;
    const struct wire_status *netd;       /* NULL: netd is not there */
    const struct wire_counters *counters; /* NULL: not known */
};

/* Writes the document, one object; LOCAL adds what is for the command line only (the uplink). */
void status_json(const struct status_facts *facts, bool local, struct json_text *json);

#endif
