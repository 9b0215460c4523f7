/* Attempts and sessions: what is done about an event, a deadline, or a wish of the owner. */
#include "agent/uplink/uplink_session.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/base/min_max.h"
#include "agent/uplink/broker_socket.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define NEVER INT64_MAX
/* Paho looks at its connect timeout every 3 s only. */
#define CONNECT_GRACE_NS (5 * CLOCK_NS_PER_S)
/* A cut connection is noticed at once; after this we ask for the end of the session as well. */
#define CLOSING_NS (5 * CLOCK_NS_PER_S)
/* A session that lasted so long was a good one: the back-off starts from the beginning. */
#define PROVEN_NS (30 * CLOCK_NS_PER_S)
/* What is in flight when new settings come has so long to be acknowledged. */
#define LEAVING_NS (3 * CLOCK_NS_PER_S)

#define BAD_SUBSCRIBE 0x80 /* MQTT 3.1.1, section 3.9.3 */

static const struct broker_url *server_of(const struct uplink_session *session)
{
    return &session->settings.servers[session->server];
}

static struct mqtt_client *client_of(const struct uplink_session *session)
{
    return session->clients[server_of(session)->websocket];
}

const char *uplink_session_server(const struct uplink_session *session)
{
    return session->generation > 0 ? session->settings.config.servers.items[session->server] : "";
}

static bool wants_session(const struct uplink_session *session)
{
    return session->state.goal == UPLINK_GOAL_SESSION;
}

/* After the stop the owner hears of acknowledgements only. */
static bool is_ending(const struct uplink_session *session)
{
    return session->state.goal == UPLINK_GOAL_END;
}

/* Moves on in the table; false when the input does not fit the phase: it came late. */
static bool step(struct uplink_session *session, enum uplink_input input)
{
    enum uplink_phase before = session->state.phase;
    uint32_t random = 0;
    int64_t wait_ms = 0;
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
        random = 0; /* the kernel has none yet, early at boot: the shortest wait */
    if (uplink_state_step(&session->state, input, random, &wait_ms) < 0) {
        log_debug("uplink", "phase=%s(%d) input=%d: it came late; ignored",
                  uplink_phase_name(before), (int)before, (int)input);
        return false;
    }
    enum uplink_phase after = session->state.phase;
    if (after == before)
        return true;
    session->step_ns = clock_mono_ns();
    session->due_ns = session->step_ns + wait_ms * CLOCK_NS_PER_MS;
    if (strcmp(uplink_phase_name(after), uplink_phase_name(before)) != 0)
        session->since_wall_ms = clock_wall_ms();
    return true;
}

/* --- what is said ----------------------------------------------------------------------------- */

/* The owner hears of a loss once. */
static void say_down(struct uplink_session *session, const char *reason)
{
    if (session->owner_knows || is_ending(session))
        return;
    session->owner_knows = true;
    if (session->callbacks.down)
        session->callbacks.down(session->callbacks.context, reason);
}

static void say_sentence(struct uplink_session *session, size_t server, const char *sentence)
{
    uplink_reasons_add(&session->reasons, server, sentence);
    if (session->callbacks.failed && !is_ending(session))
        session->callbacks.failed(session->callbacks.context, sentence);
    say_down(session, sentence);
}

static void say_reason(struct uplink_session *session, size_t server, const char *reason)
{
    const struct broker_url *url = &session->settings.servers[server];
    char *sentence CLEANUP(memory_free_pointer) =
        memory_printf("%s:%u: %s", url->host, url->port, reason);
    say_sentence(session, server, sentence);
}

/* --- the probe -------------------------------------------------------------------------------- */

static void start_probe(struct uplink_session *session)
{
    struct uplink_secrets secrets CLEANUP(uplink_secrets_wipe) = {0};
    if (session->probe)
        return; /* the one that runs has something to say soon */
    if (uplink_secrets_read(&session->settings, &secrets) < 0)
        return; /* the next attempt says it */
    struct probe_target target =
        uplink_settings_probe(&session->settings, session->server, &secrets);
    session->probed = session->server;
    session->probe = probe_job_start(&target, uplink_ring_descriptor(session->ring));
    if (!session->probe)
        say_reason(session, session->server, "the connection failed");
}

