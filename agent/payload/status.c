/* The status document. */
#include "agent/payload/status.h"

#include "tunnel/firewall/firewall.h"
#include "tunnel/model/session.h"

#include <stdio.h>

static const char *line_state_name(enum line_state state)
{
    switch (state) {
    case LINE_CONNECTING:
        return "connecting";
    case LINE_UP:
        return "up";
    case LINE_DOWN:
        return "down";
    }
    return "unknown";
}

static const char *device_state_name(enum device_state state)
{
    switch (state) {
    case UNIT_UNKNOWN:
        return "unknown";
    case UNIT_OK:
        return "ok";
    case UNIT_FAILING:
        return "failing";
    case UNIT_TRIPPED:
        return "tripped";
    }
    return "unknown";
}

static void status_add_device(struct line *line, const struct config_device *device, size_t index,
                              struct json_text *json)
{
    struct device_health health;
    line_get_device_health(line, index, &health);
    json_text_open_object(json, device->name);
    json_text_string(json, "state", device_state_name(health.state));
    json_text_u64(json, "polls_ok", health.polls_ok);
    json_text_u64(json, "polls_failed", health.polls_failed);
    json_text_fixed(json, "last_ms", (double)health.last_us / 1000, 3);
    if (health.polls_late > 0)
        json_text_u64(json, "polls_late", health.polls_late);
    if (health.error[0] && (health.state != UNIT_OK || health.is_late))
        json_text_string(json, "error", health.error);
    json_text_close_object(json);
}

static void add_line(const struct status_facts *facts, size_t bus, struct json_text *json)
{
    struct line *line = facts->lines[bus];
    struct line_health health;
    size_t n_devices;
    line_get_health(line, &health);
    json_text_open_object(json, facts->config->buses[bus].name);
    json_text_string(json, "state", line_state_name(health.state));
    json_text_u64(json, "polls_ok", health.polls_ok);
    json_text_u64(json, "polls_failed", health.polls_failed);
    json_text_u64(json, "polls_skipped", health.polls_skipped);
    json_text_u64(json, "refused", health.batches_refused);
    if (health.error[0] && health.state != LINE_UP)
        json_text_string(json, "error", health.error);
    json_text_open_object(json, "units");
    const size_t *devices = line_devices(line, &n_devices);
    for (size_t i = 0; i < n_devices; i++)
        status_add_device(line, &line_config(line)->devices[devices[i]], devices[i], json);
    json_text_close_object(json);
    json_text_close_object(json);
}

static void add_lines(const struct status_facts *facts, struct json_text *json)
{
    json_text_open_object(json, "lines");
    for (size_t bus = 0; bus < facts->config->n_buses; bus++) {
        if (facts->lines[bus])
            add_line(facts, bus, json);
    }
    json_text_close_object(json);
}

static void add_outbox(const struct status_facts *facts, struct json_text *json)
{
    const struct outbox_stats *stats = &facts->outbox;
    json_text_open_object(json, "outbox");
    json_text_string(json, "stream", facts->stream);
    json_text_u64(json, "messages", stats->messages);
    json_text_u64(json, "bytes", stats->bytes);
    json_text_u64(json, "max_bytes", stats->max_bytes);
    json_text_u64(json, "dropped", stats->dropped);
    json_text_u64(json, "next_seq", stats->next_seq);
    if (stats->runway_h < 0)
        json_text_null(json, "runway_h"); /* not known yet */
    else
        json_text_fixed(json, "runway_h", stats->runway_h, 1);
    if (stats->problem[0])
        json_text_string(json, "problem", stats->problem);
    if (stats->unsafe_since_ms) {
        json_text_i64(json, "unsafe_since", stats->unsafe_since_ms);
        json_text_string(json, "unsafe_reason", stats->unsafe_reason);
    }
    json_text_close_object(json);
}

static void add_uplink(const struct uplink_health *uplink, struct json_text *json)
{
    json_text_open_object(json, "uplink");
    json_text_string(json, "state", uplink_phase_name(uplink->phase));
    json_text_string(json, "server", uplink->server);
    json_text_string(json, "reason", uplink->reason);
    json_text_i64(json, "since", uplink->since_wall_ms);
    json_text_i64(json, "next_attempt_ms", uplink->next_attempt_ms);
    json_text_u64(json, "connects", uplink->connects);
    json_text_u64(json, "failures", uplink->failures);
    json_text_u64(json, "published", uplink->published);
    json_text_u64(json, "acknowledged", uplink->acknowledged);
    json_text_u64(json, "in_flight", uplink->in_flight);
    json_text_close_object(json);
}

static void add_firewall(const struct status_facts *facts, struct json_text *json)
{
    const struct wire_status *status = facts->netd;
    const struct wire_counters *counters = facts->counters;
    json_text_open_object(json, "firewall");
    json_text_string(json, "state",
                     status ? firewall_state_names[status->firewall_state] : "unknown");
    if (status) {
        json_text_u64(json, "exceptions", status->firewall_exceptions);
        json_text_u64(json, "reloads", status->firewall_reloads);
        json_text_string(json, "agent", agent_reach_names[status->agent_reach]);
    }
    if (status && counters) {
        json_text_u64(json, "dropped_in", counters->dropped_in);
        json_text_u64(json, "dropped_forward", counters->dropped_forward);
        json_text_u64(json, "dropped_out", counters->dropped_out);
        json_text_u64(json, "spoofed", counters->spoofed);
    }
    if (status && status->firewall_problem[0])
        json_text_string(json, "problem", status->firewall_problem);
    json_text_close_object(json);
}

static void add_session(const struct wire_status *status, struct json_text *json)
{
    if (status->session_state == SESSION_CLOSED) {
        if (status->session_end != SESSION_END_NONE)
            json_text_string(json, "last_end", session_end_names[status->session_end]);
        return;
    }
    json_text_open_array(json, "services");
    for (uint32_t i = 0; i < status->n_services; i++)
        json_text_string(json, NULL, status->services[i]);
    json_text_close_array(json);
    json_text_i64(json, "remaining_s", status->remaining_ms / 1000);
    json_text_u64(json, "bytes", status->bytes);
    json_text_string(json, "opener", status->opener);
    json_text_string(json, "reason", status->reason);
}

static void add_tunnel(const struct wire_status *status, struct json_text *json)
{
    json_text_open_object(json, "tunnel");
    json_text_string(json, "state",
                     status ? session_state_names[status->session_state] : "unknown");
    if (status)
        add_session(status, json);
    json_text_close_object(json);
}

static void status_add_name(const struct config_gateway *gateway, struct json_text *json)
{
    char name[2 * 64 + 2];
    (void)snprintf(name, sizeof(name), "%s/%s", gateway->site, gateway->id);
    json_text_string(json, "gateway", name);
}

void status_json(const struct status_facts *facts, bool local, struct json_text *json)
{
    json_text_open_object(json, NULL);
    json_text_string(json, "state", "online");
    json_text_i64(json, "timestamp", facts->wall_ms);
    json_text_string(json, "version", SALLYPORT_VERSION);
    json_text_i64(json, "uptime_s", facts->uptime_s);
    if (local) {
        status_add_name(&facts->config->gateway, json);
        add_uplink(&facts->uplink, json);
    }
    add_lines(facts, json);
    add_outbox(facts, json);
    add_firewall(facts, json);
    add_tunnel(facts->netd, json);
    json_text_close_object(json);
}
