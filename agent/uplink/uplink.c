/*
 * The session to the broker: the public functions, and the two sources that drive it in the main
 * loop. Events from the MQTT client come through the ring; one timer serves every deadline.
 */
#include "agent/uplink/uplink.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/uplink/uplink_session.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Kept of the time for stopping, for the farewell itself. */
#define FAREWELL_MS 1000

static const char *server_text(const struct uplink *uplink)
{
    return uplink->settings.config.servers.items[uplink->server];
}

/* --- deadlines -------------------------------------------------------------------------------- */

static void connecting_timer(struct uplink *uplink)
{
    if (!uplink->attempting) {
        uplink_attempt(uplink);
    } else if (uplink->logged_in) {
        uplink_break_attempt(uplink, "the broker does not answer the subscription");
    } else {
        uplink->late_told = true; /* it cannot be called off; it ends by itself */
        log_warning("uplink", "%s: the attempt takes longer than connect_timeout_s; waiting for it",
                    server_text(uplink));
    }
}

static void up_timer(struct uplink *uplink, int64_t now_ns)
{
    char reason[64];
    if (uplink->choked) {
        uplink_break_session(uplink, "the MQTT client refused a message");
    } else if (uplink_is_late(uplink, now_ns)) {
        (void)snprintf(reason, sizeof(reason), "no acknowledgement for %lld s",
                       (long long)uplink->settings.config.ack_timeout_s);
        uplink_break_session(uplink, reason);
    } else {
        uplink->proven = true;
        (void)uplink_step(uplink, UPLINK_PROVEN);
    }
}

static void closing_timer(struct uplink *uplink)
{
    log_warning("uplink", "%s: the MQTT client holds on to a dead session; asking again",
                server_text(uplink));
    uplink->step_ns = clock_mono_ns();
    uplink_leave_session(uplink);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *context)
{
    struct uplink *uplink = context;
    int64_t now_ns = clock_mono_ns();
    (void)source, (void)usec;
    if (now_ns >= uplink_deadline_ns(uplink)) {
        switch (uplink->state.phase) {
        case UPLINK_IDLE:
            break;
        case UPLINK_CONNECTING:
            connecting_timer(uplink);
            break;
        case UPLINK_UP:
            up_timer(uplink, now_ns);
            break;
        case UPLINK_CLOSING:
            closing_timer(uplink);
            break;
        case UPLINK_WAITING:
            if (uplink_step(uplink, UPLINK_TIMER))
                uplink_attempt(uplink);
            break;
        }
    }
    uplink_arm(uplink); /* anew: most deadlines have moved since the timer was set */
    return 0;
}

static int on_wake(sd_event_source *source, int descriptor, uint32_t events, void *context)
{
    (void)source, (void)descriptor, (void)events;
    uplink_drain(context);
    return 0;
}

/* --- making and ending ------------------------------------------------------------------------ */

static int make_clients(struct uplink *uplink)
{
    const struct config_uplink *config = &uplink->settings.config;
    /* Twice the window: what Paho had not sent when a session broke, it sends in the next. */
    size_t most = 2 * uplink->window.capacity;
    for (size_t i = 0; i < config->servers.length; i++) {
        bool websocket = uplink->settings.servers[i].websocket;
        if (uplink->clients[websocket])
            continue;
        int result = mqtt_client_new(config->client_id, websocket, most, uplink->ring,
                                     &uplink->clients[websocket]);
        if (result < 0) {
            log_error("uplink", "the MQTT client cannot be made (client_id %s): %s",
                      config->client_id, strerror(-result));
            return result;
        }
    }
    return 0;
}

static int attach(struct uplink *uplink, sd_event *loop)
{
    int result = sd_event_add_io(loop, &uplink->wake_source, uplink_ring_descriptor(uplink->ring),
                                 POLLIN, on_wake, uplink);
    if (result >= 0)
        result = sd_event_add_time(loop, &uplink->timer_source, CLOCK_MONOTONIC, UINT64_MAX, 0,
                                   on_timer, uplink);
    if (result >= 0)
        result = sd_event_source_set_enabled(uplink->timer_source, SD_EVENT_OFF);
    return result < 0 ? result : 0;
}

static int set_up(struct uplink *uplink, const struct config_uplink *config,
                  const struct uplink_identity *identity, sd_event *loop)
{
    int result = uplink_settings_init(&uplink->settings, config, identity);
    if (result < 0)
        return result;
    uplink_state_init(&uplink->state, config->servers.length, config->reconnect_min_ms,
                      config->reconnect_max_ms);
    uplink->told = memory_zeroed(config->servers.length, sizeof(*uplink->told));
    uplink->window_size = (size_t)config->window;
    size_t capacity = uplink->window_size + UPLINK_SPARE;
    uplink_window_init(&uplink->window, memory_zeroed(capacity, sizeof(struct uplink_flight)),
                       capacity);
    size_t received = identity->max_received ? identity->max_received : UPLINK_RECEIVED;
    uplink->ring = uplink_ring_new(capacity, received, uplink->window_size / 8);
    result = make_clients(uplink);
    return result < 0 ? result : attach(uplink, loop);
}

int uplink_new(const struct config_uplink *config, const struct uplink_identity *identity,
               const struct uplink_callbacks *callbacks, sd_event *loop, struct uplink **ret_uplink)
{
    struct uplink *uplink = memory_zeroed(1, sizeof(*uplink));
    uplink->callbacks = *callbacks;
    uplink->socket = -1;
    uplink->armed_ns = INT64_MAX;
    uplink->reason = memory_text("");
    uplink->since_wall_ms = clock_wall_ms();
    int result = set_up(uplink, config, identity, loop);
    if (result < 0) {
        uplink_free(uplink);
        return result;
    }
    *ret_uplink = uplink;
    return 0;
}

