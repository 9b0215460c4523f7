/* The text of a signed command: what is read, and that nothing else is. */
#include "tunnel/model/command_text.h"

#include "agent/base/macros.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CHALLENGE "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEAD "sallyport-command: 1\ngateway: plant-7/gw-0042\nchallenge: " CHALLENGE "\nid: 7f-A\n"
#define OPEN HEAD "action: open\nservice: ssh,plc1\nttl: 3600\nreason: drive fault on pump 3\n"
#define ARMOUR "-----BEGIN SSH SIGNATURE-----\nU1NI\n-----END SSH SIGNATURE-----"

static int parse(const char *text, struct command *command)
{
    return command_parse(text, strlen(text), command);
}

static void test_good(void)
{
    struct command command;
    CU_ASSERT_EQUAL_FATAL(parse(OPEN, &command), 0);
    TEST_TEXT_EQUAL(command.gateway, "plant-7/gw-0042");
    TEST_TEXT_EQUAL(command.challenge, CHALLENGE);
    TEST_TEXT_EQUAL(command.id, "7f-A");
    CU_ASSERT_EQUAL(command.action, COMMAND_OPEN);
    CU_ASSERT_EQUAL(command.n_services, 2);
    TEST_TEXT_EQUAL(command.services[0], "ssh");
    TEST_TEXT_EQUAL(command.services[1], "plc1");
    CU_ASSERT_EQUAL(command.ttl_s, 3600);
    TEST_TEXT_EQUAL(command.reason, "drive fault on pump 3");
    CU_ASSERT_EQUAL_FATAL(parse(HEAD "action: extend\nttl: 60\nreason: größer, 大\n", &command), 0);
    CU_ASSERT_EQUAL(command.action, COMMAND_EXTEND);
    CU_ASSERT_EQUAL(command.n_services, 0);
    TEST_TEXT_EQUAL(command.reason, "größer, 大");
    CU_ASSERT_EQUAL_FATAL(parse(HEAD "action: close\n", &command), 0);
    CU_ASSERT_EQUAL(command.action, COMMAND_CLOSE);
    TEST_TEXT_EQUAL(command.reason, "");
}

/* Each action has its row, its name leads back to it, and its text has the fields of the row. */
static void test_kinds(void)
{
    for (unsigned i = 0; i < COMMAND_ACTION_COUNT; i++) {
        CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
        struct command command = {.gateway = "plant-7/gw-0042",
                                  .challenge = CHALLENGE,
                                  .id = "7f",
                                  .action = (enum command_action)i,
                                  .ttl_s = 60,
                                  .reason = "drive fault"};
        enum command_action found;
        struct command read;
        const char *name = command_kinds[i].name;
        CU_ASSERT_PTR_NOT_NULL_FATAL(name);
        CU_ASSERT_TRUE(command_find_action(name, strlen(name), &found) && found == i);
        if (command_has(command.action, COMMAND_SERVICE))
            strcpy(command.services[command.n_services++], "ssh");
        command_print(&command, &text);
        CU_ASSERT_EQUAL_FATAL(command_parse(text.data, text.length, &read), 0);
        CU_ASSERT_EQUAL(read.action, i);
        CU_ASSERT_EQUAL(strstr(text.data, "service: ") != NULL,
                        command_has(command.action, COMMAND_SERVICE));
        CU_ASSERT_EQUAL(strstr(text.data, "ttl: ") != NULL,
                        command_has(command.action, COMMAND_TTL));
        CU_ASSERT_EQUAL(strstr(text.data, "reason: ") != NULL,
                        command_has(command.action, COMMAND_REASON));
    }
    enum command_action found;
    CU_ASSERT_FALSE(command_find_action("ope", 3, &found));
    CU_ASSERT_FALSE(command_find_action("openx", 5, &found));
    CU_ASSERT_FALSE(command_find_action("", 0, &found));
}