static void finish_probe(struct uplink_session *session)
{
    enum probe_result result;
    const char *sentence;
    if (!session->probe || !probe_job_result(session->probe, &result, &sentence))
        return;
    bool is_of_interest = session->probed != SIZE_MAX && wants_session(session) &&
                          !uplink_phase_is_up(session->state.phase);
    if (is_of_interest && result != PROBE_OK)
        say_sentence(session, session->probed, sentence);
    else if (is_of_interest)
        say_reason(session, session->probed,
                   session->settings.servers[session->probed].websocket
                       ? "TLS works, but the MQTT login got no answer: is the path right?"
                       : "TLS works, but the MQTT login got no answer: is it an MQTT broker?");
    session->probe = probe_job_free(session->probe);
}

/* --- settings --------------------------------------------------------------------------------- */

static void free_clients(struct mqtt_client *clients[2])
{
    for (size_t i = 0; i < 2; i++)
        clients[i] = mqtt_client_free(clients[i]);
}

/* Makes the clients that the servers need. Paho must be at rest. Returns 0 or a negative errno. */
static int make_clients(struct uplink_session *session)
{
    const struct config_uplink *config = &session->settings.config;
    /* Twice the window: what Paho had not sent when a session broke, it sends in the next. */
    size_t most = 2 * session->window.capacity;
    int result = 0;
    for (size_t i = 0; i < config->servers.length && result == 0; i++) {
        bool websocket = session->settings.servers[i].websocket;
        if (!session->clients[websocket])
            result = mqtt_client_new(config->client_id, websocket, most, session->ring,
                                     &session->clients[websocket]);
    }
    if (result < 0)
        log_error("uplink", "the MQTT client cannot be made (client_id %s): %s", config->client_id,
                  strerror(-result));
    return result;
}

/* All that is sized by the settings. The old clients, if any, must not be used any more. */
static void set_sizes(struct uplink_session *session)
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

/*
 * The next settings take effect; there is neither an attempt nor a session. New clients, because
 * Paho binds the client id, the number of messages and the proxy to them; made before the old ones
 * are freed, for Paho would end its threads in between.
 */
static void take_over(struct uplink_session *session)
{
    struct mqtt_client *former[2] = {session->clients[0], session->clients[1]};
    assert(session->next);
    session->clients[0] = session->clients[1] = NULL;
    uplink_settings_free(&session->settings);
    session->settings = *session->next;
    free(session->next);
    session->next = NULL;
    session->probed = SIZE_MAX;
    set_sizes(session);
    (void)make_clients(session); /* failing that, each attempt tries again */
    free_clients(former);
    (void)step(session, UPLINK_CHANGED);
}
/* --- attempts --------------------------------------------------------------------------------- */

/* REASON NULL: nobody knows, the probe shall find out. */
static void attempt_failed(struct uplink_session *session, enum uplink_input input,
                           const char *reason)
{
    descriptor_close(&session->socket);
    session->failures++;
    if (!step(session, input) || !wants_session(session))
        return;
    if (reason)
        say_reason(session, session->server, reason);
    else
        start_probe(session);
}

/* Says farewell, so that the broker forgets our will. The phase is UPLINK_CLOSING. */
static void ask_to_close(struct uplink_session *session)
{
    if (mqtt_client_disconnect(client_of(session)) < 0)
        (void)step(session, UPLINK_CLOSED);
}

/* Ends an attempt that came as far as the login. */
static void break_attempt(struct uplink_session *session, const char *reason)
{
    attempt_failed(session, UPLINK_BROKEN, reason);
    ask_to_close(session);
}

static void forget_subscriptions(struct uplink_session *session)
{
    for (size_t i = 0; i < session->n_subscriptions; i++)
        free((char *)session->subscriptions[i].filter);
    session->n_subscriptions = 0;
}

/* Asks the owner what opens the session; keeps the subscriptions for when it is time for them. */
static struct uplink_opening ask_opening(struct uplink_session *session)
{
    struct uplink_opening opening = {.n_subscriptions = 0};
    if (session->callbacks.open)
        session->callbacks.open(session->callbacks.context, &opening);
    assert(opening.n_subscriptions <= UPLINK_SUBSCRIPTIONS);
    forget_subscriptions(session);
    for (size_t i = 0; i < opening.n_subscriptions; i++) {
        session->subscriptions[i] = opening.subscriptions[i];
        session->subscriptions[i].filter = memory_text(opening.subscriptions[i].filter);
    }
    session->n_subscriptions = opening.n_subscriptions;
    session->subscribed = 0;
    return opening;
}

