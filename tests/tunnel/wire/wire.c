/* netd's protocol: what is well-formed, and who may ask what. */
#include "tunnel/wire/wire.h"

#include "agent/base/macros.h"
#include "tests/support/test.h"
#include "tunnel/model/posture.h"

#include <string.h>

static struct wire_message make_open(void)
{
    struct wire_message message;
    wire_begin(&message, WIRE_OPEN_LOCAL, 7);
    message.body.open.ttl_s = 60;
    message.body.open.n_services = 2;
    strcpy(message.body.open.services[0], "ssh");
    strcpy(message.body.open.services[1], "plc1");
    strcpy(message.body.open.reason, "drive fault on pump 3 – größer");
    return message;
}

static int check(const struct wire_message *message)
{
    return wire_check_request(message, wire_request_size((enum wire_verb)message->header.verb));
}

static void test_good(void)
{
    struct wire_message message = make_open();
    CU_ASSERT_EQUAL(check(&message), 0);
    for (unsigned verb = WIRE_HELLO; verb < WIRE_CHANGED; verb++) {
        if (verb == WIRE_OPEN_LOCAL || verb == WIRE_EXTEND || verb == WIRE_FIREWALL_TRY)
            continue; /* these have something that must be given */
        wire_begin(&message, (enum wire_verb)verb, 1);
        CU_ASSERT_EQUAL(check(&message), 0);
        CU_ASSERT_EQUAL(wire_check_reply(&message, wire_reply_size((enum wire_verb)verb)), 0);
    }
}

static void test_header(void)
{
    struct wire_message message = make_open();
    size_t size = wire_request_size(WIRE_OPEN_LOCAL);
    for (size_t length = 0; length < size + 3; length++)
        CU_ASSERT_EQUAL(wire_check_request(&message, length) == 0, length == size);
    message.header.magic ^= 1;
    CU_ASSERT_NOT_EQUAL(check(&message), 0);
    message = make_open();
    message.header.version++;
    CU_ASSERT_NOT_EQUAL(check(&message), 0);
    message = make_open();
    message.header.result = 1;
    CU_ASSERT_NOT_EQUAL(check(&message), 0);
    for (unsigned verb = 0; verb < 65536; verb++) {
        wire_begin(&message, (enum wire_verb)verb, 1);
        if (verb == 0 || verb >= WIRE_VERB_COUNT)
            CU_ASSERT_NOT_EQUAL(wire_check_request(&message, sizeof(struct wire_header)), 0);
    }
    wire_begin(&message, WIRE_CHANGED, 1); /* only netd says that */
    CU_ASSERT_NOT_EQUAL(wire_check_request(&message, sizeof(struct wire_header)), 0);
}

static void test_texts(void)
{
    static const char *const bad_names[] = {"", "a b", "ssh;", "../x", "ssh\n", "*", "\xc3\xa4"};
    static const char *const bad_reasons[] = {
        "",         "a\nb",     "a\x1b[2J",         "\xff", "\xc0\xaf",     "\xed\xa0\x80",
        "\xe2\x82", "\xc2\x85", "\xf4\x90\x80\x80", "\x7f", "\xe2\x80\xae", "\xe2\x81\xa9"};
    struct wire_message message;
    for (size_t i = 0; i < ARRAY_LENGTH(bad_names); i++) {
        message = make_open();
        memset(message.body.open.services[1], 0, SESSION_NAME_BYTES);
        strcpy(message.body.open.services[1], bad_names[i]);
        CU_ASSERT_NOT_EQUAL(check(&message), 0);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(bad_reasons); i++) {
        message = make_open();
        memset(message.body.open.reason, 0, SESSION_REASON_BYTES);
        strcpy(message.body.open.reason, bad_reasons[i]);
        CU_ASSERT_NOT_EQUAL(check(&message), 0);
    }
    message = make_open();
    memset(message.body.open.reason, 'x', SESSION_REASON_BYTES); /* never ends */
    CU_ASSERT_NOT_EQUAL(check(&message), 0);
    message = make_open();
    message.body.open.reason[SESSION_REASON_BYTES - 1] = 'x'; /* something behind the end */
    CU_ASSERT_NOT_EQUAL(check(&message), 0);
    message = make_open();
    memset(message.body.open.reason, 0, SESSION_REASON_BYTES);
    for (size_t i = 0; i < 200; i++)
        memcpy(message.body.open.reason + 4 * i, "\xf0\x9f\x94\xa7", 4);
    CU_ASSERT_EQUAL(check(&message), 0); /* 200 characters of four bytes */
    message.body.open.reason[800] = 'x';
    CU_ASSERT_NOT_EQUAL(check(&message), 0); /* 201 */
}