/* What is printed is read, and the other way round. */
static void test_print(void)
{
    static const char *const texts[] = {OPEN, HEAD "action: extend\nttl: 1\nreason: x\n",
                                        HEAD "action: close\n"};
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        CLEANUP(strbuf_free) struct strbuf again = STRBUF_EMPTY;
        struct command command;
        CU_ASSERT_EQUAL_FATAL(parse(texts[i], &command), 0);
        command_print(&command, &again);
        TEST_TEXT_EQUAL(strbuf_text(&again), texts[i]);
    }
}

/* Each of these differs in one thing from a good one. */
static void test_bad(void)
{
    static const char *const texts[] = {
        "",
        "\n",
        "sallyport-command: 2\n",
        "sallyport-command: 1\n",
        HEAD,
        " " OPEN,
        "\xef\xbb\xbf" OPEN,
        OPEN "\n",
        OPEN "more: x\n",
        OPEN OPEN,
        HEAD "action: open\nservice: ssh\nttl: 1\nreason: x",
        HEAD "action: open\nservice: ssh\nttl: 1\n",
        HEAD "action: open\nservice: ssh\nreason: x\n",
        HEAD "action: open\nttl: 1\nreason: x\n",
        HEAD "action: open\nttl: 1\nservice: ssh\nreason: x\n",
        HEAD "action: open\nservice: ssh\nservice: plc1\nttl: 1\nreason: x\n",
        HEAD "action: open\nservice: ssh\nttl: 1\nttl: 2\nreason: x\n",
        HEAD "action: open\nservice: ssh\nttl: 1\nreason: x\nreason: y\n",
        HEAD "action: open\nservice: ssh, plc1\nttl: 1\nreason: x\n",
        HEAD "action: open\nservice: ssh,\nttl: 1\nreason: x\n",
        HEAD "action: open\nservice: ,ssh\nttl: 1\nreason: x\n",
        HEAD "action: open\nservice: \nttl: 1\nreason: x\n",
        HEAD "action: open\nservice: s/h\nttl: 1\nreason: x\n",
        HEAD "action: open\nservice: *\nttl: 1\nreason: x\n",
        HEAD "action: open\nservice: a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a\nttl: 1\nreason: x\n",
        HEAD "action: open\nservice: ssh\nttl: -1\nreason: x\n",
        HEAD "action: open\nservice: ssh\nttl: +1\nreason: x\n",
        HEAD "action: open\nservice: ssh\nttl: 01\nreason: x\n",
        HEAD "action: open\nservice: ssh\nttl: 1 \nreason: x\n",
        HEAD "action: open\nservice: ssh\nttl: 0x10\nreason: x\n",
        HEAD "action: open\nservice: ssh\nttl: 1e3\nreason: x\n",
        HEAD "action: open\nservice: ssh\nttl: \nreason: x\n",
        HEAD "action: open\nservice: ssh\nttl: 1\nreason: \n",
        HEAD "action: open\nservice: ssh\nttl: 1\nreason: a\tb\n",
        HEAD "action: open\nservice: ssh\nttl: 1\nreason: a\x1b[2J\n",
        HEAD "action: open\nservice: ssh\nttl: 1\nreason: \xff\n",
        HEAD "action: open\nservice: ssh\nttl: 1\nreason: \xc2\x85\n",
        HEAD "action: open\nservice: ssh\nttl: 1\nreason: \xe2\x82\n",
        HEAD "action: open\nservice: ssh\nttl: 1\nreason: a \xe2\x80\xae desrever\n",
        HEAD "action: open\nservice: ssh\nttl: 1\nreason: a \xe2\x81\xa6 b\n",
        HEAD "action: open\nservice: ssh\nttl: 1\nreason: a\xe2\x80\xa8"
             "by root: b\n",
        HEAD "action: Open\nservice: ssh\nttl: 1\nreason: x\n",
        HEAD "action: approve\n",
        HEAD "action: close\nttl: 1\nreason: x\n",
        HEAD "action: close\r\n",
        HEAD "action:close\n",
        HEAD "action:  close\n",
        HEAD "Action: close\n",
        HEAD "action: extend\nservice: ssh\nttl: 1\nreason: x\n",
        "sallyport-command: 1\ngateway: gw-0042\nchallenge: " CHALLENGE "\nid: a\naction: close\n",
        "sallyport-command: 1\ngateway: a/b/c\nchallenge: " CHALLENGE "\nid: a\naction: close\n",
        "sallyport-command: 1\ngateway: a/\nchallenge: " CHALLENGE "\nid: a\naction: close\n",
        "sallyport-command: 1\ngateway: /b\nchallenge: " CHALLENGE "\nid: a\naction: close\n",
        "sallyport-command: 1\ngateway: a/+\nchallenge: " CHALLENGE "\nid: a\naction: close\n",
        "sallyport-command: 1\ngateway: a/b\nchallenge: abc\nid: a\naction: close\n",
        "sallyport-command: 1\ngateway: a/b\nchallenge: " CHALLENGE "0\nid: a\naction: close\n",
        "sallyport-command: 1\ngateway: a/b\nchallenge: " CHALLENGE "\nid: \naction: close\n",
        "sallyport-command: 1\ngateway: a/b\nchallenge: " CHALLENGE "\nid: a_b\naction: close\n",
        "sallyport-command: 1\ngateway: a/b\nchallenge: " CHALLENGE "\nid: " CHALLENGE
        "0\naction: close\n",
        "sallyport-command: 1\nchallenge: " CHALLENGE "\ngateway: a/b\nid: a\naction: close\n",
    };
    struct command command = {.id = "untouched"};
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        bool is_refused = parse(texts[i], &command) == -EBADMSG;
        CU_ASSERT_TRUE(is_refused);
        if (!is_refused)
            printf("\nread: %s", texts[i]);
    }
    TEST_TEXT_EQUAL(command.id, "untouched");
    CU_ASSERT_EQUAL(command_parse(OPEN, strlen(OPEN) + 1, &command), -EBADMSG); /* with its NUL */
    CU_ASSERT_EQUAL(command_parse(OPEN "\0", strlen(OPEN) + 2, &command), -EBADMSG);
    for (size_t length = 0; length < strlen(OPEN); length++)
        CU_ASSERT_EQUAL(command_parse(OPEN, length, &command), -EBADMSG);
}