/* Connects to the server whose turn it is. The phase is UPLINK_CONNECTING. */
static void attempt(struct uplink_session *session)
{
    struct uplink_secrets secrets CLEANUP(uplink_secrets_wipe) = {0};
    session->server = session->state.server;
    session->generation++;
    if (make_clients(session) < 0) {
        attempt_failed(session, UPLINK_FAILED, "the MQTT client cannot be made");
        return;
    }
    if (uplink_secrets_read(&session->settings, &secrets) < 0) {
        attempt_failed(session, UPLINK_FAILED, strbuf_text(&secrets.problem));
        return;
    }
    struct uplink_opening opening = ask_opening(session);
    struct mqtt_attempt wanted =
        uplink_settings_attempt(&session->settings, session->server, &secrets);
    wanted.will = opening.will;
    wanted.generation = session->generation;
    log_debug("uplink", "%s:%u: attempt %u", wanted.server->host, wanted.server->port,
              session->generation);
    if (mqtt_client_connect(client_of(session), &wanted) < 0)
        attempt_failed(session, UPLINK_FAILED, "the MQTT client does not take the attempt");
}

/* --- sessions --------------------------------------------------------------------------------- */

static void session_lost(struct uplink_session *session, enum uplink_input input,
                         const char *reason)
{
    uplink_window_clear(&session->window);
    if (step(session, input) && !is_ending(session))
        say_reason(session, session->server, reason);
}

/* Gives up a session that is broken, without a farewell, so that the broker publishes our will. */
static void break_session(struct uplink_session *session, const char *reason)
{
    session_lost(session, UPLINK_BROKEN, reason);
    if (session->socket >= 0)
        broker_socket_cut(session->socket);
    else
        ask_to_close(session); /* the will is lost with it, but nothing else is at hand */
}

/* The end of a session that the owner wants. The phase is UPLINK_LEAVING. */
static void left(struct uplink_session *session, enum uplink_input input)
{
    uplink_window_clear(&session->window);
    if (step(session, input))
        say_down(session, "the settings of the uplink have changed");
}

static void leave(struct uplink_session *session)
{
    bool is_drained = session->window.in_flight == 0;
    left(session, is_drained ? UPLINK_DRAINED : UPLINK_TIMER);
    ask_to_close(session);
}

static void session_up(struct uplink_session *session)
{
    if (!step(session, UPLINK_CONNECTED))
        return;
    if (session->state.phase == UPLINK_CLOSING) { /* the owner wants something else meanwhile */
        ask_to_close(session);
        return;
    }
    session->connects++;
    session->owner_knows = false;
    uplink_reasons_clear(&session->reasons);
    log_info("uplink", "%s:%u: session up, publishing", server_of(session)->host,
             server_of(session)->port);
    if (session->callbacks.up)
        session->callbacks.up(session->callbacks.context);
}

/* The next subscription, or up when all have been answered. */
static void subscribe_next(struct uplink_session *session)
{
    if (session->subscribed == session->n_subscriptions) {
        session_up(session);
        return;
    }
    const struct uplink_subscription *next = &session->subscriptions[session->subscribed];
    session->step_ns = clock_mono_ns();
    if (mqtt_client_subscribe(client_of(session), next->filter, next->qos) < 0)
        break_attempt(session, "the connection was lost right after the login");
}

static void tune_socket(struct uplink_session *session)
{
    const struct uplink_settings *settings = &session->settings;
    uint16_t port = settings->proxy_port ? settings->proxy_port : server_of(session)->port;
    descriptor_close(&session->socket);
    int found = broker_socket_find(port, (unsigned int)settings->config.ack_timeout_s * 1000,
                                   &session->socket);
    if (found != 1)
        log_debug("uplink", "sockets=%d with peer port %u; going on without a duplicate of it",
                  found, port);
}

/* --- events ----------------------------------------------------------------------------------- */

static void on_login(struct uplink_session *session)
{
    enum uplink_phase phase = session->state.phase;
    if (phase != UPLINK_CONNECTING && phase != UPLINK_OVERDUE)
        return;
    tune_socket(session);
    if (session->n_subscriptions == 0) {
        session_up(session);
        return;
    }
    (void)step(session, UPLINK_LOGGED_IN);
    if (session->state.phase == UPLINK_SUBSCRIBING)
        subscribe_next(session);
    else
        ask_to_close(session); /* the owner wants something else meanwhile */
}

