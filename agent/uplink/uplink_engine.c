/* Handles events, deadlines, and requests of the owner. */
#include "agent/uplink/uplink_engine.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/base/min_max.h"
#include "agent/uplink/broker_socket.h"
#include "agent/uplink/uplink_attempt.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEVER INT64_MAX
/* Paho looks at its connect timeout every 3 s only. */
#define CONNECT_GRACE_NS (5 * CLOCK_NS_PER_S)
/* A cut connection is noticed at once; after this we ask for the end of the session as well. */
#define CLOSING_NS (5 * CLOCK_NS_PER_S)
/* After a session of this length the back-off starts from the beginning. */
#define PROVEN_NS (30 * CLOCK_NS_PER_S)
/* How long messages in flight may still be acknowledged when new settings come. */
#define LEAVING_NS (3 * CLOCK_NS_PER_S)
#define CROWD_A_TURN 64 /* messages of the crowd that are handled in one turn of the loop */
#define DROPPED_S 10    /* between two lines in the log about dropped messages */

/* --- settings --------------------------------------------------------------------------------- */

/* All that is sized by the settings. The old clients, if any, must not be used any more. */
static void engine_set_sizes(struct uplink_session *session)
{
    const struct config_uplink *config = &session->settings.config;
    size_t received = session->callbacks.max_received;
    received = received > 0 ? received : UPLINK_RECEIVED;
    session->window_size = (size_t)config->window;
    size_t patience = session->window_size / 8;
    uplink_window_free(&session->window);
    uplink_window_init(&session->window, session->window_size + UPLINK_SPARE);
    uplink_reasons_reset(&session->reasons, config->servers.length);
    uplink_state_set_servers(&session->state, config->servers.length, config->reconnect_min_ms,
                             config->reconnect_max_ms);
    if (!session->ring)
        session->ring = uplink_ring_new(session->window.capacity, received, patience);
    else
        uplink_ring_resize(session->ring, session->window.capacity, received, patience);
    session->server = 0;
}

static int make_clients(struct uplink_session *session)
{
    return uplink_clients_make(&session->clients, &session->settings, session->window.capacity,
                               session->ring);
}

/*
 * The next settings take effect; there is neither an attempt nor a session. New clients, because
 * Paho binds the client id, the number of messages and the proxy to them; made before the old ones
 * are freed, for Paho would end its threads in between.
 */
static void engine_take_over(struct uplink_session *session)
{
    struct uplink_clients former = session->clients;
    assert(session->next);
    session->clients = (struct uplink_clients){{NULL, NULL}};
    uplink_settings_free(&session->settings);
    session->settings = *session->next;
    free(session->next);
    session->next = NULL;
    session->probed = SIZE_MAX;
    engine_set_sizes(session);
    (void)make_clients(session); /* if that fails, each attempt tries again */
    uplink_clients_free(&former);
    (void)uplink_session_step(session, UPLINK_CHANGED);
}

/* --- sessions --------------------------------------------------------------------------------- */

static void session_lost(struct uplink_session *session, enum uplink_input input,
                         const char *reason)
{
    uplink_window_clear(&session->window);
    if (uplink_session_step(session, input) && !uplink_session_is_ending(session))
        uplink_session_say_of_server(session, session->server, reason);
}

/* Ends a broken session without a DISCONNECT, so that the broker publishes our will. */
static void break_session(struct uplink_session *session, const char *reason)
{
    session_lost(session, UPLINK_BROKEN, reason);
    if (session->socket >= 0)
        broker_socket_cut(session->socket);
    else
        uplink_session_close(session); /* no other way, although no will is published */
}

/* Ends a session at the owner's request. The phase is UPLINK_LEAVING. */
static void engine_left(struct uplink_session *session, enum uplink_input input)
{
    uplink_window_clear(&session->window);
    if (uplink_session_step(session, input))
        uplink_session_say_down(session, "the settings of the uplink have changed");
}

static void leave(struct uplink_session *session)
{
    bool is_drained = session->window.in_flight == 0;
    engine_left(session, is_drained ? UPLINK_DRAINED : UPLINK_TIMER);
    uplink_session_close(session);
}

/* --- events ----------------------------------------------------------------------------------- */

static void engine_on_lost(struct uplink_session *session)
{
    descriptor_close(&session->socket);
    switch (session->state.phase) {
    case UPLINK_CONNECTING:
    case UPLINK_OVERDUE:
    case UPLINK_SUBSCRIBING:
        uplink_attempt_fail(session, UPLINK_LOST,
                            "the broker ended the connection after the login");
        break;
    case UPLINK_UP:
    case UPLINK_PROVEN:
    case UPLINK_CHOKED:
        session_lost(session, UPLINK_LOST, "connection lost");
        break;
    case UPLINK_LEAVING:
        engine_left(session, UPLINK_LOST);
        break;
    case UPLINK_CLOSING:
        (void)uplink_session_step(session, UPLINK_LOST);
        break;
    case UPLINK_IDLE:
    case UPLINK_WAITING:
    case UPLINK_CHANGING:
        break;
    }
}

