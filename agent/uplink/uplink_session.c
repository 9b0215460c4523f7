/*
 * Attempts and sessions: what is done when an event comes from the MQTT client, and what is said
 * about it. Which phase follows is decided by uplink_state.c.
 */
#include "agent/uplink/uplink_session.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/base/min_max.h"
#include "agent/uplink/broker_socket.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define NEVER INT64_MAX
/* Paho looks at its connect timeout every 3 s only. */
#define CONNECT_GRACE_NS (5 * CLOCK_NS_PER_S)
/* A cut connection is noticed at once; after this we ask for the end of the session as well. */
#define CLOSING_NS (5 * CLOCK_NS_PER_S)
/* A session that lasted so long was a good one: the back-off starts anew. */
#define PROVEN_NS (30 * CLOCK_NS_PER_S)
/* The same reason is said again after this time. */
#define REPEAT_NS (600 * CLOCK_NS_PER_S)

#define BAD_SUBSCRIBE 0x80 /* MQTT 3.1.1, section 3.9.3 */

/* --- time ------------------------------------------------------------------------------------- */

/* When the oldest message in flight is late. */
static int64_t late_ns(const struct uplink *uplink)
{
    int64_t oldest_ns = uplink_window_oldest_ns(&uplink->window);
    return oldest_ns == NEVER ? NEVER
                              : oldest_ns + uplink->settings.config.ack_timeout_s * CLOCK_NS_PER_S;
}

bool uplink_is_late(const struct uplink *uplink, int64_t now_ns)
{
    return now_ns >= late_ns(uplink);
}

static int64_t connecting_deadline_ns(const struct uplink *uplink)
{
    const struct config_uplink *config = &uplink->settings.config;
    if (!uplink->attempting)
        return 0;
    if (uplink->logged_in)
        return uplink->step_ns + config->ack_timeout_s * CLOCK_NS_PER_S;
    if (uplink->late_told)
        return NEVER;
    return uplink->step_ns + config->connect_timeout_s * CLOCK_NS_PER_S + CONNECT_GRACE_NS;
}

int64_t uplink_deadline_ns(const struct uplink *uplink)
{
    switch (uplink->state.phase) {
    case UPLINK_IDLE:
        return NEVER;
    case UPLINK_CONNECTING:
        return connecting_deadline_ns(uplink);
    case UPLINK_UP:
        if (uplink->choked)
            return 0;
        return min_i64(uplink->proven ? NEVER : uplink->step_ns + PROVEN_NS, late_ns(uplink));
    case UPLINK_CLOSING:
        return uplink->step_ns + CLOSING_NS;
    case UPLINK_WAITING:
        return uplink->due_ns;
    }
    return NEVER;
}

void uplink_arm(struct uplink *uplink)
{
    int64_t deadline = uplink->stopping ? NEVER : uplink_deadline_ns(uplink);
    uplink->armed_ns = deadline;
    if (deadline == NEVER) {
        (void)sd_event_source_set_enabled(uplink->timer_source, SD_EVENT_OFF);
        return;
    }
    (void)sd_event_source_set_time(uplink->timer_source, (uint64_t)(deadline / CLOCK_NS_PER_US));
    (void)sd_event_source_set_enabled(uplink->timer_source, SD_EVENT_ONESHOT);
}

/* --- phases, and what is said about them ------------------------------------------------------ */

static const struct broker_url *server_of(const struct uplink *uplink)
{
    return &uplink->settings.servers[uplink->server];
}

struct mqtt_client *uplink_client(const struct uplink *uplink)
{
    return uplink->clients[server_of(uplink)->websocket];
}