static void test_counts(void)
{
    struct wire_message message = make_open();
    message.body.open.n_services = 3; /* the third is empty */
    CU_ASSERT_NOT_EQUAL(check(&message), 0);
    message.body.open.n_services = 1; /* a second one hides behind it */
    CU_ASSERT_NOT_EQUAL(check(&message), 0);
    message.body.open.n_services = 0;
    CU_ASSERT_NOT_EQUAL(check(&message), 0);
    message.body.open.n_services = UINT32_MAX;
    CU_ASSERT_NOT_EQUAL(check(&message), 0);
    message = make_open();
    message.body.open.pad[3] = 1;
    CU_ASSERT_NOT_EQUAL(check(&message), 0);
    wire_begin(&message, WIRE_FIREWALL_TRY, 1);
    message.body.try.confirm_s = 3601;
    CU_ASSERT_NOT_EQUAL(check(&message), 0);
    wire_begin(&message, WIRE_SIGNED, 1);
    message.body.signed_text.length = WIRE_SIGNED_BYTES + 1;
    CU_ASSERT_NOT_EQUAL(check(&message), 0);
    message.body.signed_text.length = 2;
    memcpy(message.body.signed_text.text, "abc", 3);
    CU_ASSERT_NOT_EQUAL(check(&message), 0);
    message.body.signed_text.length = 3;
    CU_ASSERT_EQUAL(check(&message), 0);
    message.body.signed_text.is_cut = 1; /* but there is room */
    CU_ASSERT_NOT_EQUAL(check(&message), 0);
    message.body.signed_text.length = WIRE_SIGNED_BYTES;
    CU_ASSERT_EQUAL(check(&message), 0);
    message.body.signed_text.is_cut = 2;
    CU_ASSERT_NOT_EQUAL(check(&message), 0);
}

static int check_answer(const struct wire_message *message)
{
    return wire_check_reply(message, wire_reply_size((enum wire_verb)message->header.verb));
}

/* What a reply numbers has a name, so that it can be printed: the first number without is refused.
 */
static void test_names(void)
{
    struct wire_message message;
    wire_begin(&message, WIRE_STATUS, 1);
    message.body.status.session_state = SESSION_STATE_COUNT - 1;
    message.body.status.session_end = SESSION_END_COUNT - 1;
    message.body.status.firewall_state = FIREWALL_STATE_COUNT - 1;
    message.header.result = REFUSAL_COUNT - 1;
    CU_ASSERT_EQUAL(check_answer(&message), 0);
    message.body.status.session_state++;
    CU_ASSERT_NOT_EQUAL(check_answer(&message), 0);
    message.body.status.session_state = 0;
    message.body.status.session_end++;
    CU_ASSERT_NOT_EQUAL(check_answer(&message), 0);
    message.body.status.session_end = 0;
    message.body.status.firewall_state++;
    CU_ASSERT_NOT_EQUAL(check_answer(&message), 0);
    message.body.status.firewall_state = 0;
    message.header.result++;
    CU_ASSERT_NOT_EQUAL(check_answer(&message), 0);
    message.header.result = -1;
    CU_ASSERT_NOT_EQUAL(check_answer(&message), 0);
    wire_begin(&message, WIRE_VERIFY_FIREWALL, 1);
    message.body.verdict.firewall_state = FIREWALL_STATE_COUNT;
    CU_ASSERT_NOT_EQUAL(check_answer(&message), 0);
    wire_begin(&message, WIRE_SIGNED, 1);
    message.body.signed_reply.session_state = SESSION_STATE_COUNT;
    CU_ASSERT_NOT_EQUAL(check_answer(&message), 0);
}