static void engine_on_delivered(struct uplink_session *session, int token)
{
    uint64_t tag;
    if (!uplink_window_acknowledge(&session->window, token, &tag))
        return; /* left over from before this session */
    session->acknowledged++;
    if (tag != 0 && session->callbacks.acknowledged)
        session->callbacks.acknowledged(session->callbacks.context, tag);
}

static void engine_on_message(struct uplink_session *session, const struct uplink_event *event)
{
    if (session->callbacks.received && !uplink_session_is_ending(session))
        session->callbacks.received(session->callbacks.context, event->topic, event->payload,
                                    event->length, event->retained);
}

static void engine_handle(struct uplink_session *session, const struct uplink_event *event)
{
    if (event->generation != session->generation)
        return; /* of a session that is gone */
    switch (event->kind) {
    case UPLINK_EVENT_LOGIN:
        uplink_attempt_on_login(session);
        break;
    case UPLINK_EVENT_REFUSED:
        uplink_attempt_on_refused(session, event->code);
        break;
    case UPLINK_EVENT_SUBSCRIBED:
        uplink_attempt_on_subscribed(session);
        break;
    case UPLINK_EVENT_DENIED:
        uplink_attempt_on_denied(session, event->code);
        break;
    case UPLINK_EVENT_LOST:
        engine_on_lost(session);
        break;
    case UPLINK_EVENT_CLOSED:
        descriptor_close(&session->socket);
        (void)uplink_session_step(session, UPLINK_CLOSED);
        break;
    case UPLINK_EVENT_DELIVERED:
        engine_on_delivered(session, event->code);
        break;
    case UPLINK_EVENT_REJECTED: /* of MQTT 5, which this session does not use */
        break;
    case UPLINK_EVENT_MESSAGE:
        engine_on_message(session, event);
        break;
    }
}

/* A flood must not fill the log either. */
static void tell_dropped(struct uplink_session *session)
{
    int64_t now_ns = clock_mono_ns();
    session->dropped += uplink_ring_take_dropped(session->ring);
    if (session->dropped == 0 ||
        (session->dropped_ns && now_ns - session->dropped_ns < DROPPED_S * CLOCK_NS_PER_S))
        return;
    log_warning("uplink", "dropped=%llu messages: the broker sends too many",
                (unsigned long long)session->dropped);
    session->dropped = 0;
    session->dropped_ns = now_ns;
}

/* Some of the crowd's messages; the rest comes in the next turn, after everything else. */
static void drain_crowd(struct uplink_session *session)
{
    struct uplink_event event;
    for (size_t n = 0; n < CROWD_A_TURN; n++) {
        if (!uplink_ring_pop_crowd(session->ring, &event))
            return;
        engine_handle(session, &event);
        free(event.topic);
    }
    uplink_ring_wake(uplink_ring_descriptor(session->ring));
}

void uplink_engine_drain(struct uplink_session *session)
{
    struct uplink_event event;
    uplink_ring_acknowledge(session->ring);
    while (uplink_ring_pop(session->ring, &event)) {
        engine_handle(session, &event);
        free(event.topic);
    }
    drain_crowd(session);
    tell_dropped(session);
    uplink_attempt_finish_probe(session);
}

/* --- deadlines -------------------------------------------------------------------------------- */

/* When the oldest message in flight is late. */
static int64_t late_ns(const struct uplink_session *session)
{
    int64_t oldest_ns = uplink_window_oldest_ns(&session->window);
    if (oldest_ns == NEVER)
        return NEVER;
    return oldest_ns + session->settings.config.ack_timeout_s * CLOCK_NS_PER_S;
}

int64_t uplink_engine_deadline_ns(const struct uplink_session *session)
{
    const struct config_uplink *config = &session->settings.config;
    switch (session->state.phase) {
    case UPLINK_IDLE:
    case UPLINK_OVERDUE:
        return NEVER;
    case UPLINK_WAITING:
        return session->due_ns;
    case UPLINK_CONNECTING:
        return session->step_ns + config->connect_timeout_s * CLOCK_NS_PER_S + CONNECT_GRACE_NS;
    case UPLINK_SUBSCRIBING:
        return session->step_ns + config->ack_timeout_s * CLOCK_NS_PER_S;
    case UPLINK_UP:
        return min_i64(session->step_ns + PROVEN_NS, late_ns(session));
    case UPLINK_PROVEN:
        return late_ns(session);
    case UPLINK_CHOKED:
    case UPLINK_CHANGING:
        return 0;
    case UPLINK_LEAVING:
        return session->window.in_flight > 0 ? session->leave_ns : 0;
    case UPLINK_CLOSING:
        return session->step_ns + CLOSING_NS;
    }
    return NEVER;
}

static void break_late_session(struct uplink_session *session)
{
    char reason[64];
    (void)snprintf(reason, sizeof(reason), "no acknowledgement for %lld s",
                   (long long)session->settings.config.ack_timeout_s);
    break_session(session, reason);
}

static void close_again(struct uplink_session *session)
{
    log_warning("uplink", "%s: the MQTT client does not give up a dead session; asking again",
                uplink_session_server(session));
    (void)uplink_session_step(session, UPLINK_TIMER);
    session->step_ns = clock_mono_ns();
    uplink_session_close(session);
}

