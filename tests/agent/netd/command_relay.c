/* What the command_relay does with what comes from the broker, and with what netd answers. */
#include "agent/netd/command_relay.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "agent/base/strbuf.h"
#include "agent/payload/dialect_table.h"
#include "tests/support/signing.h"
#include "tests/support/test.h"
#include "tunnel/command/armour.h"
#include "tunnel/journal/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ONE "1111111111111111111111111111111111111111111111111111111111111111"
#define TWO "2222222222222222222222222222222222222222222222222222222222222222"

/* The broker and netd, as far as the relay sees them. */
struct world {
    struct dialect *dialect;
    struct command_relay *command_relay;
    int64_t now_ms, due_ms;
    bool is_closed; /* the session is not open */
    int publish_result, deliver_result;
    struct strbuf published; /* "TOPIC[!] PAYLOAD" a line, ! for retained */
    unsigned delivered;
    size_t length; /* of the last one */
    bool is_retained;
    char text[WIRE_SIGNED_BYTES + 1];
};

static struct world *present; /* of the test that runs */
static struct netd_client *const netd =
    (struct netd_client *)&present; /* only its address counts */

int uplink_publish(struct uplink *uplink, const struct mqtt_message *message, uint64_t tag)
{
    (void)uplink;
    CU_ASSERT_EQUAL(tag, 0);
    CU_ASSERT_FALSE(present->is_closed);
    if (present->publish_result == 0)
        strbuf_addf(&present->published, "%s%s %.*s\n", strrchr(message->topic, '/') + 1,
                    message->retained ? "!" : "", (int)message->length,
                    message->length ? (const char *)message->payload : "");
    return present->publish_result;
}

int netd_client_signed(struct netd_client *client, const void *text, size_t length,
                       bool is_retained)
{
    struct world *world = present;
    CU_ASSERT_PTR_EQUAL(client, netd);
    if (world->deliver_result < 0)
        return world->deliver_result;
    world->delivered++;
    world->length = length;
    world->is_retained = is_retained;
    CU_ASSERT_FATAL(length <= sizeof(world->text));
    memcpy(world->text, text, length);
    return 0;
}

/* So late that a doubtful message is handed over as well. */
static void settle(struct world *world)
{
    world->now_ms += COMMAND_RELAY_PACE_MS;
    world->due_ms = command_relay_settle(world->command_relay, !world->is_closed, world->now_ms);
}

/* What was published since the last call. */
static const char *published(struct world *world)
{
    static char seen[16384];
    settle(world);
    (void)snprintf(seen, sizeof(seen), "%s", strbuf_text(&world->published));
    strbuf_reset(&world->published);
    return seen;
}

/* With a session and netd, and its first challenge published. */
static void begin(struct world *world)
{
    static const struct config config = {.gateway = {.id = (char *)"g", .site = (char *)"s"},
                                         .uplink = {.format = FORMAT_JSON, .prefix = (char *)"p"}};
    *world = (struct world){.now_ms = 1000000, .dialect = dialect_new(&config)};
    present = world;
    world->command_relay = command_relay_new("s/g", world->dialect, NULL);
    command_relay_link_up(world->command_relay);
    command_relay_netd(world->command_relay, netd, world->now_ms);
    command_relay_challenge(world->command_relay, ONE, world->now_ms);
    TEST_TEXT_EQUAL(published(world), "challenge! " ONE "\n");
}

static void end(struct world *world)
{
    strbuf_free(&world->published);
    CU_ASSERT_PTR_NULL(command_relay_free(world->command_relay));
    dialect_free(world->dialect);
}

static void receive(struct world *world, const char *text)
{
    command_relay_received(world->command_relay, text, strlen(text), false, world->now_ms);
    settle(world);
}

static void answer(struct world *world, const char *id, enum refusal refusal,
                   enum session_state state, const char *text)
{
    struct wire_signed_reply reply = {.session_state = state};
    (void)snprintf(reply.id, sizeof(reply.id), "%s", id);
    (void)snprintf(reply.text, sizeof(reply.text), "%s", text);
    command_relay_answered(world->command_relay, refusal, &reply);
}