static void on_refused(struct uplink_session *session, int code)
{
    enum uplink_phase phase = session->state.phase;
    if (phase == UPLINK_CONNECTING || phase == UPLINK_OVERDUE)
        attempt_failed(session, UPLINK_FAILED, mqtt_client_refusal(code));
}

static void on_subscribed(struct uplink_session *session)
{
    if (session->state.phase != UPLINK_SUBSCRIBING)
        return;
    session->subscribed++;
    subscribe_next(session);
}

static void on_denied(struct uplink_session *session, int code)
{
    if (code != BAD_SUBSCRIBE || session->state.phase != UPLINK_SUBSCRIBING)
        return; /* the end of the connection, which is an event of its own */
    const struct uplink_subscription *denied = &session->subscriptions[session->subscribed];
    char *reason CLEANUP(memory_free_pointer) =
        memory_printf("the broker refused the subscription to %s: its access control list (ACL) "
                      "must allow this user to read it",
                      denied->filter);
    if (!denied->is_optional) {
        break_attempt(session, reason);
        return;
    }
    log_warning("uplink", "%s; going on without it", reason);
    session->subscribed++;
    subscribe_next(session);
}

static void on_lost(struct uplink_session *session)
{
    descriptor_close(&session->socket);
    switch (session->state.phase) {
    case UPLINK_CONNECTING:
    case UPLINK_OVERDUE:
    case UPLINK_SUBSCRIBING:
        attempt_failed(session, UPLINK_LOST, "the broker ended the connection after the login");
        break;
    case UPLINK_UP:
    case UPLINK_PROVEN:
    case UPLINK_CHOKED:
        session_lost(session, UPLINK_LOST, "connection lost");
        break;
    case UPLINK_LEAVING:
        left(session, UPLINK_LOST);
        break;
    case UPLINK_CLOSING:
        (void)step(session, UPLINK_LOST);
        break;
    case UPLINK_IDLE:
    case UPLINK_WAITING:
    case UPLINK_CHANGING:
        break;
    }
}

static void on_delivered(struct uplink_session *session, int token)
{
    uint64_t tag;
    if (!uplink_window_acknowledge(&session->window, token, &tag))
        return; /* left over from before this session */
    session->acknowledged++;
    if (tag != 0 && session->callbacks.acknowledged)
        session->callbacks.acknowledged(session->callbacks.context, tag);
}

static void on_message(struct uplink_session *session, const struct uplink_event *event)
{
    if (session->callbacks.received && !is_ending(session))
        session->callbacks.received(session->callbacks.context, event->topic, event->payload,
                                    event->length, event->retained);
}

static void handle(struct uplink_session *session, const struct uplink_event *event)
{
    if (event->generation != session->generation)
        return; /* of a session that is gone */
    switch (event->kind) {
    case UPLINK_EVENT_LOGIN:
        on_login(session);
        break;
    case UPLINK_EVENT_REFUSED:
        on_refused(session, event->code);
        break;
    case UPLINK_EVENT_SUBSCRIBED:
        on_subscribed(session);
        break;
    case UPLINK_EVENT_DENIED:
        on_denied(session, event->code);
        break;
    case UPLINK_EVENT_LOST:
        on_lost(session);
        break;
    case UPLINK_EVENT_CLOSED:
        descriptor_close(&session->socket);
        (void)step(session, UPLINK_CLOSED);
        break;
    case UPLINK_EVENT_DELIVERED:
        on_delivered(session, event->code);
        break;
    case UPLINK_EVENT_REJECTED: /* of MQTT 5, which this session does not speak */
        break;
    case UPLINK_EVENT_MESSAGE:
        on_message(session, event);
        break;
    }
}

void uplink_session_drain(struct uplink_session *session)
{
    struct uplink_event event;
    uplink_ring_acknowledge(session->ring);
    while (uplink_ring_pop(session->ring, &event)) {
        handle(session, &event);
        free(event.topic);
    }
    uint64_t dropped = uplink_ring_take_dropped(session->ring);
    if (dropped)
        log_warning("uplink", "dropped=%llu messages: the broker sends more than any use needs",
                    (unsigned long long)dropped);
    finish_probe(session);
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

int64_t uplink_session_deadline_ns(const struct uplink_session *session)
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
    log_warning("uplink", "%s: the MQTT client holds on to a dead session; asking again",
                uplink_session_server(session));
    (void)step(session, UPLINK_TIMER);
    session->step_ns = clock_mono_ns();
    ask_to_close(session);
}

