/* What the gateway says of itself. */
#include "agent/gateway/status.h"

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/payload/encode.h"

#include <stdlib.h>
#include <string.h>

const char *line_state_name(enum line_state state)
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

const char *device_state_name(enum device_state state)
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

static void add_text(struct strbuf *out, const char *key, const char *text)
{
    strbuf_addf(out, "\"%s\":", key);
    json_add_string(out, text, strlen(text));
}

static void add_unit(struct line *line, const struct config_device *device, size_t index,
                     struct strbuf *out)
{
    struct device_health unit;
    line_get_device_health(line, index, &unit);
    strbuf_addf(out,
                "\"%s\":{\"state\":\"%s\",\"polls_ok\":%llu,\"polls_failed\":%llu,"
                "\"last_ms\":%.3f",
                device->name, device_state_name(unit.state), (unsigned long long)unit.polls_ok,
                (unsigned long long)unit.polls_failed, (double)unit.last_us / 1000);
    if (unit.error[0] && unit.state != UNIT_OK) {
        strbuf_add_char(out, ',');
        add_text(out, "error", unit.error);
    }
    strbuf_add_char(out, '}');
}

static void add_line(const struct status_view *view, size_t bus, struct strbuf *out)
{
    struct line_health line;
    size_t n_devices;
    line_get_health(view->lines[bus], &line);
    strbuf_addf(out,
                "\"%s\":{\"state\":\"%s\",\"polls_ok\":%llu,\"polls_failed\":%llu,"
                "\"polls_skipped\":%llu,\"refused\":%llu",
                view->config->buses[bus].name, line_state_name(line.state),
                (unsigned long long)line.polls_ok, (unsigned long long)line.polls_failed,
                (unsigned long long)line.polls_skipped, (unsigned long long)line.batches_refused);
    if (line.error[0] && line.state != LINE_UP) {
        strbuf_add_char(out, ',');
        add_text(out, "error", line.error);
    }
    strbuf_add(out, ",\"units\":{");
    const size_t *devices = line_devices(view->lines[bus], &n_devices);
    for (size_t i = 0; i < n_devices; i++) {
        if (i > 0)
            strbuf_add_char(out, ',');
        add_unit(view->lines[bus], &view->config->devices[devices[i]], devices[i], out);
    }
    strbuf_add(out, "}}");
}

static void add_lines(const struct status_view *view, struct strbuf *out)
{
    bool first = true;
    strbuf_add(out, ",\"lines\":{");
    for (size_t bus = 0; bus < view->config->n_buses; bus++) {
        if (!view->lines[bus])
            continue;
        if (!first)
            strbuf_add_char(out, ',');
        first = false;
        add_line(view, bus, out);
    }
    strbuf_add_char(out, '}');
}

static void add_outbox(const struct status_view *view, int64_t now_ms, struct strbuf *out)
{
    struct outbox_stats stats;
    outbox_get_stats(view->outbox, now_ms, &stats);
    strbuf_addf(out,
                ",\"outbox\":{\"stream\":\"%s\",\"messages\":%llu,\"bytes\":%llu,"
                "\"max_bytes\":%llu,\"dropped\":%llu,\"next_seq\":%llu,\"runway_h\":",
                outbox_stream(view->outbox), (unsigned long long)stats.messages,
                (unsigned long long)stats.bytes, (unsigned long long)stats.max_bytes,
                (unsigned long long)stats.dropped, (unsigned long long)stats.next_seq);
    if (stats.runway_h < 0)
        strbuf_add(out, "null"); /* nothing known yet */
    else
        strbuf_addf(out, "%.1f", stats.runway_h);
    if (stats.problem[0]) {
        strbuf_add_char(out, ',');
        add_text(out, "problem", stats.problem);
    }
    strbuf_add_char(out, '}');
}

static void add_uplink(const struct status_view *view, struct strbuf *out)
{
    struct uplink_health uplink;
    uplink_get_health(view->uplink, &uplink);
    strbuf_addf(out, ",\"uplink\":{\"state\":\"%s\",", uplink_phase_name(uplink.phase));
    add_text(out, "server", uplink.server);
    strbuf_add_char(out, ',');
    add_text(out, "reason", uplink.reason);
    strbuf_addf(out,
                ",\"since\":%lld,\"next_attempt_ms\":%lld,\"connects\":%llu,\"failures\":%llu,"
                "\"published\":%llu,\"acknowledged\":%llu,\"in_flight\":%zu}",
                (long long)uplink.since_wall_ms, (long long)uplink.next_attempt_ms,
                (unsigned long long)uplink.connects, (unsigned long long)uplink.failures,
                (unsigned long long)uplink.published, (unsigned long long)uplink.acknowledged,
                uplink.in_flight);
}

void status_write(const struct status_view *view, bool local, struct strbuf *out)
{
    int64_t now_ns = clock_mono_ns();
    strbuf_addf(out,
                "{\"state\":\"online\",\"timestamp\":%lld,\"version\":\"%s\",\"uptime_s\":%lld",
                (long long)clock_wall_ms(), SALLYPORT_VERSION,
                (long long)((now_ns - view->started_mono_ns) / CLOCK_NS_PER_S));
    if (local) {
        strbuf_addf(out, ",\"gateway\":\"%s/%s\"", view->config->gateway.site,
                    view->config->gateway.id);
        add_uplink(view, out);
    }
    add_lines(view, out);
    add_outbox(view, now_ns / CLOCK_NS_PER_MS, out);
    strbuf_add_char(out, ',');
    netd_watch_status(view->netd, out);
    strbuf_add_char(out, '}');
}

struct beat {
    uint64_t count;
    int64_t seen_ms; /* when the count last rose */
};

struct liveness {
    size_t n_lines;
    struct beat beats[];
};

struct liveness *liveness_new(size_t n_lines)
{
    struct liveness *watch = memory_zeroed(1, sizeof(*watch) + n_lines * sizeof(watch->beats[0]));
    watch->n_lines = n_lines;
    return watch;
}

struct liveness *liveness_free(struct liveness *watch)
{
    free(watch);
    return NULL;
}

bool liveness_ok(struct liveness *watch, const struct status_view *view, int64_t now_ms,
                 int64_t stuck_ms, size_t *ret_stuck)
{
    for (size_t i = 0; i < watch->n_lines; i++) {
        struct beat *beat = &watch->beats[i];
        struct line_health line;
        if (!view->lines[i])
            continue;
        line_get_health(view->lines[i], &line);
        if (line.heartbeat != beat->count || beat->seen_ms == 0) {
            beat->count = line.heartbeat;
            beat->seen_ms = now_ms;
        } else if (now_ms - beat->seen_ms > stuck_ms) {
            *ret_stuck = i;
            return false;
        }
    }
    return true;
}