static void test_challenge(void)
{
    struct world world;
    begin(&world);
    command_relay_challenge(world.command_relay, ONE, world.now_ms);
    TEST_TEXT_EQUAL(published(&world), ""); /* the broker keeps it */
    command_relay_challenge(world.command_relay, TWO, world.now_ms);
    TEST_TEXT_EQUAL(published(&world), "challenge! " TWO "\n");
    world.publish_result = -EAGAIN; /* no room in the window */
    command_relay_challenge(world.command_relay, ONE, world.now_ms);
    TEST_TEXT_EQUAL(published(&world), "");
    world.publish_result = 0;
    TEST_TEXT_EQUAL(published(&world), "challenge! " ONE "\n");
    command_relay_link_up(world.command_relay); /* another broker may know another one */
    TEST_TEXT_EQUAL(published(&world), "challenge! " ONE "\n");
    command_relay_netd(world.command_relay, NULL, world.now_ms);
    TEST_TEXT_EQUAL(published(&world), "challenge! \n");
    command_relay_link_up(world.command_relay);
    TEST_TEXT_EQUAL(published(&world), "challenge! \n");
    command_relay_netd(world.command_relay, netd, world.now_ms);
    TEST_TEXT_EQUAL(published(&world), "");
    command_relay_challenge(world.command_relay, ONE, world.now_ms);
    TEST_TEXT_EQUAL(published(&world), "challenge! " ONE "\n");
    end(&world);
}

/* Without a session nothing is lost but time. */
static void test_no_session(void)
{
    struct world world;
    begin(&world);
    world.publish_result = -ENOTCONN;
    command_relay_challenge(world.command_relay, TWO, world.now_ms);
    receive(&world, "x");
    command_relay_challenge(world.command_relay, ONE, world.now_ms);
    answer(&world, "a", REFUSAL_NONE, SESSION_OPEN, "");
    TEST_TEXT_EQUAL(published(&world), "");
    world.publish_result = 0;
    command_relay_link_up(world.command_relay);
    TEST_TEXT_EQUAL(published(&world),
                    "challenge! " ONE "\n"
                    "reply {\"id\":\"a\",\"result\":\"accepted\",\"state\":\"open\"}\n");
    end(&world);
}

static void test_bytes(void)
{
    static const char odd[] = "a\0b\xff\r\n";
    static char long_text[2 * WIRE_SIGNED_BYTES];
    struct world world;
    begin(&world);
    command_relay_received(world.command_relay, odd, sizeof(odd), false, 0);
    settle(&world);
    CU_ASSERT_EQUAL_FATAL(world.delivered, 1);
    CU_ASSERT_FALSE(world.is_retained);
    CU_ASSERT_TRUE(world.length == sizeof(odd) && memcmp(world.text, odd, sizeof(odd)) == 0);
    answer(&world, "", REFUSAL_RATE_LIMITED, SESSION_CLOSED, "");
    memset(long_text, 'x', sizeof(long_text));
    command_relay_received(world.command_relay, long_text, WIRE_SIGNED_BYTES, true, 0);
    settle(&world);
    CU_ASSERT_EQUAL_FATAL(world.delivered, 2);
    CU_ASSERT_TRUE(world.is_retained);
    CU_ASSERT_EQUAL(world.length, WIRE_SIGNED_BYTES);
    answer(&world, "", REFUSAL_RATE_LIMITED, SESSION_CLOSED, "");
    command_relay_received(world.command_relay, long_text, sizeof(long_text), false, 0);
    settle(&world);
    CU_ASSERT_EQUAL_FATAL(world.delivered, 3);
    CU_ASSERT_TRUE(world.length > WIRE_SIGNED_BYTES); /* which is how netd sees it */
    end(&world);
}

/* Nothing goes out before what opens the session; netd does not wait for that. */
static void test_closed(void)
{
    struct world world;
    begin(&world);
    world.is_closed = true;
    command_relay_link_up(world.command_relay);
    receive(&world, "x");
    CU_ASSERT_EQUAL(world.delivered, 1);
    answer(&world, "a", REFUSAL_REPLAYED, SESSION_CLOSED, "");
    TEST_TEXT_EQUAL(published(&world), "");
    world.is_closed = false;
    TEST_TEXT_EQUAL(published(&world),
                    "challenge! " ONE "\n"
                    "reply {\"id\":\"a\",\"result\":\"refused\",\"reason\":\"replayed\"}\n");
    end(&world);
}

