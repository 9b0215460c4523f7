/* An attempt: login, subscriptions, and why it failed. */
#include "agent/uplink/uplink_attempt.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/uplink/broker_socket.h"

#include <assert.h>
#include <stdlib.h>

#define BAD_SUBSCRIBE 0x80 /* MQTT 3.1.1, section 3.9.3 */

/* --- the probe -------------------------------------------------------------------------------- */

static void start_probe(struct uplink_session *session)
{
    struct uplink_secrets secrets CLEANUP(uplink_secrets_wipe) = {0};
    if (session->probe)
        return; /* the running probe will report soon */
    if (uplink_secrets_read(&session->settings, &secrets) < 0)
        return; /* the next attempt reports it */
    struct probe_target target =
        uplink_settings_probe(&session->settings, session->server, &secrets);
    session->probed = session->server;
    session->probe = probe_job_start(&target, uplink_ring_descriptor(session->ring));
    if (!session->probe)
        uplink_session_say_of_server(session, session->server, "the connection failed");
}

void uplink_attempt_finish_probe(struct uplink_session *session)
{
    enum probe_result result;
    const char *sentence;
    if (!session->probe || !probe_job_result(session->probe, &result, &sentence))
        return;
    bool is_of_interest = session->probed != SIZE_MAX && uplink_session_is_wanted(session) &&
                          !uplink_phase_is_up(session->state.phase);
    if (is_of_interest && result != PROBE_OK)
        uplink_session_say(session, session->probed, sentence);
    else if (is_of_interest)
        uplink_session_say_of_server(
            session, session->probed,
            session->settings.servers[session->probed].websocket
                ? "TLS works, but the MQTT login got no answer: is the path right?"
                : "TLS works, but the MQTT login got no answer: is it an MQTT broker?");
    session->probe = probe_job_free(session->probe);
}

/* --- the attempt ------------------------------------------------------------------------------ */

void uplink_attempt_fail(struct uplink_session *session, enum uplink_input input,
                         const char *reason)
{
    descriptor_close(&session->socket);
    session->failures++;
    if (!uplink_session_step(session, input) || !uplink_session_is_wanted(session))
        return;
    if (reason)
        uplink_session_say_of_server(session, session->server, reason);
    else
        start_probe(session);
}

void uplink_attempt_break(struct uplink_session *session, const char *reason)
{
    uplink_attempt_fail(session, UPLINK_BROKEN, reason);
    uplink_session_close(session);
}

void uplink_attempt_forget(struct uplink_session *session)
{
    for (size_t i = 0; i < session->n_subscriptions; i++)
        free((char *)session->subscriptions[i].filter);
    session->n_subscriptions = 0;
}

/* Asks the owner what opens the session; keeps the subscriptions for when it is time for them. */
static struct uplink_opening ask_opening(struct uplink_session *session)
{
    struct uplink_opening opening = {.n_subscriptions = 0};
    const struct uplink_subscription *crowd = NULL;
    if (session->callbacks.open)
        session->callbacks.open(session->callbacks.context, &opening);
    assert(opening.n_subscriptions <= UPLINK_SUBSCRIPTIONS);
    uplink_attempt_forget(session);
    for (size_t i = 0; i < opening.n_subscriptions; i++) {
        session->subscriptions[i] = opening.subscriptions[i];
        session->subscriptions[i].filter = memory_text(opening.subscriptions[i].filter);
        if (opening.subscriptions[i].crowd_bytes > 0)
            crowd = &session->subscriptions[i];
    }
    uplink_ring_set_crowd(session->ring, crowd ? crowd->filter : NULL,
                          crowd ? crowd->crowd_bytes : 0);
    session->n_subscriptions = opening.n_subscriptions;
    session->subscribed = 0;
    return opening;
}

