/*
 * The gateway. Handlers only change state; once per pass of the loop, after them, `settle` makes
 * it durable and sends it: commit, then publish, then set the timers.
 */
#include "agent/gateway.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/control.h"
#include "agent/encode.h"
#include "agent/health.h"
#include "agent/live_view.h"
#include "agent/notice.h"
#include "agent/outbox.h"
#include "agent/pipeline.h"
#include "agent/publisher.h"
#include "agent/uplink.h"
#include "agent/warden_watch.h"
#include "drivers/line.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-daemon.h>

#define BATCHES_A_PASS 256
#define STATUS_PERIOD_MS 60000
#define STATUS_SETTLE_MS 1000 /* a burst of changes makes one status */
#define STOP_TIMEOUT_MS 3000
#define STUCK_MS                                                                                   \
    150000 /* a driver may dial and ask in one turn, each for its timeout of up to 60 s */
#define TIMER_ACCURACY_US 5000
#define CERTIFICATE_PERIOD_MS (24 * INT64_C(3600000))
#define NEVER_MS INT64_MAX

struct gateway {
    struct config *config; /* the generation in force */
    struct config *first;  /* the one that the uplink was made from; may be the same */
    sd_event *loop;
    const struct encoder *encoder;
    struct outbox *outbox;
    struct pipeline *pipeline;
    struct uplink *uplink;
    struct publisher *publisher;
    struct line **lines; /* of each bus; NULL for a bus without devices */
    struct control *control;
    struct warden_watch *warden;
    struct health_watch *watch;
    char *prefix, *status_topic;
    struct strbuf status;                                               /* reused */
    char store_problem[sizeof(((struct outbox_stats *)NULL)->problem)]; /* the one that is known */
    int64_t started_mono_ns;
    int64_t status_due_ms, tick_due_ms, pump_due_ms, certificate_due_ms; /* monotonic */
    int64_t timer_ms;     /* what the timer is set to */
    uint64_t watchdog_us; /* 0: no watchdog */
    sd_event_source *queue_source, *timer_source, *settle_source, *watchdog_source;
};

static int64_t now_ms(void)
{
    return clock_mono_ns() / CLOCK_NS_PER_MS;
}

static struct health_view view_of(const struct gateway *gateway)
{
    return (struct health_view){
        .config = gateway->config,
        .lines = gateway->lines,
        .outbox = gateway->outbox,
        .uplink = gateway->uplink,
        .warden = gateway->warden,
        .started_mono_ns = gateway->started_mono_ns,
    };
}

static void status_soon(struct gateway *gateway)
{
    int64_t due_ms = now_ms() + STATUS_SETTLE_MS;
    if (due_ms < gateway->status_due_ms)
        gateway->status_due_ms = due_ms;
}

/* Publishes the retained status; a full window only delays it. */
static void publish_status(struct gateway *gateway)
{
    struct health_view view = view_of(gateway);
    strbuf_reset(&gateway->status);
    health_status(&view, false, &gateway->status);
    int outcome = uplink_publish(gateway->uplink, gateway->status_topic, gateway->status.data,
                                 gateway->status.length, true, 0);
    gateway->status_due_ms = now_ms() + (outcome == -EAGAIN ? STATUS_SETTLE_MS : STATUS_PERIOD_MS);
}

/* --- the lines reach up ------------------------------------------------------------------- */

static void line_event(void *context, enum line_event event, size_t owner, int64_t timestamp_ms)
{
    struct gateway *gateway = context;
    notice_line(gateway->pipeline, gateway->config, gateway->lines, event, owner, timestamp_ms);
    status_soon(gateway);
}

/* --- the uplink reaches up ---------------------------------------------------------------- */

static void uplink_went_up(void *context)
{
    struct gateway *gateway = context;
    outbox_link(gateway->outbox, true, now_ms());
    publish_status(gateway);
}

static void uplink_went_down(void *context, const char *reason)
{
    struct gateway *gateway = context;
    (void)reason; /* the uplink has logged it */
    outbox_link(gateway->outbox, false, now_ms());
}

static void uplink_acknowledged(void *context, uint64_t tag)
{
    struct gateway *gateway = context;
    if (tag != 0)
        outbox_release(gateway->outbox, tag);
}

/* --- the warden reaches up ---------------------------------------------------------------- */

