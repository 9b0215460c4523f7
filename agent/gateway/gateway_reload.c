/* The gateway's configuration changes while it runs. */
#include "agent/gateway/gateway_reload.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/gateway/gateway_events.h"
#include "agent/gateway/gateway_private.h"
#include "config/load/diff.h"
#include "config/load/load.h"
#include "drivers/driver.h"

#include <string.h>

/* ---- the report ---- */

void reload_report_free(struct reload_report *report)
{
    strbuf_free(&report->reason);
    strbuf_free(&report->changes);
    strbuf_free(&report->started);
    strbuf_free(&report->ended);
}

static void write_lines(struct json_text *json, const char *key, const struct strbuf *lines)
{
    json_text_open_array(json, key);
    for (const char *at = strbuf_text(lines); *at;) {
        size_t length = strcspn(at, "\n");
        json_text_bytes(json, NULL, at, length);
        at += length + (at[length] == '\n');
    }
    json_text_close_array(json);
}

void reload_report_write(const struct reload_report *report, struct json_text *json)
{
    write_lines(json, "changes", &report->changes);
    write_lines(json, "started", &report->started);
    write_lines(json, "ended", &report->ended);
    json_text_bool(json, "reconnects", report->reconnects);
}

/* Which lines of OLD end, and which of FRESH start, is the same question for both. */
static void note_lines(const struct config *old, const struct config *fresh, const bool *touched,
                       struct reload_report *report)
{
    for (size_t i = 0; i < fresh->n_buses; i++) {
        if (touched[i] && line_group_count(fresh, i) > 0)
            strbuf_addf(&report->started, "%s\n", fresh->buses[i].name);
    }
    for (size_t i = 0; i < old->n_buses; i++) {
        const struct config_bus *now = config_find_bus(fresh, old->buses[i].name);
        bool was_there = line_group_count(old, i) > 0;
        if (was_there && (!now || line_group_count(fresh, (size_t)(now - fresh->buses)) == 0))
            strbuf_addf(&report->ended, "%s\n", old->buses[i].name);
    }
}

/* ---- refusing ---- */

/* WHY may have several lines; only the first ones are reported. */
static void reject(struct gateway *gateway, const char *why, struct reload_report *report)
{
    gateway_events_summary(why, &report->reason);
    gateway_events_text(gateway->intake, EVENT_CONFIG_REJECTED, MEMBER_REASON,
                        strbuf_text(&report->reason));
    log_error("gateway",
              "reload refused, the running configuration stays in force; `sallyport check` has all "
              "findings: %s",
              strbuf_text(&report->reason));
}

/* The files that the running configuration came from, read again; NULL after refusing them. */
static struct config *load_again(struct gateway *gateway, struct reload_report *report)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    struct config *fresh = NULL;
    const char *file = gateway->current->config->files[0];
    if (config_load(file, drivers_for_config(), &findings, &fresh) == 0)
        return fresh;
    findings_sort(&findings);
    findings_print(&findings, &text);
    reject(gateway, strbuf_text(&text), report);
    return NULL;
}

/* ---- applying ---- */

/* Also publishes `offline` at the old broker: the new settings may name another one. */
static int reconnect(struct gateway *gateway, const struct config_uplink *uplink)
{
    announcer_farewell(gateway->announcer);
    int problem = uplink_reconfigure(gateway->uplink, uplink);
    if (problem < 0) {
        announcer_status_soon(gateway->announcer, clock_mono_ns() / CLOCK_NS_PER_MS);
        return problem;
    }
    publisher_set_window(gateway->publisher, uplink->window);
    gateway->certificate_due_ms = 0;
    return 0;
}

static void use(struct gateway *gateway, struct generation *fresh)
{
    generation_unref(gateway->current);
    gateway->current = generation_ref(fresh);
    log_set_level((enum log_level)fresh->config->gateway.log_level);
}

/* Changes nothing unless it returns 0; else WHY says what prevents the change. */
static int apply(struct gateway *gateway, struct generation *fresh, const struct config_diff *diff,
                 const char **ret_why)
{
    struct plant_change *change = NULL;
    *ret_why = "a line cannot be set up; the log says why";
    /* Also when no line changes: their places in the list may be different. */
    int problem = plant_prepare(gateway->plant, fresh, diff->lines, &change);
    if (problem >= 0 && diff->changes[RELOAD_UPLINK]) {
        *ret_why = "the settings of the uplink cannot work; the log says why";
        problem = reconnect(gateway, &fresh->config->uplink);
    }
    if (problem < 0) {
        plant_change_free(change);
        return problem;
    }
    use(gateway, fresh);
    if (plant_commit(gateway->plant, change) < 0)
        (void)sd_event_exit(gateway->loop, 1); /* logged; systemd restarts the agent */
    return 0;
}

static void announce(struct gateway *gateway, const struct reload_report *report)
{
    CLEANUP(strbuf_free) struct strbuf summary = STRBUF_EMPTY;
    const struct config *config = gateway->current->config;
    gateway_events_summary(report->changes.length ? report->changes.data : "nothing has changed",
                           &summary);
    gateway_events_text(gateway->intake, EVENT_CONFIG_RELOADED, MEMBER_CHANGES,
                        strbuf_text(&summary));
    log_info("gateway", "configuration reloaded buses=%zu devices=%zu: %s", config->n_buses,
             config->n_devices, strbuf_text(&summary));
    announcer_status_soon(gateway->announcer, clock_mono_ns() / CLOCK_NS_PER_MS);
}

/* FRESH differs from the configuration in force: puts it in force if that is possible. */
static void change_to(struct gateway *gateway, struct generation *fresh,
                      struct reload_report *report)
{
    CLEANUP(config_diff_free) struct config_diff diff;
    const char *why = NULL;
    config_diff(gateway->current->config, fresh->config, &diff);
    if (diff.changes[RELOAD_RESTART]) {
        CLEANUP(memory_free_pointer)
        char *text =
            memory_printf("restart the agent for these changes: %s", strbuf_text(&diff.text));
        reject(gateway, text, report);
        return;
    }
    note_lines(gateway->current->config, fresh->config, diff.lines, report);
    if (apply(gateway, fresh, &diff, &why) < 0) {
        reject(gateway, why, report);
        return;
    }
    report->is_applied = true;
    report->reconnects = diff.changes[RELOAD_UPLINK];
    strbuf_append(&report->changes, strbuf_text(&diff.text), diff.text.length);
    announce(gateway, report);
}

void gateway_reload(struct gateway *gateway, struct reload_report *report)
{
    struct config *config = load_again(gateway, report);
    if (!config)
        return;
    struct generation *fresh = generation_new(config);
    change_to(gateway, fresh, report);
    generation_unref(fresh);
}
