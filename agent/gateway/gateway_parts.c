/* What the gateway is made of: how each part is made, and what it tells the gateway. */
#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/gateway/gateway_events.h"
#include "agent/gateway/gateway_private.h"
#include "agent/gateway/line_set.h"
#include "agent/local/values_json.h"

#include <errno.h>
#include <string.h>

/* --- the lines reach up ------------------------------------------------------------------- */

static void line_event(void *context, enum line_event event, size_t owner, int64_t timestamp_ms)
{
    struct gateway *gateway = context;
    gateway_events_line(gateway->pipeline, gateway->config, gateway->lines, event, owner,
                        timestamp_ms);
    gateway_status_soon(gateway);
}

/* --- the uplink reaches up ---------------------------------------------------------------- */

static void uplink_opens(void *context, struct uplink_opening *opening)
{
    struct gateway *gateway = context;
    opening->will = (struct mqtt_message){.topic = gateway->status_topic,
                                          .payload = STATUS_OFFLINE,
                                          .length = strlen(STATUS_OFFLINE),
                                          .qos = 1,
                                          .retained = true};
    opening->subscriptions[opening->n_subscriptions++] =
        (struct uplink_subscription){.filter = command_relay_topic(gateway->command_relay),
                                     .qos = 1,
                                     /* data flows where commands are not wanted */
                                     .is_optional = true};
}

static void uplink_went_up(void *context)
{
    struct gateway *gateway = context;
    outbox_link(gateway->outbox, true, gateway_now_ms());
    command_relay_link_up(gateway->command_relay);
    gateway_publish_status(gateway);
}

static void uplink_went_down(void *context, const char *reason)
{
    struct gateway *gateway = context;
    (void)reason; /* the uplink has logged it */
    outbox_link(gateway->outbox, false, gateway_now_ms());
}

static void uplink_acknowledged(void *context, uint64_t tag)
{
    struct gateway *gateway = context;
    if (tag != 0)
        outbox_release(gateway->outbox, tag);
}

static void uplink_received(void *context, const char *topic, const void *payload, size_t length,
                            bool is_retained)
{
    struct gateway *gateway = context;
    command_relay_received(gateway->command_relay, topic, payload, length, is_retained,
                           gateway_now_ms());
}

/* --- the command_relay's road --------------------------------------------------------------------
 */

static int courier_publishes(void *context, const char *topic, const void *payload, size_t length,
                             bool retained)
{
    struct gateway *gateway = context;
    const struct mqtt_message message = {
        .topic = topic, .payload = payload, .length = length, .qos = 1, .retained = retained};
    return uplink_publish(gateway->uplink, &message, 0);
}

static int courier_delivers(void *context, const void *text, size_t length, bool is_retained)
{
    struct gateway *gateway = context;
    return netd_watch_signed(gateway->netd, text, length, is_retained);
}

/* --- netd reaches up ---------------------------------------------------------------- */

static bool netd_event(void *context, const char *name, int64_t timestamp_ms,
                       const struct event_field *fields, size_t n_fields)
{
    struct gateway *gateway = context;
    return pipeline_event(gateway->pipeline, name, timestamp_ms, fields, n_fields) != 0 &&
           outbox_commit(gateway->outbox, gateway_now_ms()) == 0;
}

static void netd_changed(void *context)
{
    struct gateway *gateway = context;
    command_relay_netd(gateway->command_relay, netd_watch_is_connected(gateway->netd));
    gateway_status_soon(gateway);
}

static void netd_challenge(void *context, const char *challenge)
{
    struct gateway *gateway = context;
    command_relay_challenge(gateway->command_relay, challenge);
}

static void netd_answered(void *context, enum refusal refusal,
                          const struct wire_signed_reply *reply)
{
    struct gateway *gateway = context;
    command_relay_answered(gateway->command_relay, refusal, reply);
}

/* --- the local socket asks ---------------------------------------------------------------- */

static void control_status(void *context, struct strbuf *out)
{
    struct status_view view = gateway_view(context);
    status_write(&view, true, out);
}

static int control_values(void *context, const char *device, struct strbuf *out)
{
    struct gateway *gateway = context;
    return values_json(gateway->config, pipeline_values(gateway->pipeline), device, out);
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

/* --- making them --------------------------------------------------------------------------- */

int gateway_open_outbox(struct gateway *gateway)
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

void gateway_make_pipeline(struct gateway *gateway)
{
    const struct pipeline_callbacks callbacks = {.line_event = line_event, .context = gateway};
    gateway->pipeline =
        pipeline_new(gateway->config, gateway->encoder, gateway->outbox, &callbacks);
}

int gateway_make_uplink(struct gateway *gateway)
{
    const struct command_relay_road road = {
        .publish = courier_publishes, .deliver = courier_delivers, .context = gateway};
    gateway->command_relay = command_relay_new(gateway->prefix, &road);
    const struct uplink_callbacks callbacks = {.open = uplink_opens,
                                               .up = uplink_went_up,
                                               .down = uplink_went_down,
                                               .acknowledged = uplink_acknowledged,
                                               .received = uplink_received,
                                               .context = gateway};
    int problem = uplink_new(&gateway->config->uplink, &callbacks, gateway->loop, &gateway->uplink);
    if (problem < 0)
        log_error("uplink", "cannot be set up: %s", strerror(-problem));
    return problem;
}

int gateway_make_lines(struct gateway *gateway)
{
    const struct line_callbacks callbacks = {.deliver = pipeline_deliver,
                                             .context = gateway->pipeline};
    return line_set_make(gateway->config, &callbacks, gateway->lines);
}

int gateway_watch_netd(struct gateway *gateway)
{
    const struct netd_watch_callbacks callbacks = {.event = netd_event,
                                                   .changed = netd_changed,
                                                   .challenge = netd_challenge,
                                                   .answered = netd_answered,
                                                   .context = gateway};
    int problem =
        netd_watch_new(&gateway->first->gateway, &callbacks, gateway->loop, &gateway->netd);
    if (problem < 0)
        log_error("netd", "its client cannot be set up: %s", strerror(-problem));
    return problem;
}

int gateway_open_control(struct gateway *gateway)
{
    const struct local_socket_callbacks callbacks = {.status = control_status,
                                                     .values = control_values,
                                                     .read = control_read,
                                                     .context = gateway};
    CLEANUP(memory_free_pointer)
    char *path = memory_printf("%s/%s", gateway->config->gateway.runtime_dir, LOCAL_SOCKET_NAME);
    int problem = local_socket_new(path, &callbacks, gateway->loop, &gateway->control);
    if (problem < 0)
        log_error("control", "socket=%s: %s", path,
                  problem == -EADDRINUSE ? "another agent listens there" : strerror(-problem));
    return problem;
}