static int check_reply_text(const char *text)
{
    struct wire_message message;
    wire_begin(&message, WIRE_SIGNED, 1);
    memcpy(message.body.signed_reply.text, text, strlen(text));
    return wire_check_reply(&message, wire_reply_size(WIRE_SIGNED));
}

static void test_signed_reply(void)
{
    struct wire_message message;
    CU_ASSERT_EQUAL(check_reply_text(""), 0);
    CU_ASSERT_EQUAL(check_reply_text("ssh tcp 10.254.1.42:22\nplc1 tcp 192.168.10.5:502\n"), 0);
    CU_ASSERT_NOT_EQUAL(check_reply_text("ssh tcp 10.254.1.42:22"), 0);
    CU_ASSERT_NOT_EQUAL(check_reply_text("ssh tcp\t10.254.1.42:22\n"), 0);
    CU_ASSERT_NOT_EQUAL(check_reply_text("ssh tcp 10.254.1.42:22\r\n"), 0);
    wire_begin(&message, WIRE_SIGNED, 1);
    message.body.signed_reply.session_state = SESSION_CLOSING + 1;
    CU_ASSERT_NOT_EQUAL(wire_check_reply(&message, wire_reply_size(WIRE_SIGNED)), 0);
}

static void test_signers(void)
{
    struct wire_message message;
    struct wire_signers *signers = &message.body.signers;
    wire_begin(&message, WIRE_SIGNERS, 1);
    CU_ASSERT_EQUAL(check(&message), 0);
    CU_ASSERT_EQUAL(check_answer(&message), 0); /* nobody may sign */
    memset(signers->keys, 0xff, sizeof(signers->keys));
    signers->n_keys = WIRE_SIGNERS_MAX;
    CU_ASSERT_EQUAL(check_answer(&message), 0);
    signers->n_keys = WIRE_SIGNERS_MAX - 1; /* one more hides behind them */
    CU_ASSERT_NOT_EQUAL(check_answer(&message), 0);
    signers->n_keys = WIRE_SIGNERS_MAX + 1;
    CU_ASSERT_NOT_EQUAL(check_answer(&message), 0);
    signers->n_keys = UINT32_MAX;
    CU_ASSERT_NOT_EQUAL(check_answer(&message), 0);
}

/* The contract of the agent: a row more is a hole. */
static void test_roles(void)
{
    static const enum wire_verb agent[] = {WIRE_HELLO,        WIRE_STATUS,    WIRE_COUNTERS,
                                           WIRE_CLOSE,        WIRE_SUBSCRIBE, WIRE_CHALLENGE,
                                           WIRE_JOURNAL_READ, WIRE_SIGNED,    WIRE_SIGNERS};
    for (unsigned verb = 0; verb < WIRE_VERB_COUNT + 2; verb++) {
        bool expected = false;
        for (size_t i = 0; i < ARRAY_LENGTH(agent); i++)
            expected = expected || agent[i] == verb;
        CU_ASSERT_EQUAL(wire_is_allowed(WIRE_ROLE_AGENT, (enum wire_verb)verb), expected);
        CU_ASSERT_FALSE(wire_is_allowed(WIRE_ROLE_NONE, (enum wire_verb)verb));
        bool is_agents = verb == WIRE_CHALLENGE || verb == WIRE_SIGNED || verb == WIRE_SIGNERS;
        CU_ASSERT_FALSE(is_agents && wire_is_allowed(WIRE_ROLE_ADMIN, (enum wire_verb)verb));
    }
    CU_ASSERT_TRUE(wire_is_allowed(WIRE_ROLE_ADMIN, WIRE_OPEN_LOCAL));
    CU_ASSERT_FALSE(wire_is_allowed(WIRE_ROLE_ADMIN, WIRE_SIGNED));
    CU_ASSERT_FALSE(wire_is_allowed(WIRE_ROLE_ADMIN, WIRE_CHANGED));
}

TEST_MAIN("wire", {"a well-formed message of each verb passes", test_good},
          {"size, magic, version and verb must be exact", test_header},
          {"texts end, are clean, and hide nothing", test_texts},
          {"counts and flags are within bounds", test_counts},
          {"numbers of a reply have names", test_names},
          {"the answer to a signed command has lines", test_signed_reply},
          {"the keys that may sign", test_signers},
          {"the agent may ask for this, and nothing else", test_roles})
