/*
 * The gateway. Handlers only change state; once per pass of the loop, after them, `settle` commits
 * it, publishes it, and sets the timers, in that order.
 */
#include "agent/gateway/gateway.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/base/min_max.h"
#include "agent/gateway/gateway_events.h"
#include "agent/gateway/gateway_private.h"
#include "agent/gateway/gateway_reload.h"
#include "agent/payload/dialect_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#define STOP_TIMEOUT_MS 3000
#define TIMER_ACCURACY_US 5000
#define CERTIFICATE_PERIOD_MS (24 * INT64_C(3600000))
#define NEVER_MS INT64_MAX

static int64_t now_ms(void)
{
    return clock_mono_ns() / CLOCK_NS_PER_MS;
}

/* --- the facts of the status -------------------------------------------------------------- */

static void get_facts(void *context, struct status_facts *ret_facts)
{
    const struct gateway *gateway = context;
    int64_t now_ns = clock_mono_ns();
    *ret_facts = (struct status_facts){
        .wall_ms = clock_wall_ms(),
        .uptime_s = (now_ns - gateway->started_mono_ns) / CLOCK_NS_PER_S,
        .config = gateway->current->config,
        .lines = plant_lines(gateway->plant),
        .stream = outbox_stream(gateway->outbox),
        .netd = netd_watch_status(gateway->netd),
        .counters = netd_watch_counters(gateway->netd),
    };
    outbox_get_stats(gateway->outbox, now_ns / CLOCK_NS_PER_MS, &ret_facts->outbox);
    uplink_get_health(gateway->uplink, &ret_facts->uplink);
}

static void write_local_status(void *context, struct json_text *json)
{
    struct status_facts facts;
    get_facts(context, &facts);
    status_json(&facts, true, json);
}

static void status_soon(void *context)
{
    struct gateway *gateway = context;
    announcer_status_soon(gateway->announcer, now_ms());
}

/* --- the session with the broker ---------------------------------------------------------- */

static void on_attempt(void *context, struct uplink_opening *opening)
{
    struct gateway *gateway = context;
    gateway->dialect->type->open(gateway->dialect, opening);
}

static void on_link_up(void *context)
{
    struct gateway *gateway = context;
    outbox_link(gateway->outbox, true, now_ms());
    command_relay_link_up(gateway->command_relay);
    announcer_open(gateway->announcer, now_ms());
}

static void on_link_down(void *context, const char *reason)
{
    struct gateway *gateway = context;
    (void)reason; /* the uplink has logged it */
    outbox_link(gateway->outbox, false, now_ms());
    announcer_close(gateway->announcer);
}

static void gateway_on_acknowledged(void *context, uint64_t seq)
{
    struct gateway *gateway = context;
    if (seq != 0)
        outbox_release(gateway->outbox, seq);
}

static void gateway_on_received(void *context, const char *topic, const void *payload,
                                size_t length, bool is_retained)
{
    struct gateway *gateway = context;
    struct dialect_inbound inbound;
    gateway->dialect->type->recognise(gateway->dialect, topic, payload, length, &inbound);
    switch (inbound.kind) {
    case DIALECT_NOTHING:
        return;
    case DIALECT_COMMAND:
        command_relay_received(gateway->command_relay, inbound.text, inbound.length, is_retained,
                               now_ms());
        return;
    case DIALECT_BIRTH:
        announcer_open(gateway->announcer, now_ms());
        return;
    }
}

/* --- netd --------------------------------------------------------------------------------- */

static bool on_netd_event(void *context, const struct event *event)
{
    struct gateway *gateway = context;
    return intake_event(gateway->intake, event) != 0 &&
           outbox_commit(gateway->outbox, now_ms()) == 0;
}

/* --- the loop ----------------------------------------------------------------------------- */

static void set_timer(struct gateway *gateway, int64_t due_ms)
{
    if (due_ms == gateway->timer_ms)
        return;
    gateway->timer_ms = due_ms;
    (void)sd_event_source_set_time(gateway->timer_source, (uint64_t)due_ms * 1000);
    (void)sd_event_source_set_enabled(gateway->timer_source, SD_EVENT_ONESHOT);
}