static void test_replies(void)
{
    struct world world;
    begin(&world);
    receive(&world, "open");
    CU_ASSERT_EQUAL(world.delivered, 1);
    command_relay_challenge(world.command_relay, TWO, world.now_ms);
    TEST_TEXT_EQUAL(published(&world), "challenge! " TWO "\n");
    answer(&world, "job-1", REFUSAL_NONE, SESSION_OPEN,
           "ssh tcp 10.254.1.42:22\nplc1 tcp 192.168.10.5:502\n");
    TEST_TEXT_EQUAL(
        published(&world),
        "reply {\"id\":\"job-1\",\"result\":\"accepted\",\"state\":\"open\",\"connect\":"
        "[\"ssh tcp 10.254.1.42:22\",\"plc1 tcp 192.168.10.5:502\"]}\n");
    receive(&world, "open");
    command_relay_challenge(world.command_relay, ONE, world.now_ms);
    answer(&world, "job-2", REFUSAL_NONE, SESSION_WAIT_APPROVAL, "");
    TEST_TEXT_EQUAL(published(&world),
                    "challenge! " ONE "\n"
                    "reply {\"id\":\"job-2\",\"result\":\"accepted\",\"state\":\"waiting\"}\n");
    receive(&world, "open");
    command_relay_challenge(world.command_relay, TWO, world.now_ms);
    answer(&world, "", REFUSAL_BAD_SIGNATURE, SESSION_CLOSED, "");
    TEST_TEXT_EQUAL(published(&world),
                    "challenge! " TWO "\n"
                    "reply {\"id\":\"\",\"result\":\"refused\",\"reason\":\"bad-signature\"}\n");
    end(&world);
}

/* Who has read a reply finds the challenge for the next command. */
static void test_order(void)
{
    struct world world;
    begin(&world);
    receive(&world, "x");
    answer(&world, "a", REFUSAL_REPLAYED, SESSION_CLOSED, "");
    command_relay_challenge(world.command_relay, TWO,
                            world.now_ms); /* even if it comes later in the same pass */
    TEST_TEXT_EQUAL(published(&world),
                    "challenge! " TWO "\n"
                    "reply {\"id\":\"a\",\"result\":\"refused\",\"reason\":\"replayed\"}\n");
    end(&world);
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (; (text = strstr(text, what)); text++)
        n++;
    return n;
}

static void test_one_at_a_time(void)
{
    struct world world;
    begin(&world);
    for (char text[] = "0"; text[0] <= '5'; text[0]++)
        receive(&world, text); /* one under way, four wait, one is too many */
    CU_ASSERT_EQUAL(world.delivered, 1);
    CU_ASSERT_EQUAL(world.text[0], '0');
    TEST_TEXT_EQUAL(published(&world),
                    "reply {\"id\":\"\",\"result\":\"refused\",\"reason\":\"rate-limited\"}\n");
    for (char next = '1'; next <= '4'; next++) {
        answer(&world, "", REFUSAL_RATE_LIMITED, SESSION_CLOSED, "");
        (void)published(&world);
        CU_ASSERT_EQUAL(world.text[0], next);
    }
    CU_ASSERT_EQUAL(world.delivered, 5);
    answer(&world, "", REFUSAL_RATE_LIMITED, SESSION_CLOSED, "");
    (void)published(&world);
    answer(&world, "", REFUSAL_NONE, SESSION_OPEN, ""); /* of nothing that was asked */
    TEST_TEXT_EQUAL(published(&world), "");
    CU_ASSERT_EQUAL(world.delivered, 5);
    end(&world);
}

