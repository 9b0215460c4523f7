/* The state of an uplink: which steps it takes, and what its owner hears of it. The client is a
 * fake. */
#include "agent/uplink/uplink_session.h"

#include "agent/base/memory.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct {
    char log[400]; /* "down REASON\n", "failed REASON\n" */
    int disconnects, refusal;
} fake;

int mqtt_client_disconnect(struct mqtt_client *client)
{
    (void)client;
    fake.disconnects++;
    return fake.refusal;
}

static void note(const char *what, const char *reason)
{
    size_t used = strlen(fake.log);
    (void)snprintf(fake.log + used, sizeof(fake.log) - used, "%s %s\n", what, reason);
}

static void on_down(void *context, const char *reason)
{
    CU_ASSERT_PTR_EQUAL(context, &fake);
    note("down", reason);
}

static void on_failed(void *context, const char *reason)
{
    (void)context;
    note("failed", reason);
}

static struct broker_url servers[] = {{.host = "one", .port = 8883},
                                      {.host = "two", .port = 443, .websocket = true}};
static char *items[] = {(char *)"mqtts://one", (char *)"wss://two/mqtt"};

static struct uplink_session begin(void)
{
    struct uplink_session session = {
        .callbacks = {.down = on_down, .failed = on_failed, .context = &fake},
        .settings = {.servers = servers}};
    session.settings.config.servers = (struct text_list){items, 2};
    memset(&fake, 0, sizeof(fake));
    uplink_state_init(&session.state, 2, 1000, 60000);
    uplink_reasons_reset(&session.reasons, 2);
    return session;
}

static void end(struct uplink_session *session)
{
    uplink_reasons_free(&session->reasons);
}

static void test_steps(void)
{
    CLEANUP(end) struct uplink_session session = begin();
    TEST_TEXT_EQUAL(uplink_session_server(&session), ""); /* no attempt yet */
    CU_ASSERT_TRUE(uplink_session_step(&session, UPLINK_START));
    CU_ASSERT_EQUAL(session.state.phase, UPLINK_WAITING);
    CU_ASSERT_EQUAL(session.due_ns, session.step_ns); /* at once after the start */
    CU_ASSERT_TRUE(uplink_session_is_wanted(&session));
    CU_ASSERT_TRUE(uplink_session_step(&session, UPLINK_TIMER));
    CU_ASSERT_EQUAL(session.state.phase, UPLINK_CONNECTING);
    CU_ASSERT_TRUE(session.since_wall_ms > 0);
    int64_t step_ns = session.step_ns;
    CU_ASSERT_FALSE(uplink_session_step(&session, UPLINK_DRAINED)); /* it does not fit */
    CU_ASSERT_EQUAL(session.state.phase, UPLINK_CONNECTING);
    CU_ASSERT_EQUAL(session.step_ns, step_ns);
    CU_ASSERT_TRUE(uplink_session_step(&session, UPLINK_FAILED));
    CU_ASSERT_EQUAL(session.state.phase, UPLINK_WAITING);
    CU_ASSERT_TRUE(session.due_ns > session.step_ns);
}

static void test_server(void)
{
    CLEANUP(end) struct uplink_session session = begin();
    struct mqtt_client *const plain = (struct mqtt_client *)&servers[0];
    struct mqtt_client *const web = (struct mqtt_client *)&servers[1];
    session.clients = (struct uplink_clients){.of = {plain, web}};
    session.generation = 1;
    TEST_TEXT_EQUAL(uplink_session_server(&session), "mqtts://one");
    CU_ASSERT_PTR_EQUAL(uplink_session_client(&session), plain);
    session.server = 1;
    TEST_TEXT_EQUAL(uplink_session_server(&session), "wss://two/mqtt");
    TEST_TEXT_EQUAL(uplink_session_url(&session)->host, "two");
    CU_ASSERT_PTR_EQUAL(uplink_session_client(&session), web);
}

/* `down` comes once for a loss, `failed` each time; both with the server's name. */
static void test_reports(void)
{
    CLEANUP(end) struct uplink_session session = begin();
    uplink_session_say_of_server(&session, 1, "refused");
    uplink_session_say_of_server(&session, 0, "no route");
    TEST_TEXT_EQUAL(fake.log, "failed two:443: refused\ndown two:443: refused\n"
                              "failed one:8883: no route\n");
    TEST_TEXT_EQUAL(uplink_reasons_text(&session.reasons), "one:8883: no route");
    session.owner_knows = false; /* there was a session meanwhile */
    fake.log[0] = '\0';
    uplink_session_say_down(&session, "lost");
    uplink_session_say_down(&session, "lost");
    TEST_TEXT_EQUAL(fake.log, "down lost\n");
}

/* The owner that has stopped the uplink hears of no failure any more. */
static void test_ending(void)
{
    CLEANUP(end) struct uplink_session session = begin();
    (void)uplink_session_step(&session, UPLINK_START);
    (void)uplink_session_step(&session, UPLINK_STOP);
    CU_ASSERT_TRUE(uplink_session_is_ending(&session));
    CU_ASSERT_FALSE(uplink_session_is_wanted(&session));
    uplink_session_say(&session, 0, "lost");
    uplink_session_say_down(&session, "lost");
    TEST_TEXT_EQUAL(fake.log, "");
}

/* A client that cannot disconnect has no session: the phase does not wait for its answer. */
static void test_close(void)
{
    CLEANUP(end) struct uplink_session session = begin();
    session.clients.of[0] = (struct mqtt_client *)&servers[0];
    (void)uplink_session_step(&session, UPLINK_START);
    (void)uplink_session_step(&session, UPLINK_TIMER);
    (void)uplink_session_step(&session, UPLINK_CONNECTED);
    (void)uplink_session_step(&session, UPLINK_BROKEN);
    CU_ASSERT_EQUAL_FATAL(session.state.phase, UPLINK_CLOSING);
    uplink_session_close(&session);
    CU_ASSERT_EQUAL(fake.disconnects, 1);
    CU_ASSERT_EQUAL(session.state.phase, UPLINK_CLOSING);
    fake.refusal = -EIO;
    uplink_session_close(&session);
    CU_ASSERT_NOT_EQUAL(session.state.phase, UPLINK_CLOSING);
}

TEST_MAIN("uplink_session", {"steps set the times, an input that does not fit nothing", test_steps},
          {"the server of an attempt, and the client for it", test_server},
          {"a loss is reported once, each failure with its server", test_reports},
          {"nothing is reported once the owner has stopped it", test_ending},
          {"the DISCONNECT, and a client that cannot send it", test_close})
