/* What the operator's side writes and reads. */
#include "agent/cli/operator/operator_text.h"
#include "agent/cli/operator/operator_json.h"
#include "tests/support/test.h"

#include "agent/base/memory.h"

#include <stdlib.h>
#include <string.h>

#define CHALLENGE "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static struct command example(enum command_action action)
{
    struct command command = {.gateway = "plant-7/gw-0042",
                              .challenge = CHALLENGE,
                              .id = "4f-1",
                              .action = action,
                              .ttl_s = action == COMMAND_CLOSE ? 0 : 3600};
    return command;
}

static void check_text(enum command_action action, const char *expected)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    struct command command = example(action), read;
    const char *services = action == COMMAND_OPEN ? "ssh,plc1" : NULL;
    const char *reason = action == COMMAND_CLOSE ? NULL : "drive fault on pump 3";
    CU_ASSERT_PTR_NULL(operator_command_fill(&command, services, reason));
    command_print(&command, &text);
    TEST_TEXT_EQUAL(strbuf_text(&text), expected);
    CU_ASSERT_EQUAL(command_parse(text.data, text.length, &read), 0);
}

#define HEAD "sallyport-command: 1\ngateway: plant-7/gw-0042\nchallenge: " CHALLENGE "\nid: 4f-1\n"

static void test_command(void)
{
    check_text(COMMAND_OPEN, HEAD "action: open\nservice: ssh,plc1\nttl: 3600\n"
                                  "reason: drive fault on pump 3\n");
    check_text(COMMAND_EXTEND, HEAD "action: extend\nttl: 3600\nreason: drive fault on pump 3\n");
    check_text(COMMAND_CLOSE, HEAD "action: close\n");
}

static bool is_fit(const char *services, uint32_t ttl_s, const char *reason)
{
    struct command command = example(COMMAND_OPEN);
    command.ttl_s = ttl_s;
    return !operator_command_fill(&command, services, reason);
}

/* COUNT times TEXT, valid until the next call. */
static const char *times(const char *text, size_t count)
{
    static char result[4096];
    size_t length = strlen(text);
    CU_ASSERT_FATAL(count * length < sizeof(result));
    for (size_t i = 0; i < count; i++)
        memcpy(result + i * length, text, length);
    result[count * length] = '\0';
    return result;
}

static void test_what_may_be_signed(void)
{
    static const char *const services[] = {"", ",", "a,", ",a", "a,,b", "a b", "a\nttl: 9", "a*"};
    static const char *const reasons[] = {"", "a\nb", "a\tb", "\x7f", "\xff", "\xc2\x9b", "a\r"};
    CU_ASSERT_TRUE(is_fit("a", 1, "x"));
    CU_ASSERT_TRUE(is_fit("Z_9.-", UINT32_MAX, times("\xe2\x80\x9e", 200)));
    CU_ASSERT_TRUE(is_fit(times("a", 64), 1, "x"));
    CU_ASSERT_FALSE(is_fit(times("a", 65), 1, "x"));
    CU_ASSERT_TRUE(is_fit(times(",a", 16) + 1, 1, "x"));
    CU_ASSERT_FALSE(is_fit(times(",a", 17) + 1, 1, "x"));
    CU_ASSERT_FALSE(is_fit("a", 0, "x"));
    CU_ASSERT_FALSE(is_fit("a", 1, times("x", 201)));
    CU_ASSERT_FALSE(is_fit("a", 1, times("\xe2\x80\x9e", 1000)));
    for (size_t i = 0; i < ARRAY_LENGTH(services); i++)
        CU_ASSERT_FALSE(is_fit(services[i], 1, "x"));
    for (size_t i = 0; i < ARRAY_LENGTH(reasons); i++)
        CU_ASSERT_FALSE(is_fit("a", 1, reasons[i]));
}

static void test_names(void)
{
    struct operator_gateway gateway;
    static const char *const bad[] = {"",     "a",    "/a",   "a/",       "a/b/c", "a/b ",
                                      "+/+",  "#",    "a/\n", "../a",     "a.b/c", "\xc3\xa4/b",
                                      "a//b", "$a/b", "a/b#", "a/b\x1b[m"};
    CU_ASSERT_TRUE(operator_gateway_parse("Plant_7/gw-0042", &gateway));
    TEST_TEXT_EQUAL(gateway.site, "Plant_7");
    TEST_TEXT_EQUAL(gateway.id, "gw-0042");
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
        CU_ASSERT_FALSE(operator_gateway_parse(bad[i], &gateway));
    CLEANUP(memory_free_pointer) char *fits = memory_printf("%s/b", times("a", 64));
    CLEANUP(memory_free_pointer) char *longer = memory_printf("%s/b", times("a", 65));
    CU_ASSERT_TRUE(operator_gateway_parse(fits, &gateway));
    CU_ASSERT_FALSE(operator_gateway_parse(longer, &gateway));
}