static void test_flood(void)
{
    struct world world;
    begin(&world);
    for (size_t i = 0; i < 100000; i++)
        command_relay_received(world.command_relay, "x", 1, false, world.now_ms);
    size_t refusals = count(published(&world), "rate-limited");
    CU_ASSERT_TRUE(refusals > 0 && refusals <= 16);
    receive(&world, "x");
    TEST_TEXT_EQUAL(published(&world), ""); /* enough for this second */
    world.now_ms += 1000;
    for (size_t i = 0; i < 10; i++)
        receive(&world, "x");
    CU_ASSERT_EQUAL(count(published(&world), "rate-limited"), refusals);
    end(&world);
}

/* Nor does it fill the log, whatever netd says to each message. */
static void test_quiet(void)
{
    CLEANUP(strbuf_free) struct strbuf log = STRBUF_EMPTY;
    struct world world;
    begin(&world);
    int file = open(test_file("log", ""), O_WRONLY | O_APPEND | O_CLOEXEC);
    int standard_error = dup(STDERR_FILENO);
    CU_ASSERT_FATAL(file >= 0 && standard_error >= 0);
    (void)dup2(file, STDERR_FILENO);
    for (size_t i = 0; i < 1000; i++) {
        receive(&world, "x");
        answer(&world, "", REFUSAL_UNKNOWN_SERVICE, SESSION_CLOSED, "");
        (void)published(&world);
    }
    (void)dup2(standard_error, STDERR_FILENO);
    (void)close(standard_error);
    (void)close(file);
    CU_ASSERT_EQUAL(world.delivered, 1000);
    CU_ASSERT_EQUAL_FATAL(file_read(test_path("log"), 1000000, &log), 0);
    CU_ASSERT_TRUE(count(strbuf_text(&log), "\n") <= 10);
    end(&world);
}

static void test_no_netd(void)
{
    static const char failed[] = "{\"id\":\"\",\"result\":\"refused\",\"reason\":\"failed\"}";
    struct world world;
    begin(&world);
    receive(&world, "a");
    receive(&world, "b");
    receive(&world, "c");
    command_relay_netd(world.command_relay, NULL, world.now_ms);
    const char *seen = published(&world);
    CU_ASSERT_EQUAL(count(seen, failed), 3); /* the one that was with it as well */
    CU_ASSERT_EQUAL(count(seen, "challenge! \n"), 1);
    receive(&world, "d");
    CU_ASSERT_EQUAL(count(published(&world), failed), 1);
    CU_ASSERT_EQUAL(world.delivered, 1);
    command_relay_netd(world.command_relay, netd, world.now_ms);
    command_relay_challenge(world.command_relay, ONE, world.now_ms);
    (void)published(&world);
    receive(&world, "e");
    CU_ASSERT_EQUAL(world.delivered, 2);
    CU_ASSERT_EQUAL(world.text[0], 'e');
    answer(&world, "e", REFUSAL_NONE, SESSION_OPEN, "");
    command_relay_netd(world.command_relay, NULL, world.now_ms); /* it had answered: that stands */
    TEST_TEXT_EQUAL(published(&world),
                    "challenge! \n"
                    "reply {\"id\":\"e\",\"result\":\"accepted\",\"state\":\"open\"}\n");
    command_relay_netd(world.command_relay, netd, world.now_ms);
    world.deliver_result = -ENOTCONN; /* gone, and nobody has said so yet */
    receive(&world, "f");
    CU_ASSERT_EQUAL(count(published(&world), failed), 1);
    world.deliver_result = 0;
    receive(&world, "g");
    CU_ASSERT_EQUAL(world.delivered, 3);
    end(&world);
}

/* The replies that nobody fetches do not pile up. */
static void test_backlog(void)
{
    struct world world;
    begin(&world);
    world.publish_result = -EAGAIN;
    for (int i = 0; i < 100; i++) {
        char id[8];
        (void)snprintf(id, sizeof(id), "n%d", i);
        receive(&world, "x");
        answer(&world, id, REFUSAL_RATE_LIMITED, SESSION_CLOSED, "");
        settle(&world);
    }
    world.publish_result = 0;
    const char *seen = published(&world);
    CU_ASSERT_EQUAL(count(seen, "reply"), 16);
    CU_ASSERT_PTR_NOT_NULL(strstr(seen, "\"n99\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(seen, "\"n84\""));
    end(&world);
}