bool uplink_step(struct uplink *uplink, enum uplink_input input)
{
    enum uplink_phase before = uplink->state.phase;
    uint32_t random = 0;
    int64_t wait_ms = 0;
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
        random = 0; /* the kernel has none yet, early at boot: the shortest wait */
    if (uplink_state_step(&uplink->state, input, random, &wait_ms) < 0) {
        log_debug("uplink", "phase=%s input=%d: it came late; ignored", uplink_phase_name(before),
                  (int)input);
        return false;
    }
    if (uplink->state.phase != before) {
        uplink->step_ns = clock_mono_ns();
        uplink->since_wall_ms = clock_wall_ms();
        uplink->due_ns = uplink->step_ns + wait_ms * CLOCK_NS_PER_MS;
        uplink->attempting = uplink->logged_in = uplink->late_told = false;
        uplink->proven = uplink->choked = false;
    }
    uplink_arm(uplink);
    return true;
}

static void log_reason(struct uplink_told *told, const char *sentence)
{
    int64_t now_ns = clock_mono_ns();
    if (told->sentence && strcmp(told->sentence, sentence) == 0 && now_ns - told->at_ns < REPEAT_NS)
        return;
    log_warning("uplink", "%s; trying again until it works", sentence);
    free(told->sentence);
    told->sentence = memory_text(sentence);
    told->at_ns = now_ns;
}

static void set_reason(struct uplink *uplink, const char *sentence)
{
    free(uplink->reason);
    uplink->reason = memory_text(sentence);
}

static void tell(struct uplink *uplink, size_t server, const char *sentence)
{
    set_reason(uplink, sentence);
    log_reason(&uplink->told[server], sentence);
    if (uplink->callbacks.failed && !uplink->stopping)
        uplink->callbacks.failed(uplink->callbacks.context, uplink->reason);
    if (uplink->down_told || uplink->stopping)
        return;
    uplink->down_told = true;
    if (uplink->callbacks.down)
        uplink->callbacks.down(uplink->callbacks.context, uplink->reason);
}

static void tell_reason(struct uplink *uplink, size_t server, const char *reason)
{
    const struct broker_url *url = &uplink->settings.servers[server];
    char *sentence CLEANUP(memory_free_pointer) =
        memory_printf("%s:%u: %s", url->host, url->port, reason);
    tell(uplink, server, sentence);
}

static void forget_told(struct uplink *uplink)
{
    for (size_t i = 0; i < uplink->settings.config.servers.length; i++) {
        free(uplink->told[i].sentence);
        uplink->told[i].sentence = NULL;
    }
}

/* --- the probe -------------------------------------------------------------------------------- */

static void start_probe(struct uplink *uplink)
{
    struct uplink_secrets secrets CLEANUP(uplink_secrets_wipe) = {0};
    if (uplink->probe || uplink->stopping)
        return; /* the one that runs has something to say soon */
    if (uplink_secrets_read(&uplink->settings, &secrets) < 0)
        return; /* the next attempt says it */
    struct probe_target target = uplink_settings_probe(&uplink->settings, uplink->server, &secrets);
    uplink->probed = uplink->server;
    uplink->probe = probe_job_start(&target, uplink_ring_descriptor(uplink->ring));
    if (!uplink->probe)
        tell_reason(uplink, uplink->server, "the connection failed");
}

static void finish_probe(struct uplink *uplink)
{
    enum probe_result result;
    const char *sentence;
    if (!uplink->probe || !probe_job_result(uplink->probe, &result, &sentence))
        return;
    if (uplink->state.phase == UPLINK_UP || uplink->stopping)
        ; /* it came right by itself meanwhile, or does not matter any more */
    else if (result != PROBE_OK)
        tell(uplink, uplink->probed, sentence);
    else
        tell_reason(uplink, uplink->probed,
                    uplink->settings.servers[uplink->probed].websocket
                        ? "TLS works, but the MQTT login got no answer: is the path right?"
                        : "TLS works, but the MQTT login got no answer: is it an MQTT broker?");
    uplink->probe = probe_job_free(uplink->probe);
}

/* --- attempts --------------------------------------------------------------------------------- */