static void test_challenge(void)
{
    char challenge[OPERATOR_CHALLENGE_BYTES] = "untouched";
    CU_ASSERT_FALSE(operator_challenge_parse(CHALLENGE, 63, challenge));
    CU_ASSERT_FALSE(operator_challenge_parse(CHALLENGE "0", 65, challenge));
    CU_ASSERT_FALSE(operator_challenge_parse(CHALLENGE, 0, challenge));
    CU_ASSERT_FALSE(operator_challenge_parse(times("A", 64), 64, challenge));
    CU_ASSERT_FALSE(operator_challenge_parse("\0" CHALLENGE, 64, challenge));
    TEST_TEXT_EQUAL(challenge, "untouched");
    CU_ASSERT_TRUE(operator_challenge_parse(CHALLENGE, 64, challenge));
    TEST_TEXT_EQUAL(challenge, CHALLENGE);
}

static int reply_of(const char *text, struct operator_reply *ret_reply)
{
    return operator_reply_parse(text, strlen(text), ret_reply);
}

static void test_replies(void)
{
    struct operator_reply reply;
    static const char *const bad[] = {"",
                                      "{",
                                      "[]",
                                      "7",
                                      "{\"id\":\"a\"}",
                                      "{\"result\":\"accepted\"}",
                                      "{\"id\":\"a\",\"result\":\"maybe\"}",
                                      "{\"id\":1,\"result\":\"accepted\"}",
                                      "{\"id\":\"a b\",\"result\":\"accepted\"}",
                                      "{\"id\":\"a\\n\",\"result\":\"accepted\"}",
                                      "{\"id\":\"a\",\"result\":\"accepted\"} x"};
    CU_ASSERT_EQUAL(reply_of("{\"id\":\"4f-1\",\"result\":\"accepted\"}", &reply), 0);
    CU_ASSERT_TRUE(reply.is_accepted);
    TEST_TEXT_EQUAL(reply.id, "4f-1");
    TEST_TEXT_EQUAL(reply.state, "");
    CU_ASSERT_EQUAL(reply.n_places, 0);
    CU_ASSERT_EQUAL(
        reply_of("{\"id\":\"\",\"result\":\"refused\",\"reason\":\"a\\u001b[2J\xc2\x9b\"}", &reply),
        0);
    CU_ASSERT_FALSE(reply.is_accepted);
    TEST_TEXT_EQUAL(reply.reason, "a\\x1b[2J\\u009b");
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
        CU_ASSERT_EQUAL(reply_of(bad[i], &reply), -EPROTO);
    CLEANUP(memory_free_pointer)
    char *longer = memory_printf("{\"id\":\"a\",\"result\":\"accepted\"%8192s}", "");
    CU_ASSERT_EQUAL(reply_of(longer, &reply), -EPROTO);
}

/* How a person is told to connect, or "" when LINE is not taken. */
static const char *place_of(const char *line)
{
    static char text[256];
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    struct operator_reply reply;
    CLEANUP(memory_free_pointer)
    char *payload = memory_printf(
        "{\"id\":\"a\",\"result\":\"accepted\",\"state\":\"open\",\"connect\":[\"%s\"]}", line);
    CU_ASSERT_EQUAL_FATAL(reply_of(payload, &reply), 0);
    if (reply.n_places > 0)
        operator_place_write(&reply.places[0], &out);
    (void)snprintf(text, sizeof(text), "%s", strbuf_text(&out));
    return text;
}

