/*
 * The gateway. Handlers only change state; once per pass of the loop, after them, `settle` makes
 * it durable and sends it: commit, then publish, then set the timers.
 */
#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/gateway/gateway_events.h"
#include "agent/gateway/gateway_private.h"
#include "agent/gateway/line_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-daemon.h>

#define STATUS_PERIOD_MS 60000
#define STATUS_SETTLE_MS 1000 /* a burst of changes makes one status */
#define STOP_TIMEOUT_MS 3000
#define STUCK_MS                                                                                   \
    150000 /* a driver may dial and ask in one turn, each for its timeout of up to 60 s */
#define TIMER_ACCURACY_US 5000
#define CERTIFICATE_PERIOD_MS (24 * INT64_C(3600000))
#define NEVER_MS INT64_MAX

int64_t gateway_now_ms(void)
{
    return clock_mono_ns() / CLOCK_NS_PER_MS;
}

struct status_view gateway_view(const struct gateway *gateway)
{
    return (struct status_view){
        .config = gateway->config,
        .lines = gateway->lines,
        .outbox = gateway->outbox,
        .uplink = gateway->uplink,
        .netd = gateway->netd,
        .started_mono_ns = gateway->started_mono_ns,
    };
}

void gateway_status_soon(struct gateway *gateway)
{
    int64_t due_ms = gateway_now_ms() + STATUS_SETTLE_MS;
    if (due_ms < gateway->status_due_ms)
        gateway->status_due_ms = due_ms;
}

/* As the retained status, at QoS 1; nobody waits for its acknowledgement. */
static int publish_status(struct gateway *gateway, const char *status, size_t length)
{
    const struct mqtt_message message = {.topic = gateway->status_topic,
                                         .payload = status,
                                         .length = length,
                                         .qos = 1,
                                         .retained = true};
    return uplink_publish(gateway->uplink, &message, 0);
}

/* Publishes the retained status; a full window only delays it. */
void gateway_publish_status(struct gateway *gateway)
{
    struct status_view view = gateway_view(gateway);
    strbuf_reset(&gateway->status);
    status_write(&view, false, &gateway->status);
    int outcome = publish_status(gateway, gateway->status.data, gateway->status.length);
    gateway->status_due_ms =
        gateway_now_ms() + (outcome == -EAGAIN ? STATUS_SETTLE_MS : STATUS_PERIOD_MS);
}

/* --- the loop ----------------------------------------------------------------------------- */

static int on_queue(sd_event_source *source, int descriptor, uint32_t events, void *userdata)
{
    struct gateway *gateway = userdata;
    (void)source, (void)descriptor, (void)events;
    (void)pipeline_drain(gateway->pipeline, GATEWAY_BATCHES_A_PASS);
    return 0;
}

int gateway_watch_queue(struct gateway *gateway)
{
    return sd_event_add_io(gateway->loop, &gateway->queue_source,
                           pipeline_descriptor(gateway->pipeline), EPOLLIN, on_queue, gateway);
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
    if (gateway_events_store(stats.problem, gateway->store_problem, sizeof(gateway->store_problem)))
        gateway_status_soon(gateway);
}

/* After the handlers of each pass. */
static int settle(sd_event_source *source, void *userdata)
{
    struct gateway *gateway = userdata;
    (void)source;
    int64_t at_ms = gateway_now_ms();
    uplink_collect(gateway->uplink);
    pipeline_report_losses(gateway->pipeline);
    if (outbox_commit(gateway->outbox, at_ms) < 0)
        log_debug("outbox", "commit failed; tried again with the next pass");
    command_relay_settle(gateway->command_relay);
    int64_t pause_ms = publisher_pump(gateway->publisher, at_ms);
    gateway->pump_due_ms = pause_ms < 0 ? NEVER_MS : at_ms + pause_ms;
    if (at_ms >= gateway->status_due_ms)
        gateway_publish_status(gateway);
    if (at_ms >= gateway->tick_due_ms)
        tick_store(gateway, at_ms);
    if (at_ms >= gateway->certificate_due_ms) {
        gateway->certificate_due_ms = at_ms + CERTIFICATE_PERIOD_MS;
        gateway_events_certificates(gateway->pipeline, &gateway->config->uplink);
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
    struct status_view view = gateway_view(gateway);
    size_t stuck = 0;
    if (liveness_ok(gateway->watch, &view, gateway_now_ms(), STUCK_MS, &stuck))
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
                             (uint64_t)gateway_now_ms() * 1000, TIMER_ACCURACY_US, on_watchdog,
                             gateway);
}

