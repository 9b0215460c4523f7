/*
 * The test of the broker, in the order in which things fail: name, TCP, TLS (agent/tls/probe.c),
 * login, and what the login may do. The last is asked with MQTT 5, whose acknowledgements say what
 * was denied; a broker that speaks 3.1.1 only acknowledges that as well.
 *
 * What is published is harmless: while no agent runs, the status is `offline` anyway, and there is
 * no challenge; no client reads the topic of a gateway that does not exist.
 */

#include "agent/cli/init/init_broker.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "agent/cli/agent_client.h"
#include "agent/cli/init/init_report.h"
#include "agent/uplink/uplink_settings.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define STEP_MS 5000
#define QUIET_MS 700 /* for retained messages of other gateways to arrive */
#define RING_EVENTS 256
#define FIRST_REASON 0x80 /* MQTT 5, section 2.4: reason codes from here on mean a refusal */

struct login {
    const struct uplink_settings *settings;
    const struct uplink_secrets *secrets;
    size_t server;
    const char *client_id;
    bool with_5;
};

struct init_broker_session {
    const struct login *login;
    struct mqtt_client *client;
    struct uplink_ring *ring;
    const char *own;   /* "PREFIX/SITE/ID/" */
    char foreign[256]; /* the first topic of another gateway that was received; "" for none */
    bool is_over;      /* lost, or closed */
};

/* A message was received: one of another gateway is a finding. */
static void note_message(struct init_broker_session *session, const char *topic)
{
    if (strncmp(topic, session->own, strlen(session->own)) != 0 && !session->foreign[0])
        (void)snprintf(session->foreign, sizeof(session->foreign), "%s", topic);
}

/*
 * Waits for one of the events in WANTED (bits), looking at messages meanwhile. Returns its kind
 * with *RET_CODE, or -1 when the time is over or the session is lost.
 */
static int await(struct init_broker_session *session, unsigned wanted, int timeout_ms,
                 int *ret_code)
{
    int64_t deadline_ns = clock_mono_ns() + timeout_ms * CLOCK_NS_PER_MS;
    while (!session->is_over) {
        struct uplink_event event;
        while (uplink_ring_pop(session->ring, &event)) {
            if (event.kind == UPLINK_EVENT_MESSAGE)
                note_message(session, event.topic);
            free(event.topic);
            session->is_over = event.kind == UPLINK_EVENT_LOST;
            if (!(wanted & (1u << event.kind)))
                continue;
            *ret_code = event.code;
            return (int)event.kind;
        }
        int64_t left_ms = (deadline_ns - clock_mono_ns()) / CLOCK_NS_PER_MS;
        struct pollfd wait = {.fd = uplink_ring_descriptor(session->ring), .events = POLLIN};
        if (left_ms <= 0)
            break;
        if (poll(&wait, 1, (int)left_ms) > 0)
            uplink_ring_acknowledge(session->ring);
    }
    return -1;
}

#define BIT(kind) (1u << UPLINK_EVENT_##kind)

/* A client whose threads may still be at work stays in memory: the process ends soon. */
static void end_session(struct init_broker_session *session, bool is_idle)
{
    int code;
    if (session->client && !is_idle && !session->is_over &&
        mqtt_client_disconnect(session->client) == 0)
        is_idle = await(session, BIT(CLOSED), STEP_MS, &code) >= 0;
    if (!session->client || is_idle || session->is_over) {
        session->client = mqtt_client_free(session->client);
        session->ring = uplink_ring_free(session->ring);
    }
}

/* ---- login ---- */

/* Returns UPLINK_EVENT_LOGIN, UPLINK_EVENT_REFUSED with *RET_CODE, or -1. */
static int log_in(struct init_broker_session *session, int *ret_code)
{
    const struct login *login = session->login;
    struct mqtt_attempt attempt =
        uplink_settings_attempt(login->settings, login->server, login->secrets);
    attempt.generation = 1;
    session->is_over = false;
    session->ring = uplink_ring_new(RING_EVENTS, RING_EVENTS, 1);
    int (*make)(const char *, bool, size_t, struct uplink_ring *, struct mqtt_client **) =
        login->with_5 ? mqtt_client_new_5 : mqtt_client_new;
    if (make(login->client_id, attempt.server->websocket, 16, session->ring, &session->client) <
            0 ||
        mqtt_client_connect(session->client, &attempt) < 0)
        return -1;
    return await(session, BIT(LOGIN) | BIT(REFUSED), 2 * attempt.connect_timeout_s * 1000,
                 ret_code);
}

/* Some brokers end the session when something was denied. */
static bool init_broker_is_there(struct init_broker_session *session)
{
    int code;
    if (!session->is_over)
        return true;
    end_session(session, true);
    if (session->client)
        return false;
    return log_in(session, &code) == UPLINK_EVENT_LOGIN;
}