static void test_places(void)
{
    static const char *const bad[] = {
        "",
        "ssh",
        "ssh tcp",
        "ssh tcp 10.254.1.42",
        "ssh tcp 10.254.1.42:",
        "ssh tcp 10.254.1.42:0",
        "ssh tcp 10.254.1.42:65536",
        "ssh tcp 10.254.1.42:22 ",
        "ssh tcp 10.254.1.42:22;reboot",
        "ssh tcp 10.254.1.42:-22",
        "ssh tcp 10.254.1.342:22",
        "ssh tcp hub.example.com:22",
        "ssh tcp $(reboot):22",
        "ssh sctp 10.254.1.42:22",
        "ssh  tcp 10.254.1.42:22",
        " tcp 10.254.1.42:22",
        "s;h tcp 10.254.1.42:22",
        "ssh tcp 10.254.1.42:000022",
    };
    TEST_TEXT_EQUAL(place_of("ssh tcp 10.254.1.42:22"), "ssh USER@10.254.1.42");
    TEST_TEXT_EQUAL(place_of("shell tcp 10.254.1.42:22"), "ssh USER@10.254.1.42");
    TEST_TEXT_EQUAL(place_of("ssh tcp 10.254.1.42:2222"), "ssh -p 2222 USER@10.254.1.42");
    TEST_TEXT_EQUAL(place_of("plc1 tcp 192.168.10.5:502"), "192.168.10.5:502");
    TEST_TEXT_EQUAL(place_of("odd udp 10.254.1.42:22"), "10.254.1.42:22");
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
        TEST_TEXT_EQUAL(place_of(bad[i]), "");
}

static void test_status(void)
{
    struct operator_status status;
    static const char text[] =
        "{\"state\":\"online\",\"timestamp\":1795343987123,\"version\":\"0.1.0\","
        "\"outbox\":{\"messages\":7},\"firewall\":{\"state\":\"locked\"},\"tunnel\":{\"state\":"
        "\"open\",\"services\":[\"ssh\",\"plc1\"],\"remaining_s\":3599,\"opener\":\"tech\"}}";
    operator_status_parse(text, strlen(text), &status);
    TEST_TEXT_EQUAL(status.state, "online");
    TEST_TEXT_EQUAL(status.version, "0.1.0");
    TEST_TEXT_EQUAL(status.firewall, "locked");
    TEST_TEXT_EQUAL(status.tunnel, "open");
    TEST_TEXT_EQUAL(status.services, "ssh,plc1");
    TEST_TEXT_EQUAL(status.opener, "tech");
    CU_ASSERT_EQUAL(status.remaining_s, 3599);
    CU_ASSERT_EQUAL(status.backlog, 7);
    CU_ASSERT_EQUAL(status.timestamp_ms, 1795343987123);
    operator_status_parse("{\"state\":\"offline\"}", 19, &status);
    TEST_TEXT_EQUAL(status.state, "offline");
    TEST_TEXT_EQUAL(status.tunnel, "");
    CU_ASSERT_EQUAL(status.backlog, -1);
    CU_ASSERT_EQUAL(status.timestamp_ms, 0);
    operator_status_parse("{\"state\":", 9, &status);
    TEST_TEXT_EQUAL(status.state, "unreadable");
}

static void check_json(const char *text, const char *expected)
{
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    json_t *value = operator_json_parse(text, strlen(text));
    CU_ASSERT_PTR_NOT_NULL(value);
    if (value)
        operator_json_add(text, strlen(text), &out);
    TEST_TEXT_EQUAL(strbuf_text(&out), expected);
    json_decref(value);
}

static void test_json(void)
{
    check_json("{ \"a\" : 18446744073709551615,\r\n\t\"b\":[-9223372036854775809, 1.50e3]}",
               "{\"a\":18446744073709551615,\"b\":[-9223372036854775809,1.50e3]}");
    check_json("{\"a\":\"18446744073709551615\\\"1\"}", "{\"a\":\"18446744073709551615\\\"1\"}");
    check_json("{\"\xc2\x9b\x7f\xc3\xa4\":\"\\u001b\"}", "{\"\\u009B\\u007F\\u00E4\":\"\\u001B\"}");
    json_t *value = operator_json_parse("{\"a\":18446744073709551615,\"b\":1}", 32);
    TEST_TEXT_EQUAL(json_string_value(json_object_get(value, "a")), "18446744073709551615");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(value, "b")), 1);
    json_decref(value);
    CU_ASSERT_PTR_NULL(operator_json_parse("{\"a\":1", 6));
    CU_ASSERT_PTR_NULL(operator_json_parse("", 0));
    CU_ASSERT_PTR_NULL(operator_json_parse("\"\\", 2));
}

TEST_MAIN("operator_text", {"the text of each action", test_command},
          {"what may be signed", test_what_may_be_signed}, {"names of gateways", test_names},
          {"challenges", test_challenge}, {"replies", test_replies},
          {"how to connect", test_places}, {"states", test_status},
          {"numbers keep their digits", test_json})