/* REASON NULL: nobody knows, the probe shall find out. */
static void attempt_failed(struct uplink *uplink, enum uplink_input input, const char *reason)
{
    descriptor_close(&uplink->socket);
    uplink->failures++;
    if (!uplink_step(uplink, input))
        return;
    if (reason)
        tell_reason(uplink, uplink->server, reason);
    else
        start_probe(uplink);
}

void uplink_break_attempt(struct uplink *uplink, const char *reason)
{
    attempt_failed(uplink, UPLINK_BROKEN, reason);
    uplink_leave_session(uplink);
}

void uplink_attempt(struct uplink *uplink)
{
    struct uplink_secrets secrets CLEANUP(uplink_secrets_wipe) = {0};
    uplink->attempting = true;
    uplink->server = uplink->state.server;
    uplink->generation++;
    if (uplink_secrets_read(&uplink->settings, &secrets) < 0) {
        attempt_failed(uplink, UPLINK_FAILED, strbuf_text(&secrets.problem));
        return;
    }
    struct mqtt_attempt attempt =
        uplink_settings_attempt(&uplink->settings, uplink->server, &secrets);
    attempt.generation = uplink->generation;
    log_debug("uplink", "%s:%u: attempt %u", attempt.server->host, attempt.server->port,
              uplink->generation);
    if (mqtt_client_connect(uplink_client(uplink), &attempt) < 0)
        attempt_failed(uplink, UPLINK_FAILED, "the MQTT client does not take the attempt");
    uplink_arm(uplink);
}

/* --- sessions --------------------------------------------------------------------------------- */

static void session_lost(struct uplink *uplink, enum uplink_input input, const char *reason)
{
    uplink_window_clear(&uplink->window);
    uplink->starved = false;
    if (uplink_step(uplink, input))
        tell_reason(uplink, uplink->server, reason);
}

void uplink_break_session(struct uplink *uplink, const char *reason)
{
    session_lost(uplink, UPLINK_BROKEN, reason);
    if (uplink->socket >= 0)
        broker_socket_cut(uplink->socket);
    else
        uplink_leave_session(uplink); /* the will is lost with it, but nothing else is at hand */
}

void uplink_leave_session(struct uplink *uplink)
{
    if (uplink->state.phase != UPLINK_CLOSING)
        return;
    if (mqtt_client_disconnect(uplink_client(uplink)) < 0)
        (void)uplink_step(uplink, UPLINK_CLOSED);
}

static void session_up(struct uplink *uplink)
{
    if (!uplink_step(uplink, UPLINK_CONNECTED))
        return;
    if (uplink->state.phase == UPLINK_CLOSING) { /* stopped meanwhile */
        uplink_leave_session(uplink);
        return;
    }
    uplink->connects++;
    uplink->down_told = false;
    forget_told(uplink);
    set_reason(uplink, "");
    log_info("uplink", "%s:%u: session up, publishing", server_of(uplink)->host,
             server_of(uplink)->port);
    if (uplink->callbacks.up)
        uplink->callbacks.up(uplink->callbacks.context);
}

static void tune_socket(struct uplink *uplink)
{
    const struct uplink_settings *settings = &uplink->settings;
    uint16_t port = settings->proxy_port ? settings->proxy_port : server_of(uplink)->port;
    descriptor_close(&uplink->socket);
    int found = broker_socket_find(port, (unsigned int)settings->config.ack_timeout_s * 1000,
                                   &uplink->socket);
    if (found != 1)
        log_debug("uplink", "sockets=%d with peer port %u; going on without a grip on it", found,
                  port);
}

/* --- events ----------------------------------------------------------------------------------- */

static void on_login(struct uplink *uplink)
{
    const char *topic = uplink->settings.subscribe_topic;
    if (uplink->state.phase != UPLINK_CONNECTING)
        return;
    tune_socket(uplink);
    if (!topic || uplink->stopping) {
        session_up(uplink);
        return;
    }
    uplink->logged_in = true;
    uplink->step_ns = clock_mono_ns();
    uplink_arm(uplink);
    if (mqtt_client_subscribe(uplink_client(uplink), topic) < 0)
        uplink_break_attempt(uplink, "the connection was lost right after the login");
}