/* ---- what the login may do ---- */

/* 1: accepted, 0: denied, -1: no verdict, as when the session ended before it came. */
static int verdict_of(struct init_broker_session *session, int kind, enum uplink_event_kind good,
                      int code)
{
    if (kind == (int)good)
        return 1;
    if (kind >= 0 && code >= FIRST_REASON)
        return 0;
    session->is_over |= kind >= 0;
    return -1;
}

static int write_once(struct init_broker_session *session, const char *topic, const char *payload,
                      bool retained)
{
    int token, code = 0;
    const struct mqtt_message message = {.topic = topic,
                                         .payload = payload,
                                         .length = strlen(payload),
                                         .qos = 1,
                                         .retained = retained};
    if (mqtt_client_publish(session->client, &message, &token) < 0) {
        session->is_over = true;
        return -1;
    }
    int kind = await(session, BIT(DELIVERED) | BIT(REJECTED), STEP_MS, &code);
    return verdict_of(session, kind, UPLINK_EVENT_DELIVERED, code);
}

/* The end of a session that the previous message caused is noticed late, so this tries twice. */
static int try_to_write(struct init_broker_session *session, const char *topic, const char *payload,
                        bool retained)
{
    int verdict =
        init_broker_is_there(session) ? write_once(session, topic, payload, retained) : -1;
    if (verdict < 0 && session->is_over && init_broker_is_there(session))
        verdict = write_once(session, topic, payload, retained);
    return verdict;
}

static int read_once(struct init_broker_session *session, const char *topic)
{
    int code = 0;
    if (mqtt_client_subscribe(session->client, topic, 1) < 0) {
        session->is_over = true;
        return -1;
    }
    int kind = await(session, BIT(SUBSCRIBED) | BIT(DENIED), STEP_MS, &code);
    return verdict_of(session, kind, UPLINK_EVENT_SUBSCRIBED, code);
}

static int try_to_read(struct init_broker_session *session, const char *topic)
{
    int verdict = init_broker_is_there(session) ? read_once(session, topic) : -1;
    if (verdict < 0 && session->is_over && init_broker_is_there(session))
        verdict = read_once(session, topic);
    return verdict;
}

static void say_unknown(const char *topic, struct init_report *report)
{
    init_say(
        report, INIT_BAD, "broker-acl",
        "%s: the broker did not answer within %d s, or closed the connection; its log says why",
        topic, STEP_MS / 1000);
}

static void test_own(struct init_broker_session *session, struct init_report *report)
{
    static const struct {
        const char *name, *payload;
    } topics[] = {{"status", "{\"state\":\"offline\"}"}, {"challenge", ""}};
    for (size_t i = 0; i < ARRAY_LENGTH(topics); i++) {
        CLEANUP(memory_free_pointer)
        char *topic = memory_printf("%s%s", session->own, topics[i].name);
        int written = try_to_write(session, topic, topics[i].payload, true);
        if (written > 0)
            init_say(report, INIT_GOOD, "broker-acl", "this login may write %s", topic);
        else if (written == 0)
            init_say(report, INIT_BAD, "broker-acl",
                     "the broker does not let this login write %s: allow it to write %s#", topic,
                     session->own);
        else
            say_unknown(topic, report);
    }
    CLEANUP(memory_free_pointer) char *command = memory_printf("%scommand", session->own);
    int readable = try_to_read(session, command);
    if (readable == 0)
        init_say(report, INIT_BAD, "broker-acl",
                 "the broker does not let this login read %s: no signed command can arrive",
                 command);
    else if (readable < 0)
        say_unknown(command, report);
}

/* In the SITE of the gateway: a neighbour that does not exist. */
static void test_others(struct init_broker_session *session, const struct config *config,
                        struct init_report *report)
{
    const char *prefix = config->uplink.prefix;
    CLEANUP(memory_free_pointer) char *all = memory_printf("%s/#", prefix);
    CLEANUP(memory_free_pointer)
    char *topic =
        memory_printf("%s/%s/%s-acl-test/event", prefix, config->gateway.site, config->gateway.id);
    int code, readable = try_to_read(session, all);
    if (readable > 0) /* what others have left there */
        (void)await(session, 0, QUIET_MS, &code);
    int written = try_to_write(session, topic, "{\"event\":\"acl_test\"}", false);
    if (readable > 0 && written > 0) /* and whether it comes back */
        (void)await(session, 0, QUIET_MS, &code);
    if (written > 0)
        init_say(report, INIT_BAD, "broker-acl",
                 "this login may write %s, which belongs to another gateway: limit it to %s#",
                 topic, session->own);
    else if (written == 0)
        init_say(report, INIT_GOOD, "broker-acl",
                 "this login cannot write topics of other gateways");
    else
        say_unknown(topic, report);
    if (session->foreign[0])
        init_say(report, INIT_BAD, "broker-acl",
                 "this login can read %s, which belongs to another gateway: limit it to %scommand",
                 session->foreign, session->own);
    else if (readable >= 0)
        init_say(report, INIT_GOOD, "broker-acl",
                 "this login cannot read topics of other gateways");
    else
        say_unknown(all, report);
}