static bool warden_event(void *context, const char *name, int64_t timestamp_ms,
                         const struct event_field *fields, size_t n_fields)
{
    struct gateway *gateway = context;
    return pipeline_event(gateway->pipeline, name, timestamp_ms, fields, n_fields) != 0 &&
           outbox_commit(gateway->outbox, now_ms()) == 0;
}

static void warden_changed(void *context)
{
    status_soon(context);
}

/* --- the local socket asks ---------------------------------------------------------------- */

static void control_status(void *context, struct strbuf *out)
{
    struct health_view view = view_of(context);
    health_status(&view, true, out);
}

static int control_values(void *context, const char *device, struct strbuf *out)
{
    struct gateway *gateway = context;
    return live_view(gateway->config, pipeline_values(gateway->pipeline), device, out);
}

static int control_read(void *context, const char *bus, const struct driver_request *request,
                        line_request_done done, void *done_context)
{
    struct gateway *gateway = context;
    for (size_t i = 0; i < gateway->config->n_buses; i++) {
        if (strcmp(gateway->config->buses[i].name, bus) == 0 && gateway->lines[i])
            return line_request(gateway->lines[i], request, done, done_context);
    }
    return -ENOENT;
}

/* --- the loop ----------------------------------------------------------------------------- */

static int on_queue(sd_event_source *source, int descriptor, uint32_t events, void *userdata)
{
    struct gateway *gateway = userdata;
    (void)source, (void)descriptor, (void)events;
    (void)pipeline_drain(gateway->pipeline, BATCHES_A_PASS);
    return 0;
}

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
    if (notice_store(stats.problem, gateway->store_problem, sizeof(gateway->store_problem)))
        status_soon(gateway);
}

/* After the handlers of each pass. */
static int settle(sd_event_source *source, void *userdata)
{
    struct gateway *gateway = userdata;
    (void)source;
    int64_t at_ms = now_ms();
    uplink_collect(gateway->uplink);
    pipeline_report_losses(gateway->pipeline);
    if (outbox_commit(gateway->outbox, at_ms) < 0)
        log_debug("outbox", "commit failed; tried again with the next pass");
    int64_t pause_ms = publisher_pump(gateway->publisher, at_ms);
    gateway->pump_due_ms = pause_ms < 0 ? NEVER_MS : at_ms + pause_ms;
    if (at_ms >= gateway->status_due_ms)
        publish_status(gateway);
    if (at_ms >= gateway->tick_due_ms)
        tick_store(gateway, at_ms);
    if (at_ms >= gateway->certificate_due_ms) {
        gateway->certificate_due_ms = at_ms + CERTIFICATE_PERIOD_MS;
        notice_certificates(gateway->pipeline, &gateway->config->uplink);
    }
    const int64_t due_ms[] = {gateway->tick_due_ms, gateway->pump_due_ms, gateway->status_due_ms,
                              gateway->certificate_due_ms};
    int64_t first_ms = NEVER_MS;
    for (size_t i = 0; i < ARRAY_LENGTH(due_ms); i++)
        first_ms = due_ms[i] < first_ms ? due_ms[i] : first_ms;
    set_timer(gateway, first_ms);
    return 0;
}

static int on_timer(sd_event_source *source, uint64_t at_us, void *userdata)
{
    struct gateway *gateway = userdata;
    (void)source, (void)at_us;
    gateway->timer_ms = 0; /* settle() does what is due and sets it anew */
    return 0;
}