static void on_denied(struct uplink *uplink, int code)
{
    if (code != BAD_SUBSCRIBE || uplink->state.phase != UPLINK_CONNECTING)
        return; /* the end of the connection, which is an event of its own */
    char *reason CLEANUP(memory_free_pointer) =
        memory_printf("the broker refused the subscription to %s: its access control list (ACL) "
                      "must allow this user to read it",
                      uplink->settings.subscribe_topic);
    if (!uplink->settings.goes_on_unsubscribed) {
        uplink_break_attempt(uplink, reason);
        return;
    }
    log_warning("uplink", "%s; going on without it", reason);
    session_up(uplink);
}

static void on_lost(struct uplink *uplink)
{
    switch (uplink->state.phase) {
    case UPLINK_CONNECTING:
        attempt_failed(uplink, UPLINK_LOST, "the broker ended the connection after the login");
        break;
    case UPLINK_UP:
        descriptor_close(&uplink->socket);
        session_lost(uplink, UPLINK_LOST, "connection lost");
        break;
    case UPLINK_CLOSING:
        descriptor_close(&uplink->socket);
        (void)uplink_step(uplink, UPLINK_LOST);
        break;
    case UPLINK_IDLE:
    case UPLINK_WAITING:
        break;
    }
}

static void on_delivered(struct uplink *uplink, int token)
{
    uint64_t tag;
    if (!uplink_window_acknowledge(&uplink->window, token, &tag))
        return; /* left over from before this session */
    uplink->acknowledged++;
    if (tag != 0 && uplink->callbacks.acknowledged)
        uplink->callbacks.acknowledged(uplink->callbacks.context, tag);
}

static void on_message(struct uplink *uplink, const struct uplink_event *event)
{
    if (uplink->callbacks.received && !uplink->stopping)
        uplink->callbacks.received(uplink->callbacks.context, event->topic, event->payload,
                                   event->length, event->retained);
}

static void handle(struct uplink *uplink, const struct uplink_event *event)
{
    if (event->generation != uplink->generation)
        return; /* of a session that is gone */
    switch (event->kind) {
    case UPLINK_EVENT_LOGIN:
        on_login(uplink);
        break;
    case UPLINK_EVENT_REFUSED:
        if (uplink->state.phase == UPLINK_CONNECTING)
            attempt_failed(uplink, UPLINK_FAILED, mqtt_client_refusal(event->code));
        break;
    case UPLINK_EVENT_SUBSCRIBED:
        session_up(uplink);
        break;
    case UPLINK_EVENT_DENIED:
        on_denied(uplink, event->code);
        break;
    case UPLINK_EVENT_LOST:
        on_lost(uplink);
        break;
    case UPLINK_EVENT_CLOSED:
        descriptor_close(&uplink->socket);
        (void)uplink_step(uplink, UPLINK_CLOSED);
        break;
    case UPLINK_EVENT_DELIVERED:
        on_delivered(uplink, event->code);
        break;
    case UPLINK_EVENT_REJECTED: /* of MQTT 5, which this session does not speak */
        break;
    case UPLINK_EVENT_MESSAGE:
        on_message(uplink, event);
        break;
    }
}

void uplink_drain(struct uplink *uplink)
{
    struct uplink_event event;
    uplink_ring_acknowledge(uplink->ring);
    while (uplink_ring_pop(uplink->ring, &event)) {
        handle(uplink, &event);
        free(event.topic);
    }
    uint64_t dropped = uplink_ring_take_dropped(uplink->ring);
    if (dropped)
        log_warning("uplink", "dropped=%llu messages: the broker sends more than can be meant",
                    (unsigned long long)dropped);
    finish_probe(uplink);
    if (uplink->starved && uplink_room(uplink) > 0) {
        uplink->starved = false;
        if (uplink->callbacks.room && !uplink->stopping)
            uplink->callbacks.room(uplink->callbacks.context);
    }
}