void uplink_attempt_make(struct uplink_session *session)
{
    struct uplink_secrets secrets CLEANUP(uplink_secrets_wipe) = {0};
    session->server = session->state.server;
    session->generation++;
    /* There are none when they could not be made for new settings. */
    if (uplink_clients_make(&session->clients, &session->settings, session->window.capacity,
                            session->ring) < 0) {
        uplink_attempt_fail(session, UPLINK_FAILED, "the MQTT client cannot be created");
        return;
    }
    if (uplink_secrets_read(&session->settings, &secrets) < 0) {
        uplink_attempt_fail(session, UPLINK_FAILED, strbuf_text(&secrets.problem));
        return;
    }
    struct uplink_opening opening = ask_opening(session);
    struct mqtt_attempt wanted =
        uplink_settings_attempt(&session->settings, session->server, &secrets);
    wanted.will = opening.will;
    wanted.generation = session->generation;
    log_debug("uplink", "%s:%u: attempt %u", wanted.server->host, wanted.server->port,
              session->generation);
    if (mqtt_client_connect(uplink_session_client(session), &wanted) < 0)
        uplink_attempt_fail(session, UPLINK_FAILED, "the MQTT client rejected the attempt");
}

/* --- after the login -------------------------------------------------------------------------- */

static void session_up(struct uplink_session *session)
{
    if (!uplink_session_step(session, UPLINK_CONNECTED))
        return;
    if (session->state.phase == UPLINK_CLOSING) { /* the owner has changed its goal meanwhile */
        uplink_session_close(session);
        return;
    }
    session->connects++;
    session->owner_knows = false;
    uplink_reasons_clear(&session->reasons);
    log_info("uplink", "%s:%u: session up, publishing", uplink_session_url(session)->host,
             uplink_session_url(session)->port);
    if (session->callbacks.up)
        session->callbacks.up(session->callbacks.context);
}

/* Sends the next subscription; the session is up when all have been answered. */
static void subscribe_next(struct uplink_session *session)
{
    if (session->subscribed == session->n_subscriptions) {
        session_up(session);
        return;
    }
    const struct uplink_subscription *next = &session->subscriptions[session->subscribed];
    session->step_ns = clock_mono_ns();
    if (mqtt_client_subscribe(uplink_session_client(session), next->filter, next->qos) < 0)
        uplink_attempt_break(session, "the connection was lost right after the login");
}

static void tune_socket(struct uplink_session *session)
{
    const struct uplink_settings *settings = &session->settings;
    uint16_t port = settings->proxy_port ? settings->proxy_port : uplink_session_url(session)->port;
    descriptor_close(&session->socket);
    int found = broker_socket_find(port, (unsigned int)settings->config.ack_timeout_s * 1000,
                                   &session->socket);
    if (found != 1)
        log_debug("uplink", "sockets=%d with peer port %u; continuing without a duplicate of it",
                  found, port);
}

void uplink_attempt_on_login(struct uplink_session *session)
{
    enum uplink_phase phase = session->state.phase;
    if (phase != UPLINK_CONNECTING && phase != UPLINK_OVERDUE)
        return;
    tune_socket(session);
    if (session->n_subscriptions == 0) {
        session_up(session);
        return;
    }
    (void)uplink_session_step(session, UPLINK_LOGGED_IN);
    if (session->state.phase == UPLINK_SUBSCRIBING)
        subscribe_next(session);
    else
        uplink_session_close(session); /* the owner has changed its goal meanwhile */
}

void uplink_attempt_on_refused(struct uplink_session *session, int code)
{
    enum uplink_phase phase = session->state.phase;
    if (phase == UPLINK_CONNECTING || phase == UPLINK_OVERDUE)
        uplink_attempt_fail(session, UPLINK_FAILED, mqtt_client_refusal(code));
}

void uplink_attempt_on_subscribed(struct uplink_session *session)
{
    if (session->state.phase != UPLINK_SUBSCRIBING)
        return;
    session->subscribed++;
    subscribe_next(session);
}

void uplink_attempt_on_denied(struct uplink_session *session, int code)
{
    if (code != BAD_SUBSCRIBE || session->state.phase != UPLINK_SUBSCRIBING)
        return; /* the end of the connection, which is an event of its own */
    const struct uplink_subscription *denied = &session->subscriptions[session->subscribed];
    char *reason CLEANUP(memory_free_pointer) =
        memory_printf("the broker refused the subscription to %s: its access control list (ACL) "
                      "must allow this user to read it",
                      denied->filter);
    if (!denied->is_optional) {
        uplink_attempt_break(session, reason);
        return;
    }
    log_warning("uplink", "%s; continuing without it", reason);
    session->subscribed++;
    subscribe_next(session);
}