static int on_watchdog(sd_event_source *source, uint64_t at_us, void *userdata)
{
    struct gateway *gateway = userdata;
    struct health_view view = view_of(gateway);
    size_t stuck = 0;
    if (health_watch_ok(gateway->watch, &view, now_ms(), STUCK_MS, &stuck))
        (void)sd_notify(false, "WATCHDOG=1");
    else
        log_error("gateway",
                  "line=%s: its worker has not moved for %d s; the watchdog is no "
                  "longer fed, systemd will restart the agent",
                  gateway->config->buses[stuck].name, STUCK_MS / 1000);
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

static int start_loop(struct gateway *gateway)
{
    int problem =
        sd_event_add_io(gateway->loop, &gateway->queue_source,
                        pipeline_descriptor(gateway->pipeline), EPOLLIN, on_queue, gateway);
    if (problem >= 0)
        problem = sd_event_add_time(gateway->loop, &gateway->timer_source, CLOCK_MONOTONIC, 1,
                                    TIMER_ACCURACY_US, on_timer, gateway);
    if (problem >= 0)
        problem = sd_event_add_post(gateway->loop, &gateway->settle_source, settle, gateway);
    if (problem >= 0)
        problem = start_watchdog(gateway);
    return problem;
}

/* --- start and stop ----------------------------------------------------------------------- */

static int open_outbox(struct gateway *gateway)
{
    const struct config *config = gateway->config;
    CLEANUP(strbuf_free) struct strbuf warning = STRBUF_EMPTY;
    const struct outbox_settings settings = {
        .state_dir = config->gateway.state_dir,
        .runtime_dir = config->gateway.runtime_dir,
        .max_bytes = (uint64_t)config->outbox.max_mib << 20,
        .spill_after_ms = config->outbox.spill_after_ms,
        .sync_ms = config->outbox.sync_ms,
    };
    int problem = outbox_open(&settings, clock_wall_ms(), &warning, &gateway->outbox);
    if (problem < 0)
        log_error("outbox", "state_dir=%s: %s", settings.state_dir,
                  warning.length ? strbuf_text(&warning) : strerror(-problem));
    else if (warning.length)
        log_warning("outbox", "%s", strbuf_text(&warning));
    return problem;
}

static int make_uplink(struct gateway *gateway)
{
    const struct uplink_identity identity = {.will_topic = gateway->status_topic,
                                             .will_payload = HEALTH_OFFLINE};
    const struct uplink_callbacks callbacks = {.up = uplink_went_up,
                                               .down = uplink_went_down,
                                               .acknowledged = uplink_acknowledged,
                                               .context = gateway};
    int problem = uplink_new(&gateway->config->uplink, &identity, &callbacks, gateway->loop,
                             &gateway->uplink);
    if (problem < 0)
        log_error("uplink", "cannot be set up: %s", strerror(-problem));
    return problem;
}

static int make_lines(struct gateway *gateway)
{
    const struct config *config = gateway->config;
    const struct line_callbacks callbacks = {.deliver = pipeline_deliver,
                                             .context = gateway->pipeline};
    size_t total = 0, phase = 0;
    for (size_t bus = 0; bus < config->n_buses; bus++)
        total += line_group_count(config, bus);
    for (size_t bus = 0; bus < config->n_buses; bus++) {
        size_t groups = line_group_count(config, bus);
        if (groups == 0)
            continue; /* nothing to poll */
        int problem = line_new(config, bus, &callbacks, phase, total, &gateway->lines[bus]);
        if (problem < 0) {
            log_error("line", "line=%s: cannot be set up: %s", config->buses[bus].name,
                      strerror(-problem));
            return problem;
        }
        phase += groups;
    }
    return 0;
}

static int start_lines(struct gateway *gateway)
{
    for (size_t bus = 0; bus < gateway->config->n_buses; bus++) {
        int problem = gateway->lines[bus] ? line_start(gateway->lines[bus]) : 0;
        if (problem < 0) {
            log_error("line", "line=%s: cannot start its worker: %s",
                      gateway->config->buses[bus].name, strerror(-problem));
            return problem;
        }
    }
    return 0;
}

static int watch_warden(struct gateway *gateway)
{
    const struct warden_watch_callbacks callbacks = {
        .event = warden_event, .changed = warden_changed, .context = gateway};
    int problem =
        warden_watch_new(&gateway->first->gateway, &callbacks, gateway->loop, &gateway->warden);
    if (problem < 0)
        log_error("warden", "its client cannot be set up: %s", strerror(-problem));
    return problem;
}

static int open_control(struct gateway *gateway)
{
    const struct control_callbacks callbacks = {.status = control_status,
                                                .values = control_values,
                                                .read = control_read,
                                                .context = gateway};
    CLEANUP(memory_free_pointer)
    char *path = memory_printf("%s/%s", gateway->config->gateway.runtime_dir, CONTROL_SOCKET_NAME);
    int problem = control_new(path, &callbacks, gateway->loop, &gateway->control);
    if (problem < 0)
        log_error("control", "socket=%s: %s", path,
                  problem == -EADDRINUSE ? "another agent listens there" : strerror(-problem));
    return problem;
}

static void started(struct gateway *gateway)
{
    notice_text(gateway->pipeline, "started", "version", SALLYPORT_VERSION);
    log_info("gateway", "started version=%s gateway=%s/%s stream=%s buses=%zu devices=%zu",
             SALLYPORT_VERSION, gateway->config->gateway.site, gateway->config->gateway.id,
             outbox_stream(gateway->outbox), gateway->config->n_buses, gateway->config->n_devices);
}

static void name_topics(struct gateway *gateway)
{
    const struct config *config = gateway->config;
    gateway->prefix =
        memory_printf("%s/%s/%s", config->uplink.prefix, config->gateway.site, config->gateway.id);
    gateway->status_topic = memory_printf("%s/status", gateway->prefix);
}

static int start(struct gateway *gateway)
{
    const struct config *config = gateway->config;
    const struct pipeline_callbacks callbacks = {.line_event = line_event, .context = gateway};
    name_topics(gateway);
    gateway->encoder = encoder_of((enum payload_format)config->uplink.format);
    assert(gateway->encoder); /* the configuration check saw to it */
    int problem = open_outbox(gateway);
    if (problem < 0)
        return problem;
    gateway->pipeline = pipeline_new(config, gateway->encoder, gateway->outbox, &callbacks);
    problem = make_uplink(gateway);
    if (problem < 0)
        return problem;
    gateway->publisher = publisher_new(gateway->prefix, config->uplink.window,
                                       (uint64_t)config->outbox.backlog_rate_kib_s << 10,
                                       gateway->encoder, gateway->outbox, gateway->uplink);
    problem = make_lines(gateway);
    if (problem < 0)
        return problem;
    problem = open_control(gateway);
    if (problem < 0)
        return problem;
    problem = watch_warden(gateway);
    if (problem < 0)
        return problem;
    problem = start_loop(gateway);
    if (problem < 0)
        return problem;
    started(gateway);
    uplink_start(gateway->uplink);
    return start_lines(gateway);
}

int gateway_start(struct config *config, sd_event *loop, struct gateway **ret_gateway)
{
    struct gateway *gateway = memory_zeroed(1, sizeof(*gateway));
    gateway->config = config;
    gateway->first = config;
    gateway->loop = sd_event_ref(loop);
    gateway->started_mono_ns = clock_mono_ns();
    gateway->lines = memory_zeroed(config->n_buses, sizeof(struct line *));
    gateway->watch = health_watch_new(config->n_buses);
    gateway->status_due_ms = NEVER_MS;
    int problem = start(gateway);
    if (problem < 0) {
        (void)gateway_stop(gateway);
        return problem;
    }
    *ret_gateway = gateway;
    return 0;
}

static void stop_lines(struct gateway *gateway)
{
    for (size_t bus = 0; bus < gateway->config->n_buses; bus++) {
        if (gateway->lines[bus])
            line_stop(gateway->lines[bus]); /* all at once: each may be in a timeout */
    }
    for (size_t bus = 0; bus < gateway->config->n_buses; bus++)
        gateway->lines[bus] = line_free(gateway->lines[bus]);
}

/* Sends what the window takes, then `offline`; what is left goes to disk. */
static bool say_goodbye(struct gateway *gateway)
{
    if (gateway->pipeline) {
        while (pipeline_drain(gateway->pipeline, BATCHES_A_PASS) > 0)
            ;
        (void)pipeline_event(gateway->pipeline, "stopping", clock_wall_ms(), NULL, 0);
        pipeline_report_losses(gateway->pipeline);
        (void)outbox_commit(gateway->outbox, now_ms());
    }
    if (gateway->publisher)
        (void)publisher_pump(gateway->publisher, now_ms());
    if (!gateway->uplink)
        return true;
    (void)uplink_publish(gateway->uplink, gateway->status_topic, HEALTH_OFFLINE,
                         strlen(HEALTH_OFFLINE), true, 0);
    return uplink_stop(gateway->uplink, STOP_TIMEOUT_MS);
}

bool gateway_stop(struct gateway *gateway)
{
    if (!gateway)
        return true;
    sd_event_source_disable_unref(gateway->watchdog_source);
    sd_event_source_disable_unref(gateway->settle_source);
    sd_event_source_disable_unref(gateway->timer_source);
    sd_event_source_disable_unref(gateway->queue_source);
    stop_lines(gateway);
    gateway->control = control_free(gateway->control);
    gateway->warden = warden_watch_free(gateway->warden);
    bool clean = say_goodbye(gateway);
    gateway->publisher = publisher_free(gateway->publisher);
    if (clean)
        gateway->uplink = uplink_free(gateway->uplink);
    gateway->pipeline = pipeline_free(gateway->pipeline);
    gateway->outbox = outbox_close(gateway->outbox);
    if (!clean)
        return false; /* the client's threads may still use what is left */
    health_watch_free(gateway->watch);
    strbuf_free(&gateway->status);
    free(gateway->lines);
    free(gateway->prefix);
    free(gateway->status_topic);
    sd_event_unref(gateway->loop);
    if (gateway->first != gateway->config)
        config_free(gateway->first);
    config_free(gateway->config);
    free(gateway);
    return true;
}

/* --- reload ------------------------------------------------------------------------------- */

void gateway_reject(struct gateway *gateway, const char *why)
{
    CLEANUP(strbuf_free) struct strbuf summary = STRBUF_EMPTY;
    notice_summary(why, &summary);
    notice_text(gateway->pipeline, "config_rejected", "reason", strbuf_text(&summary));
    log_error("gateway",
              "reload refused, the running configuration stays; `sallyport check` has all "
              "findings: %s",
              strbuf_text(&summary));
}

/* The lines and all that is sized by them are made anew; store and session are not touched. */
static int change_plant(struct gateway *gateway, struct config *fresh)
{
    const struct pipeline_callbacks callbacks = {.line_event = line_event, .context = gateway};
    struct config *old = gateway->config;
    stop_lines(gateway);
    while (pipeline_drain(gateway->pipeline, BATCHES_A_PASS) > 0)
        ;
    pipeline_report_losses(gateway->pipeline);
    gateway->queue_source = sd_event_source_disable_unref(gateway->queue_source);
    pipeline_free(gateway->pipeline);
    free(gateway->lines);
    health_watch_free(gateway->watch);
    gateway->config = fresh;
    gateway->lines = memory_zeroed(fresh->n_buses, sizeof(struct line *));
    gateway->watch = health_watch_new(fresh->n_buses);
    gateway->pipeline = pipeline_new(fresh, gateway->encoder, gateway->outbox, &callbacks);
    if (old != gateway->first)
        config_free(old);
    int problem =
        sd_event_add_io(gateway->loop, &gateway->queue_source,
                        pipeline_descriptor(gateway->pipeline), EPOLLIN, on_queue, gateway);
    if (problem >= 0)
        problem = make_lines(gateway);
    return problem < 0 ? problem : start_lines(gateway);
}

/* Nothing that a line is made of: the lines go on undisturbed. */
static void change_live(struct gateway *gateway, struct config *fresh)
{
    gateway->config->gateway.log_level = fresh->gateway.log_level;
    config_free(fresh);
}

int gateway_reload(struct gateway *gateway, struct config *fresh)
{
    CLEANUP(strbuf_free) struct strbuf changes = STRBUF_EMPTY, summary = STRBUF_EMPTY;
    enum reload_class class = config_diff(gateway->config, fresh, NULL, &changes);
    if (class >= RELOAD_UPLINK) {
        CLEANUP(memory_free_pointer)
        char *why = memory_printf("restart the agent for these changes: %s", strbuf_text(&changes));
        gateway_reject(gateway, why);
        config_free(fresh);
        return 0;
    }
    int problem = 0;
    if (class == RELOAD_LIVE)
        change_live(gateway, fresh);
    else
        problem = change_plant(gateway, fresh);
    if (problem < 0)
        return problem;
    log_set_level((enum log_level)gateway->config->gateway.log_level);
    notice_summary(changes.length ? changes.data : "nothing has changed", &summary);
    notice_text(gateway->pipeline, "config_reloaded", "changes", strbuf_text(&summary));
    log_info("gateway", "configuration reloaded buses=%zu devices=%zu: %s",
             gateway->config->n_buses, gateway->config->n_devices, strbuf_text(&summary));
    status_soon(gateway);
    return 0;
}