static void tick_store(struct gateway *gateway, int64_t at_ms)
{
    struct outbox_stats stats;
    gateway->tick_due_ms = outbox_tick(gateway->outbox, at_ms);
    outbox_get_stats(gateway->outbox, at_ms, &stats);
    bool news =
        gateway_events_store(stats.problem, gateway->store_problem, sizeof(gateway->store_problem));
    if (gateway_events_unsafe(gateway->intake, &stats, &gateway->store_unsafe_ms) || news)
        status_soon(gateway);
}

/* Sends what the session takes now; returns when more is due. The opening messages of the session
 * come first. */
static int64_t gateway_publish(struct gateway *gateway, int64_t at_ms)
{
    bool is_open = announcer_is_open(gateway->announcer);
    int64_t relay_due_ms = command_relay_settle(gateway->command_relay, is_open, at_ms);
    int64_t pause_ms = is_open ? publisher_pump(gateway->publisher, at_ms) : -1;
    int64_t due_ms = min_i64(relay_due_ms, announcer_settle(gateway->announcer, at_ms));
    return pause_ms < 0 ? due_ms : min_i64(due_ms, at_ms + pause_ms);
}

/* After the handlers of each pass. */
static int gateway_settle(sd_event_source *source, void *userdata)
{
    struct gateway *gateway = userdata;
    (void)source;
    int64_t at_ms = now_ms();
    uplink_collect(gateway->uplink);
    plant_report_refused(gateway->plant);
    intake_report_gaps(gateway->intake);
    if (outbox_commit(gateway->outbox, at_ms) < 0)
        log_debug("outbox", "commit failed; tried again with the next pass");
    int64_t due_ms = gateway_publish(gateway, at_ms);
    if (at_ms >= gateway->tick_due_ms)
        tick_store(gateway, at_ms);
    if (at_ms >= gateway->certificate_due_ms) {
        gateway->certificate_due_ms = at_ms + CERTIFICATE_PERIOD_MS;
        gateway_events_certificates(gateway->intake, &gateway->current->config->uplink);
    }
    due_ms = min_i64(due_ms, gateway->tick_due_ms);
    set_timer(gateway, min_i64(due_ms, gateway->certificate_due_ms));
    return 0;
}

static int gateway_on_timer(sd_event_source *source, uint64_t at_us, void *userdata)
{
    struct gateway *gateway = userdata;
    (void)source, (void)at_us;
    gateway->timer_ms = 0; /* gateway_settle() does what is due and sets the timer again */
    return 0;
}