void uplink_session_on_deadline(struct uplink_session *session)
{
    switch (session->state.phase) {
    case UPLINK_IDLE:
    case UPLINK_OVERDUE:
        break;
    case UPLINK_WAITING:
        if (step(session, UPLINK_TIMER))
            attempt(session);
        break;
    case UPLINK_CONNECTING:
        (void)step(session, UPLINK_TIMER);
        log_warning("uplink", "%s: the attempt takes longer than connect_timeout_s; waiting for it",
                    uplink_session_server(session));
        break;
    case UPLINK_SUBSCRIBING:
        break_attempt(session, "the broker does not answer the subscription");
        break;
    case UPLINK_UP:
    case UPLINK_PROVEN:
        if (clock_mono_ns() >= late_ns(session))
            break_late_session(session);
        else
            (void)step(session, UPLINK_LASTED);
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
        take_over(session);
        break;
    }
}

/* --- wishes of the owner ---------------------------------------------------------------------- */

int uplink_session_init(struct uplink_session *session, const struct config_uplink *config,
                        const struct uplink_callbacks *callbacks)
{
    *session = (struct uplink_session){
        .callbacks = *callbacks, .socket = -1, .since_wall_ms = clock_wall_ms()};
    int result = uplink_settings_init(&session->settings, config);
    if (result < 0)
        return result;
    uplink_state_init(&session->state, config->servers.length, config->reconnect_min_ms,
                      config->reconnect_max_ms);
    set_sizes(session);
    return make_clients(session);
}

static void free_next(struct uplink_session *session)
{
    if (session->next)
        uplink_settings_free(session->next);
    free(session->next);
    session->next = NULL;
}

void uplink_session_free(struct uplink_session *session)
{
    free_clients(session->clients);
    session->ring = uplink_ring_free(session->ring);
    forget_subscriptions(session);
    uplink_reasons_free(&session->reasons);
    uplink_window_free(&session->window);
    free_next(session);
    uplink_settings_free(&session->settings);
}

bool uplink_session_is_quiet(const struct uplink_session *session)
{
    return session->state.phase == UPLINK_IDLE && !session->probe;
}

void uplink_session_start(struct uplink_session *session)
{
    (void)step(session, UPLINK_START);
}

/* The owner's wish is an input that may end the present phase. */
static bool wish(struct uplink_session *session, enum uplink_input input, int64_t leave_ns)
{
    enum uplink_phase before = session->state.phase;
    if (!step(session, input))
        return false;
    session->leave_ns = leave_ns;
    if (before == UPLINK_SUBSCRIBING)
        ask_to_close(session);
    return true;
}

int uplink_session_reconfigure(struct uplink_session *session, const struct config_uplink *config)
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

void uplink_session_stop(struct uplink_session *session, int64_t leave_ns)
{
    uplink_ring_hurry(session->ring);
    (void)wish(session, UPLINK_STOP, leave_ns);
}

size_t uplink_session_room(const struct uplink_session *session)
{
    if (!uplink_phase_is_up(session->state.phase) || session->window.span >= session->window_size)
        return 0;
    return session->window_size - session->window.span;
}

static bool has_place(const struct uplink_session *session, uint64_t tag)
{
    return tag == 0 ? !uplink_window_is_full(&session->window) : uplink_session_room(session) > 0;
}

int uplink_session_publish(struct uplink_session *session, const struct mqtt_message *message,
                           uint64_t tag)
{
    int token;
    if (!uplink_phase_is_up(session->state.phase))
        return -ENOTCONN;
    if (!has_place(session, tag))
        return -EAGAIN;
    int result = mqtt_client_publish(client_of(session), message, &token);
    if (result == -EIO) { /* it takes no more in this session; another follows soon */
        (void)step(session, UPLINK_REFUSED);
        return -ENOTCONN;
    }
    if (result < 0)
        return result;
    uplink_window_add(&session->window, token, tag, clock_mono_ns());
    session->published++;
    return 0;
}