/* Zero and too much are numbers: somebody else refuses them for what they are. */
static void test_ttl(void)
{
    static const struct {
        const char *digits;
        int64_t ttl_s;
    } cases[] = {{"0", 0},
                 {"1", 1},
                 {"999999999999999999", INT64_C(999999999999999999)},
                 {"1000000000000000000", COMMAND_MAX_TTL_S},
                 {"9223372036854775808", COMMAND_MAX_TTL_S},
                 {"99999999999999999999999999999999999999", COMMAND_MAX_TTL_S}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
        struct command command;
        strbuf_addf(&text, HEAD "action: extend\nttl: %s\nreason: x\n", cases[i].digits);
        CU_ASSERT_EQUAL_FATAL(parse(strbuf_text(&text), &command), 0);
        CU_ASSERT_EQUAL(command.ttl_s, cases[i].ttl_s);
    }
}

static void test_lengths(void)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    struct command command;
    strbuf_add(&text, HEAD "action: extend\nttl: 1\nreason: ");
    for (int i = 0; i < 200; i++)
        strbuf_add(&text, "\xf0\x9f\x94\xa7"); /* 200 characters of four bytes */
    strbuf_add(&text, "\n");
    CU_ASSERT_EQUAL(parse(strbuf_text(&text), &command), 0);
    CU_ASSERT_EQUAL(strlen(command.reason), 800);
    text.length--;
    strbuf_add(&text, "x\n");
    CU_ASSERT_EQUAL(parse(strbuf_text(&text), &command), -EBADMSG);
}