static int on_watchdog(sd_event_source *source, uint64_t at_us, void *userdata)
{
    struct gateway *gateway = userdata;
    if (plant_is_alive(gateway->plant, now_ms()))
        (void)sd_notify(false, "WATCHDOG=1");
    (void)sd_event_source_set_time(source, at_us + gateway->watchdog_us / 3);
    (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

static int start_watchdog(struct gateway *gateway)
{
    if (sd_watchdog_enabled(false, &gateway->watchdog_us) <= 0)
        return 0;
    return sd_event_add_time(gateway->loop, &gateway->watchdog_source, CLOCK_MONOTONIC,
                             (uint64_t)now_ms() * 1000, TIMER_ACCURACY_US, on_watchdog, gateway);
}

static int gateway_start_loop(struct gateway *gateway)
{
    int problem = sd_event_add_time(gateway->loop, &gateway->timer_source, CLOCK_MONOTONIC, 1,
                                    TIMER_ACCURACY_US, gateway_on_timer, gateway);
    if (problem >= 0)
        problem =
            sd_event_add_post(gateway->loop, &gateway->settle_source, gateway_settle, gateway);
    if (problem >= 0)
        problem = start_watchdog(gateway);
    if (problem < 0)
        log_error("gateway", "the loop cannot be set up: %s", strerror(-problem));
    return problem;
}

/* --- the parts, in the order in which they are made ---------------------------------------- */

static int make_custody(struct gateway *gateway)
{
    const struct config *config = gateway->current->config;
    CLEANUP(strbuf_free) struct strbuf warning = STRBUF_EMPTY;
    const struct outbox_settings settings = {
        .state_dir = config->gateway.state_dir,
        .runtime_dir = config->gateway.runtime_dir,
        .max_bytes = (uint64_t)config->outbox.max_mib << 20,
        .spill_after_ms = config->outbox.spill_after_ms,
        .sync_ms = config->outbox.sync_ms,
    };
    gateway->dialect = dialect_new(config);
    assert(gateway->dialect); /* the configuration check guarantees it */
    int problem = outbox_open(&settings, clock_wall_ms(), &warning, &gateway->outbox);
    if (problem < 0) {
        log_error("outbox", "state_dir=%s: %s", settings.state_dir,
                  warning.length ? strbuf_text(&warning) : strerror(-problem));
        return problem;
    }
    if (warning.length)
        log_warning("outbox", "%s", strbuf_text(&warning));
    gateway->intake = intake_new(gateway->dialect, gateway->outbox);
    return 0;
}

static int make_uplink(struct gateway *gateway)
{
    const struct config *config = gateway->current->config;
    const struct uplink_callbacks callbacks = {.open = on_attempt,
                                               .up = on_link_up,
                                               .down = on_link_down,
                                               .acknowledged = gateway_on_acknowledged,
                                               .received = gateway_on_received,
                                               .context = gateway};
    int problem = uplink_new(&config->uplink, &callbacks, gateway->loop, &gateway->uplink);
    if (problem < 0) {
        log_error("uplink", "cannot be set up: %s", strerror(-problem));
        return problem;
    }
    gateway->publisher =
        publisher_new(config->uplink.window, (uint64_t)config->outbox.backlog_rate_kib_s << 10,
                      gateway->dialect, gateway->outbox, gateway->uplink);
    gateway->announcer = announcer_new(gateway->dialect, gateway->uplink, get_facts, gateway);
    CLEANUP(memory_free_pointer)
    char *name = memory_printf("%s/%s", config->gateway.site, config->gateway.id);
    gateway->command_relay = command_relay_new(name, gateway->dialect, gateway->uplink);
    return 0;
}

static int make_plant(struct gateway *gateway)
{
    return plant_new(gateway->current, gateway->intake, gateway->loop, status_soon, gateway,
                     &gateway->plant);
}

static bool reload(void *context, struct json_text *json, struct strbuf *reason)
{
    CLEANUP(reload_report_free) struct reload_report report = RELOAD_REPORT_EMPTY;
    gateway_reload(context, &report);
    if (report.is_applied)
        reload_report_write(&report, json);
    else
        strbuf_add(reason, strbuf_text(&report.reason));
    return report.is_applied;
}

static int make_local_socket(struct gateway *gateway)
{
    const struct local_socket_callbacks callbacks = {.status = write_local_status,
                                                     .status_context = gateway,
                                                     .values = plant_values,
                                                     .read = plant_read,
                                                     .plant = gateway->plant,
                                                     .reload = reload,
                                                     .reload_context = gateway};
    CLEANUP(memory_free_pointer)
    char *path =
        memory_printf("%s/%s", gateway->current->config->gateway.runtime_dir, LOCAL_SOCKET_NAME);
    int problem = local_socket_new(path, &callbacks, gateway->loop, &gateway->local_socket);
    if (problem < 0)
        log_error("local", "socket=%s: %s", path,
                  problem == -EADDRINUSE ? "another agent is listening on it" : strerror(-problem));
    return problem;
}

static int make_netd(struct gateway *gateway)
{
    const struct netd_watch_callbacks callbacks = {
        .event = on_netd_event, .changed = status_soon, .context = gateway};
    int problem = netd_watch_new(&gateway->first->config->gateway, gateway->command_relay,
                                 &callbacks, gateway->loop, &gateway->netd);
    if (problem < 0)
        log_error("netd", "its client cannot be set up: %s", strerror(-problem));
    return problem;
}

/* --- start and stop ----------------------------------------------------------------------- */

static int start(struct gateway *gateway)
{
    static int (*const steps[])(struct gateway * gateway) = {
        make_custody, make_uplink, make_plant, make_local_socket, make_netd, gateway_start_loop,
    };
    for (size_t i = 0; i < ARRAY_LENGTH(steps); i++) {
        int problem = steps[i](gateway);
        if (problem < 0)
            return problem; /* logged */
    }
    const struct config *config = gateway->current->config;
    gateway_events_text(gateway->intake, EVENT_STARTED, MEMBER_VERSION, SALLYPORT_VERSION);
    log_info("gateway", "started version=%s gateway=%s/%s stream=%s buses=%zu devices=%zu",
             SALLYPORT_VERSION, config->gateway.site, config->gateway.id,
             outbox_stream(gateway->outbox), config->n_buses, config->n_devices);
    uplink_start(gateway->uplink);
    return plant_start(gateway->plant);
}

int gateway_start(struct config *config, sd_event *loop, struct gateway **ret_gateway)
{
    struct gateway *gateway = memory_zeroed(1, sizeof(*gateway));
    gateway->current = generation_new(config);
    gateway->first = generation_ref(gateway->current);
    gateway->loop = sd_event_ref(loop);
    gateway->started_mono_ns = clock_mono_ns();
    int problem = start(gateway);
    if (problem < 0) {
        (void)gateway_stop(gateway);
        return problem;
    }
    *ret_gateway = gateway;
    return 0;
}

/* What was read goes into custody; the lines have been stopped. */
static void take_last(struct gateway *gateway)
{
    if (!gateway->plant)
        return;
    gateway_events_text(gateway->intake, EVENT_STOPPING, MEMBER_OTHER, NULL);
    plant_report_refused(gateway->plant);
    intake_report_gaps(gateway->intake);
    (void)outbox_commit(gateway->outbox, now_ms());
}

/* Sends what the window takes, then the last status; the rest goes to disk. */
static bool say_goodbye(struct gateway *gateway)
{
    if (!gateway->uplink)
        return true;
    bool is_open = announcer_is_open(gateway->announcer);
    if (is_open)
        (void)publisher_pump(gateway->publisher, now_ms());
    (void)command_relay_settle(gateway->command_relay, is_open, now_ms());
    announcer_farewell(gateway->announcer);
    return uplink_stop(gateway->uplink, STOP_TIMEOUT_MS);
}

static void free_all(struct gateway *gateway)
{
    gateway->uplink = uplink_free(gateway->uplink);
    dialect_free(gateway->dialect);
    sd_event_unref(gateway->loop);
    generation_unref(gateway->first);
    generation_unref(gateway->current);
    free(gateway);
}

bool gateway_stop(struct gateway *gateway)
{
    if (!gateway)
        return true;
    sd_event_source_disable_unref(gateway->watchdog_source);
    sd_event_source_disable_unref(gateway->settle_source);
    sd_event_source_disable_unref(gateway->timer_source);
    if (gateway->plant)
        plant_stop(gateway->plant);
    gateway->local_socket = local_socket_free(gateway->local_socket);
    gateway->netd = netd_watch_free(gateway->netd);
    take_last(gateway);
    bool is_clean = say_goodbye(gateway);
    gateway->publisher = publisher_free(gateway->publisher);
    gateway->announcer = announcer_free(gateway->announcer);
    gateway->command_relay = command_relay_free(gateway->command_relay);
    gateway->plant = plant_free(gateway->plant);
    gateway->intake = intake_free(gateway->intake);
    gateway->outbox = outbox_close(gateway->outbox);
    if (is_clean)
        free_all(gateway); /* else the client's threads may still use what is left */
    return is_clean;
}