void uplink_collect(struct uplink *uplink)
{
    if (!uplink_ring_is_empty(uplink->ring))
        uplink_drain(uplink);
}

void uplink_start(struct uplink *uplink)
{
    (void)uplink_step(uplink, UPLINK_START); /* the timer is due at once, and makes the attempt */
}

/* Handles what comes until UNTIL_NS, for a second at most; false when that has passed. */
static bool wait_a_little(struct uplink *uplink, int64_t until_ns)
{
    int64_t left_ms = (until_ns - clock_mono_ns()) / CLOCK_NS_PER_MS;
    if (left_ms <= 0)
        return false;
    struct pollfd wait = {.fd = uplink_ring_descriptor(uplink->ring), .events = POLLIN};
    (void)poll(&wait, 1, left_ms > 1000 ? 1000 : (int)left_ms);
    uplink_drain(uplink);
    return true;
}

static bool is_quiet(const struct uplink *uplink)
{
    return uplink->state.phase == UPLINK_IDLE && !uplink->probe;
}

bool uplink_stop(struct uplink *uplink, int timeout_ms)
{
    int64_t until_ns = clock_mono_ns() + timeout_ms * CLOCK_NS_PER_MS;
    int64_t farewell_ms = timeout_ms / 2 < FAREWELL_MS ? timeout_ms / 2 : FAREWELL_MS;
    uplink->stopping = true;
    uplink_ring_hurry(uplink->ring);
    uplink_arm(uplink); /* no deadline but ours counts now */
    while (uplink->state.phase == UPLINK_UP && uplink->window.in_flight > 0 &&
           wait_a_little(uplink, until_ns - farewell_ms * CLOCK_NS_PER_MS))
        ;
    bool in_session = uplink->state.phase == UPLINK_UP;
    bool attempting = uplink->attempting;
    (void)uplink_step(uplink, UPLINK_STOP);
    if (in_session)
        uplink_leave_session(uplink);
    else if (uplink->state.phase == UPLINK_CONNECTING && !attempting)
        (void)uplink_step(uplink, UPLINK_FAILED); /* the timer had not come to it yet */
    while (!is_quiet(uplink) && wait_a_little(uplink, until_ns))
        ;
    descriptor_close(&uplink->socket);
    return is_quiet(uplink);
}

static void free_told(struct uplink *uplink)
{
    for (size_t i = 0; uplink->told && i < uplink->settings.config.servers.length; i++)
        free(uplink->told[i].sentence);
    free(uplink->told);
}

struct uplink *uplink_free(struct uplink *uplink)
{
    if (!uplink)
        return NULL;
    uplink->timer_source = sd_event_source_disable_unref(uplink->timer_source);
    uplink->wake_source = sd_event_source_disable_unref(uplink->wake_source);
    if (!is_quiet(uplink)) {
        log_warning("uplink", "the MQTT client is stuck in an attempt; leaving its memory alone");
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(uplink->clients); i++)
        uplink->clients[i] = mqtt_client_free(uplink->clients[i]);
    uplink->ring = uplink_ring_free(uplink->ring);
    free_told(uplink);
    free(uplink->window.flights);
    uplink_settings_free(&uplink->settings);
    free(uplink->reason);
    free(uplink);
    return NULL;
}

/* --- publishing ------------------------------------------------------------------------------- */

size_t uplink_room(const struct uplink *uplink)
{
    if (uplink->state.phase != UPLINK_UP || uplink->window.span >= uplink->window_size)
        return 0;
    return uplink->window_size - uplink->window.span;
}

static bool has_place(const struct uplink *uplink, uint64_t tag)
{
    return tag == 0 ? !uplink_window_is_full(&uplink->window) : uplink_room(uplink) > 0;
}

int uplink_publish(struct uplink *uplink, const char *topic, const void *payload, size_t length,
                   bool retained, uint64_t tag)
{
    int token;
    if (uplink->state.phase != UPLINK_UP)
        return -ENOTCONN;
    if (!has_place(uplink, tag)) {
        uplink->starved = true;
        return -EAGAIN;
    }
    int result =
        mqtt_client_publish(uplink_client(uplink), topic, payload, length, retained, &token);
    if (result == -EIO) { /* it takes no more in this session; another follows soon */
        uplink->choked = true;
        uplink_arm(uplink);
        return -ENOTCONN;
    }
    if (result < 0)
        return result;
    uplink_window_add(&uplink->window, token, tag, clock_mono_ns());
    uplink->published++;
    /* The timer is set for the oldest message, and looks again then: no call for each message. */
    if (uplink->armed_ns > uplink_deadline_ns(uplink))
        uplink_arm(uplink);
    return 0;
}

void uplink_get_health(const struct uplink *uplink, struct uplink_health *ret_health)
{
    int64_t wait_ns = 0;
    if (uplink->state.phase == UPLINK_WAITING)
        wait_ns = uplink->due_ns - clock_mono_ns();
    *ret_health = (struct uplink_health){
        .phase = uplink->state.phase,
        .server = uplink->generation > 0 ? server_text(uplink) : "",
        .reason = uplink->reason,
        .since_wall_ms = uplink->since_wall_ms,
        .next_attempt_ms = wait_ns > 0 ? wait_ns / CLOCK_NS_PER_MS : 0,
        .connects = uplink->connects,
        .failures = uplink->failures,
        .published = uplink->published,
        .acknowledged = uplink->acknowledged,
        .in_flight = uplink->window.in_flight,
    };
}