static void test_rights(struct init_broker_session *session, const struct config *config,
                        bool agent_runs, struct init_report *report)
{
    if (agent_runs)
        init_say(report, INIT_NOTE, "broker-acl",
                 "the agent is running, so writing to its topics was not tested");
    else
        test_own(session, report);
    test_others(session, config, report);
}

static void say_refused(const char *server, int kind, int code, struct init_report *report)
{
    const char *why = kind == UPLINK_EVENT_REFUSED ? mqtt_client_refusal(code) : NULL;
    init_say(report, INIT_BAD, "broker-login", "%s: %s", server,
             why        ? why
             : kind < 0 ? "the broker accepts TLS, but does not answer the login"
                        : "the broker closed the connection at the login; its log says why");
}

/* Logs in with MQTT 5 if the broker supports it. Returns whether there is a session. */
static bool init_broker_open_session(struct login *login, struct init_broker_session *session,
                                     struct init_report *report)
{
    int code = 0;
    const char *server = login->settings->config.servers.items[login->server];
    login->with_5 = true;
    int kind = log_in(session, &code);
    if (kind == UPLINK_EVENT_REFUSED && !(mqtt_client_refusal(code) && code >= 0x80)) {
        end_session(session, true); /* no MQTT 5? try the version of the agent */
        login->with_5 = false;
        kind = log_in(session, &code);
    }
    if (kind == UPLINK_EVENT_LOGIN) {
        init_say(report, INIT_GOOD, "broker-login", "%s: logged in", server);
        return true;
    }
    say_refused(server, kind, code, report);
    end_session(session, kind == UPLINK_EVENT_REFUSED);
    return false;
}

static bool test_login(const struct config *config, struct login *login, const char *own,
                       bool agent_runs, bool with_rights, struct init_report *report)
{
    struct init_broker_session session = {.login = login, .own = own};
    if (!init_broker_open_session(login, &session, report))
        return false;
    if (with_rights && login->with_5)
        test_rights(&session, config, agent_runs, report);
    else if (with_rights)
        init_say(report, INIT_NOTE, "broker-acl",
                 "this broker does not speak MQTT 5 and so cannot report what it denies; check "
                 "that values arrive");
    end_session(&session, false);
    return true;
}

/* ---- all servers ---- */

static void test_servers(const struct config *config, const struct uplink_settings *settings,
                         const struct uplink_secrets *secrets, struct init_report *report)
{
    CLEANUP(descriptor_close) int agent = agent_connect(config);
    CLEANUP(memory_free_pointer)
    char *other_id = memory_printf("%s-init", config->uplink.client_id);
    CLEANUP(memory_free_pointer)
    char *own =
        memory_printf("%s/%s/%s/", config->uplink.prefix, config->gateway.site, config->gateway.id);
    bool tested_rights = false;
    for (size_t i = 0; i < config->uplink.servers.length; i++) {
        char sentence[512];
        const struct probe_target target = uplink_settings_probe(settings, i, secrets);
        if (probe_run(&target, sentence, sizeof(sentence)) != PROBE_OK) {
            init_say(report, INIT_BAD, "broker-tls", "%s", sentence);
            continue;
        }
        init_say(report, INIT_GOOD, "broker-tls", "%s: a verified TLS session is possible",
                 config->uplink.servers.items[i]);
        /* The broker would end the agent's session if another client logged in with its name. */
        struct login login = {.settings = settings,
                              .secrets = secrets,
                              .server = i,
                              .client_id = agent >= 0 ? other_id : config->uplink.client_id};
        if (test_login(config, &login, own, agent >= 0, !tested_rights, report))
            tested_rights = true;
    }
}

void init_test_broker(const struct config *config, struct init_report *report)
{
    CLEANUP(uplink_secrets_wipe)
    struct uplink_secrets secrets = {0};
    struct uplink_settings settings;
    if (uplink_settings_init(&settings, &config->uplink) < 0) {
        init_say(report, INIT_BAD, "broker-tls",
                 "the settings cannot be used: see the messages above");
        return;
    }
    if (uplink_secrets_read(&settings, &secrets) < 0)
        init_say(report, INIT_BAD, "broker-tls", "%s", strbuf_text(&secrets.problem));
    else
        test_servers(config, &settings, &secrets, report);
    uplink_settings_free(&settings);
}