static int start_loop(struct gateway *gateway)
{
    int problem = gateway_watch_queue(gateway);
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

static void started(struct gateway *gateway)
{
    gateway_events_text(gateway->pipeline, "started", "version", SALLYPORT_VERSION);
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
    name_topics(gateway);
    gateway->encoder = encoder_of((enum payload_format)config->uplink.format);
    assert(gateway->encoder); /* the configuration check saw to it */
    int problem = gateway_open_outbox(gateway);
    if (problem < 0)
        return problem;
    gateway_make_pipeline(gateway);
    problem = gateway_make_uplink(gateway);
    if (problem < 0)
        return problem;
    gateway->publisher = publisher_new(gateway->prefix, config->uplink.window,
                                       (uint64_t)config->outbox.backlog_rate_kib_s << 10,
                                       gateway->encoder, gateway->outbox, gateway->uplink);
    problem = gateway_make_lines(gateway);
    if (problem < 0)
        return problem;
    problem = gateway_open_control(gateway);
    if (problem < 0)
        return problem;
    problem = gateway_watch_netd(gateway);
    if (problem < 0)
        return problem;
    problem = start_loop(gateway);
    if (problem < 0)
        return problem;
    started(gateway);
    uplink_start(gateway->uplink);
    return line_set_start(gateway->config, gateway->lines);
}

int gateway_start(struct config *config, sd_event *loop, struct gateway **ret_gateway)
{
    struct gateway *gateway = memory_zeroed(1, sizeof(*gateway));
    gateway->config = config;
    gateway->first = config;
    gateway->loop = sd_event_ref(loop);
    gateway->started_mono_ns = clock_mono_ns();
    gateway->lines = memory_zeroed(config->n_buses, sizeof(struct line *));
    gateway->watch = liveness_new(config->n_buses);
    gateway->status_due_ms = NEVER_MS;
    int problem = start(gateway);
    if (problem < 0) {
        (void)gateway_stop(gateway);
        return problem;
    }
    *ret_gateway = gateway;
    return 0;
}

/* Sends what the window takes, then `offline`; what is left goes to disk. */
static bool say_goodbye(struct gateway *gateway)
{
    if (gateway->pipeline) {
        while (pipeline_drain(gateway->pipeline, GATEWAY_BATCHES_A_PASS) > 0)
            ;
        (void)pipeline_event(gateway->pipeline, "stopping", clock_wall_ms(), NULL, 0);
        pipeline_report_losses(gateway->pipeline);
        (void)outbox_commit(gateway->outbox, gateway_now_ms());
    }
    if (gateway->publisher)
        (void)publisher_pump(gateway->publisher, gateway_now_ms());
    if (!gateway->uplink)
        return true;
    command_relay_netd(gateway->command_relay, false); /* nobody takes commands any more */
    command_relay_settle(gateway->command_relay);
    (void)publish_status(gateway, STATUS_OFFLINE, strlen(STATUS_OFFLINE));
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
    line_set_stop(gateway->config, gateway->lines);
    gateway->control = local_socket_free(gateway->control);
    gateway->netd = netd_watch_free(gateway->netd);
    bool clean = say_goodbye(gateway);
    gateway->publisher = publisher_free(gateway->publisher);
    gateway->command_relay = command_relay_free(gateway->command_relay);
    if (clean)
        gateway->uplink = uplink_free(gateway->uplink);
    gateway->pipeline = pipeline_free(gateway->pipeline);
    gateway->outbox = outbox_close(gateway->outbox);
    if (!clean)
        return false; /* the client's threads may still use what is left */
    liveness_free(gateway->watch);
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