static int split(const char *message, struct command_parts *parts)
{
    return command_split(message, strlen(message), parts);
}

static void test_split(void)
{
    static const char *const bad[] = {
        "",
        OPEN,
        ARMOUR "\n",
        OPEN "\n",
        OPEN ARMOUR "\n\n",
        OPEN ARMOUR " ",
        OPEN ARMOUR "\r\n",
        OPEN ARMOUR "\n" OPEN ARMOUR "\n", /* two commands */
        OPEN ARMOUR "\n" ARMOUR "\n",      /* two signatures */
        OPEN "-----BEGIN SSH SIGNATURE-----\r\nU1NI\n-----END SSH SIGNATURE-----\n",
        OPEN "-----BEGIN SSH SIGNATURE-----\nU1NI\n",
        OPEN "-----BEGIN SSH SIGNATURE-----\nU1\n\nNI\n-----END SSH SIGNATURE-----\n",
        OPEN "-----BEGIN SSH SIGNATURE-----\nU1 NI\n-----END SSH SIGNATURE-----\n",
        OPEN "-----BEGIN SSH SIGNATURE-----\nU1\x0bNI\n-----END SSH SIGNATURE-----\n",
        OPEN "-----BEGIN SSH SIGNATURE-----\n\n-----END SSH SIGNATURE-----\n",
        OPEN "-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n",
        OPEN "-----BEGIN SSH SIGNATURE-----\n",
        OPEN "x" ARMOUR "\n", /* not at the beginning of a line */
        OPEN "-----BEGIN SSH SIGNATURE-----\nU1NI-----END SSH SIGNATURE-----\n",
    };
    struct command_parts parts = {0};
    CU_ASSERT_EQUAL_FATAL(split(OPEN ARMOUR "\n", &parts), 0);
    CU_ASSERT_EQUAL(parts.text_length, strlen(OPEN));
    CU_ASSERT_EQUAL(parts.armour, parts.text + strlen(OPEN));
    CU_ASSERT_EQUAL(parts.armour_length, strlen(ARMOUR "\n"));
    CU_ASSERT_EQUAL(split(OPEN ARMOUR, &parts), 0); /* what $(...) in a shell leaves of it */
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        bool is_refused = split(bad[i], &parts) == -EBADMSG;
        CU_ASSERT_TRUE(is_refused);
        if (!is_refused)
            printf("\ntaken: %s", bad[i]);
    }
}

static void test_split_sizes(void)
{
    CLEANUP(strbuf_free) struct strbuf message = STRBUF_EMPTY;
    struct command_parts parts;
    for (int i = 0; i < COMMAND_TEXT_BYTES - 1; i++)
        strbuf_add_char(&message, 'x');
    strbuf_add(&message, "\n" ARMOUR "\n");
    CU_ASSERT_EQUAL(split(strbuf_text(&message), &parts), 0);
    CU_ASSERT_EQUAL(command_split(strbuf_text(&message), COMMAND_TEXT_BYTES, &parts), -EBADMSG);
    strbuf_reset(&message);
    for (int i = 0; i < COMMAND_TEXT_BYTES; i++)
        strbuf_add_char(&message, 'x');
    strbuf_add(&message, "\n" ARMOUR "\n");
    CU_ASSERT_EQUAL(split(strbuf_text(&message), &parts), -EFBIG);
    CU_ASSERT_EQUAL(command_split(strbuf_text(&message), COMMAND_TEXT_BYTES + 1, &parts), -EFBIG);
}

TEST_MAIN("command_text", {"an action has a row, and its text what the row says", test_kinds},
          {"the three commands are understood", test_good}, {"a command has one text", test_print},
          {"whatever differs in anything is refused", test_bad},
          {"times out of all bounds are numbers still", test_ttl},
          {"a reason has up to 200 characters, however long", test_lengths},
          {"text and signature are told apart, and nothing is behind them", test_split},
          {"a text has 4096 bytes at most", test_split_sizes})