void uplink_engine_on_deadline(struct uplink_session *session)
{
    switch (session->state.phase) {
    case UPLINK_IDLE:
    case UPLINK_OVERDUE:
        break;
    case UPLINK_WAITING:
        if (uplink_session_step(session, UPLINK_TIMER))
            uplink_attempt_make(session);
        break;
    case UPLINK_CONNECTING:
        (void)uplink_session_step(session, UPLINK_TIMER);
        log_warning("uplink",
                    "%s: the attempt takes longer than connect_timeout_s; waiting for its end",
                    uplink_session_server(session));
        break;
    case UPLINK_SUBSCRIBING:
        uplink_attempt_break(session, "the broker does not answer the subscription");
        break;
    case UPLINK_UP:
    case UPLINK_PROVEN:
        if (clock_mono_ns() >= late_ns(session))
            break_late_session(session);
        else
            (void)uplink_session_step(session, UPLINK_LASTED);
        break;
    case UPLINK_CHOKED:
        break_session(session, "the MQTT client refused a message");
        break;
    case UPLINK_LEAVING:
        leave(session);
        break;
    case UPLINK_CLOSING:
        close_again(session);
        break;
    case UPLINK_CHANGING:
        engine_take_over(session);
        break;
    }
}

/* --- requests of the owner -------------------------------------------------------------------- */

int uplink_engine_init(struct uplink_session *session, const struct config_uplink *config,
                       const struct uplink_callbacks *callbacks)
{
    *session = (struct uplink_session){
        .callbacks = *callbacks, .socket = -1, .since_wall_ms = clock_wall_ms()};
    int result = uplink_settings_init(&session->settings, config);
    if (result < 0)
        return result;
    uplink_state_init(&session->state, config->servers.length, config->reconnect_min_ms,
                      config->reconnect_max_ms);
    engine_set_sizes(session);
    return make_clients(session);
}

static void free_next(struct uplink_session *session)
{
    if (session->next)
        uplink_settings_free(session->next);
    free(session->next);
    session->next = NULL;
}

void uplink_engine_free(struct uplink_session *session)
{
    uplink_clients_free(&session->clients);
    session->ring = uplink_ring_free(session->ring);
    uplink_attempt_forget(session);
    uplink_reasons_free(&session->reasons);
    uplink_window_free(&session->window);
    free_next(session);
    uplink_settings_free(&session->settings);
}

bool uplink_engine_is_quiet(const struct uplink_session *session)
{
    return session->state.phase == UPLINK_IDLE && !session->probe;
}

void uplink_engine_start(struct uplink_session *session)
{
    (void)uplink_session_step(session, UPLINK_START);
}

/*
 * A request of the owner is an input that may end the present phase. What is in flight is waited
 * for once: further requests do not postpone the end.
 */
static bool wish(struct uplink_session *session, enum uplink_input input, int64_t leave_ns)
{
    enum uplink_phase before = session->state.phase;
    if (!uplink_session_step(session, input))
        return false;
    session->leave_ns = before == UPLINK_LEAVING ? min_i64(session->leave_ns, leave_ns) : leave_ns;
    if (before == UPLINK_SUBSCRIBING)
        uplink_session_close(session);
    return true;
}

int uplink_engine_reconfigure(struct uplink_session *session, const struct config_uplink *config)
{
    struct uplink_settings fresh;
    int result = uplink_settings_init(&fresh, config);
    if (result < 0)
        return result;
    if (!wish(session, UPLINK_CHANGE, clock_mono_ns() + LEAVING_NS)) {
        uplink_settings_free(&fresh);
        return -ENOTCONN;
    }
    free_next(session);
    session->next = memory_zeroed(1, sizeof(*session->next));
    *session->next = fresh;
    log_info("uplink", "new settings; they take effect with the next attempt to connect");
    return 0;
}

void uplink_engine_stop(struct uplink_session *session, int64_t leave_ns)
{
    uplink_ring_hurry(session->ring);
    (void)wish(session, UPLINK_STOP, leave_ns);
}

size_t uplink_engine_room(const struct uplink_session *session)
{
    if (!uplink_phase_is_up(session->state.phase) || session->window.span >= session->window_size)
        return 0;
    return session->window_size - session->window.span;
}

static bool has_place(const struct uplink_session *session, uint64_t tag)
{
    return tag == 0 ? !uplink_window_is_full(&session->window) : uplink_engine_room(session) > 0;
}

int uplink_engine_publish(struct uplink_session *session, const struct mqtt_message *message,
                          uint64_t tag)
{
    int token;
    if (!uplink_phase_is_up(session->state.phase))
        return -ENOTCONN;
    if (!has_place(session, tag))
        return -EAGAIN;
    int result = mqtt_client_publish(uplink_session_client(session), message, &token);
    if (result == -EIO) { /* it takes no more in this session; another follows soon */
        (void)uplink_session_step(session, UPLINK_REFUSED);
        return -ENOTCONN;
    }
    if (result < 0)
        return result;
    uplink_window_add(&session->window, token, tag, clock_mono_ns());
    session->published++;
    return 0;
}