/* ---- In a flood ---- */

/* A command that NAME signs; it is forged when OF is not NULL: its signature is then that of the
 * command with the id OF. The result is valid until the fourth next call. */
static const char *command(const char *name, const char *id, const char *action, const char *of)
{
    static char texts[4][WIRE_SIGNED_BYTES];
    static unsigned next;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY, signature = STRBUF_EMPTY;
    const char *const ids[] = {of ? of : id, id};
    for (size_t i = 0; i < ARRAY_LENGTH(ids); i++) {
        strbuf_reset(&text);
        strbuf_addf(&text,
                    "sallyport-command: 1\ngateway: s/g\nchallenge: " ONE "\nid: %s\naction: %s\n",
                    ids[i], action);
        if (strcmp(action, "open") == 0)
            strbuf_add(&text, "service: ssh\nttl: 60\nreason: a test\n");
        if (i == 0)
            signing_sign(name, "sallyport", text.data, text.length, &signature);
    }
    char *field = texts[next++ % ARRAY_LENGTH(texts)];
    (void)snprintf(field, sizeof(texts[0]), "%s%s", strbuf_text(&text), strbuf_text(&signature));
    return field;
}

/* As begin(); anna and bert may sign. */
static void begin_with_signers(struct world *world)
{
    static const char *const names[] = {"anna", "bert"};
    struct wire_signers signers = {0};
    begin(world);
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        CLEANUP(memory_free_pointer) char *key = signing_public(names[i]);
        const char *base64 = strchr(key, ' ') + 1;
        unsigned char bytes[ARMOUR_BYTES];
        size_t length = armour_decode(base64, strlen(base64), bytes);
        sha256_bytes(bytes, length, signers.keys[signers.n_keys++]);
    }
    command_relay_signers(world->command_relay, &signers);
}

static void come(struct world *world, const char *text)
{
    command_relay_received(world->command_relay, text, strlen(text), false, world->now_ms);
}

/* What netd has got last: the id of a command, or the text itself. */
static const char *at_netd(const struct world *world)
{
    static char seen[64];
    CLEANUP(memory_free_pointer) char *text = memory_text_n(world->text, world->length);
    const char *id = strstr(text, "\nid: ");
    id = id ? id + 5 : text;
    (void)snprintf(seen, sizeof(seen), "%.*s", (int)strcspn(id, "\n"), id);
    return seen;
}

/* netd answers; then comes what is next, and all replies go out. */
static const char *after(struct world *world, enum refusal refusal)
{
    answer(world, at_netd(world), refusal, SESSION_CLOSED, "");
    (void)published(world);
    return at_netd(world);
}

static void test_lanes(void)
{
    struct world world;
    begin_with_signers(&world);
    receive(&world, "forged 0");
    come(&world, "forged 1");
    come(&world, "forged 2");
    come(&world, command("anna", "a1", "open", NULL));
    come(&world, command("anna", "a2", "open", NULL));
    come(&world, command("bert", "b1", "open", NULL));
    come(&world, command("anna", "a3", "close", NULL));
    come(&world, command("bert", "b2", "close", "other"));
    TEST_TEXT_EQUAL(at_netd(&world), "forged 0");
    TEST_TEXT_EQUAL(after(&world, REFUSAL_MALFORMED), "a3"); /* what closes is first */
    TEST_TEXT_EQUAL(after(&world, REFUSAL_NONE), "a1");
    TEST_TEXT_EQUAL(after(&world, REFUSAL_NONE), "b1"); /* the signers take turns */
    TEST_TEXT_EQUAL(after(&world, REFUSAL_NONE), "a2");
    TEST_TEXT_EQUAL(after(&world, REFUSAL_NONE), "forged 1");
    TEST_TEXT_EQUAL(after(&world, REFUSAL_MALFORMED), "forged 2");
    TEST_TEXT_EQUAL(after(&world, REFUSAL_MALFORMED), "b2");
    end(&world);
}

/* Whatever forgers do, a rightful command is the next that netd gets. */
static void test_forgeries(void)
{
    struct world world;
    begin_with_signers(&world);
    const char *claimed = strstr(command("anna", "x", "close", NULL), "-----BEGIN");
    receive(&world, "forged");
    for (unsigned i = 0; i < 2000; i++) {
        char text[WIRE_SIGNED_BYTES];
        (void)snprintf(text, sizeof(text),
                       "sallyport-command: 1\ngateway: s/g\nchallenge: " ONE
                       "\nid: f%u\naction: close\n%s",
                       i, claimed);
        come(&world, text);
        come(&world, text);
        if (i == 1000) {
            come(&world, command("anna", "right", "open", NULL));
            come(&world, command("bert", "close", "close", NULL));
        }
    }
    TEST_TEXT_EQUAL(after(&world, REFUSAL_MALFORMED), "close");
    TEST_TEXT_EQUAL(after(&world, REFUSAL_NONE), "right");
    end(&world);
}

/* Doubtful messages go to netd at a pace of their own, which holds nothing else up. */
static void test_pace(void)
{
    struct world world;
    begin_with_signers(&world);
    struct command_relay *relay = world.command_relay;
    int64_t now_ms = world.now_ms;
    come(&world, "forged 0");
    CU_ASSERT_EQUAL(command_relay_settle(relay, true, now_ms), INT64_MAX); /* it is with netd */
    CU_ASSERT_EQUAL(world.delivered, 1);
    answer(&world, "", REFUSAL_MALFORMED, SESSION_CLOSED, "");
    come(&world, "forged 1");
    CU_ASSERT_EQUAL(command_relay_settle(relay, true, now_ms), now_ms + COMMAND_RELAY_PACE_MS);
    CU_ASSERT_EQUAL(world.delivered, 1);
    come(&world, command("anna", "a1", "open", NULL));
    CU_ASSERT_EQUAL(command_relay_settle(relay, true, now_ms), INT64_MAX);
    TEST_TEXT_EQUAL(at_netd(&world), "a1");
    answer(&world, "a1", REFUSAL_NONE, SESSION_CLOSED, "");
    now_ms += COMMAND_RELAY_PACE_MS - 1;
    CU_ASSERT_EQUAL(command_relay_settle(relay, true, now_ms), now_ms + 1);
    TEST_TEXT_EQUAL(at_netd(&world), "a1");
    CU_ASSERT_EQUAL(command_relay_settle(relay, true, now_ms + 1), INT64_MAX);
    TEST_TEXT_EQUAL(at_netd(&world), "forged 1");
    end(&world);
}

/* A command that comes more than once takes one place, and is second to others after the first. */
static void test_copies(void)
{
    struct world world;
    begin_with_signers(&world);
    const char *once = command("anna", "a1", "close", NULL);
    receive(&world, "forged");
    come(&world, once);
    come(&world, once); /* waits already */
    CU_ASSERT_EQUAL(count(published(&world), "rate-limited"), 1);
    TEST_TEXT_EQUAL(after(&world, REFUSAL_MALFORMED), "a1");
    come(&world, once); /* is with netd */
    come(&world, command("bert", "b1", "open", NULL));
    TEST_TEXT_EQUAL(after(&world, REFUSAL_NONE), "b1");
    CU_ASSERT_EQUAL(world.delivered, 3);
    come(&world, command("anna", "a2", "open", NULL));
    TEST_TEXT_EQUAL(after(&world, REFUSAL_NONE), "a2");
    TEST_TEXT_EQUAL(after(&world, REFUSAL_NONE), "a1"); /* netd says that it was used */
    TEST_TEXT_EQUAL(after(&world, REFUSAL_REPLAYED), "a1");
    CU_ASSERT_EQUAL(world.delivered, 5);
    receive(&world, "forged");
    come(&world, once);
    come(&world, command("anna", "a3", "open", NULL));
    TEST_TEXT_EQUAL(after(&world, REFUSAL_MALFORMED), "a3"); /* has been judged */
    TEST_TEXT_EQUAL(after(&world, REFUSAL_NONE), "a1");
    end(&world);
}

/* What netd has not looked at may come again as it is. */
static void test_not_judged(void)
{
    static const enum refusal refusals[] = {REFUSAL_RATE_LIMITED, REFUSAL_FAILED, REFUSAL_JOURNAL};
    struct world world;
    begin_with_signers(&world);
    const char *once = command("anna", "a1", "close", NULL);
    receive(&world, once);
    for (size_t i = 0; i < ARRAY_LENGTH(refusals); i++) {
        TEST_TEXT_EQUAL(after(&world, refusals[i]), "a1");
        receive(&world, "forged");
        come(&world, command("bert", "b1", "open", NULL));
        come(&world, once);
        TEST_TEXT_EQUAL(after(&world, REFUSAL_MALFORMED), "a1");
        receive(&world, "forged");
        TEST_TEXT_EQUAL(after(&world, REFUSAL_RATE_LIMITED), "b1");
        (void)after(&world, REFUSAL_RATE_LIMITED);
        (void)after(&world, REFUSAL_MALFORMED);
        receive(&world, once);
    }
    end(&world);
}

/* However much is doubtful: it does not make the screen forget what it knows. */
static void test_memory(void)
{
    struct world world;
    begin_with_signers(&world);
    const char *once = command("anna", "a1", "close", NULL);
    receive(&world, once);
    (void)after(&world, REFUSAL_NONE);
    for (unsigned i = 0; i < 300; i++) {
        char text[16];
        (void)snprintf(text, sizeof(text), "forged %u", i);
        receive(&world, text);
        (void)after(&world, REFUSAL_MALFORMED);
    }
    receive(&world, "forged");
    come(&world, once);
    come(&world, command("bert", "b1", "open", NULL));
    TEST_TEXT_EQUAL(after(&world, REFUSAL_MALFORMED), "b1");
    end(&world);
}

/* The reply to a rightly signed command is neither pushed out nor held up by others. */
static void test_awaited(void)
{
    struct world world;
    begin_with_signers(&world);
    world.publish_result = -EAGAIN;
    for (unsigned i = 0; i < 60; i++) {
        char text[16];
        (void)snprintf(text, sizeof(text), "forged %u", i);
        bool is_right = i == 20 || i == 55;
        receive(&world, is_right ? command("anna", i == 20 ? "a1" : "a2", "close", NULL) : text);
        (void)after(&world, is_right ? REFUSAL_NOT_OPEN : REFUSAL_MALFORMED);
    }
    world.publish_result = 0;
    const char *seen = published(&world);
    CU_ASSERT_EQUAL(count(seen, "reply"), 16);
    CU_ASSERT_PTR_EQUAL(strstr(seen, "reply"), seen);
    CU_ASSERT_PTR_NOT_NULL(strstr(seen, "\"a1\""));
    CU_ASSERT_PTR_NOT_NULL_FATAL(strstr(seen, "\"a2\""));
    CU_ASSERT_TRUE(strstr(seen, "\"a1\"") < strstr(seen, "\"a2\""));
    CU_ASSERT_TRUE(strstr(seen, "\"a2\"") < strstr(seen, "forged"));
    end(&world);
}

int main(void)
{
    static const struct test_case cases[] = {
        {"the broker keeps the challenge in force, and none else", test_challenge},
        {"what comes about without a session is told in the next", test_no_session},
        {"netd gets the bytes that came", test_bytes},
        {"a session is opened first", test_closed},
        {"netd's answers become replies", test_replies},
        {"a reply follows the challenge that it makes necessary", test_order},
        {"one message is with netd, four wait", test_one_at_a_time},
        {"a flood costs a few refusals a second", test_flood},
        {"nor does it fill the log", test_quiet},
        {"without netd nothing is taken", test_no_netd},
        {"replies do not pile up", test_backlog},
        {"the lanes", test_lanes},
        {"forgeries do not keep a rightful command out", test_forgeries},
        {"the pace of what is doubtful", test_pace},
        {"copies", test_copies},
        {"what was not judged", test_not_judged},
        {"a long flood", test_memory},
        {"the reply that is awaited", test_awaited},
    };
    signing_make_key("anna", "ed25519");
    signing_make_key("bert", "ed25519");
    return test_main("command_relay", cases, ARRAY_LENGTH(cases));
}
