/* The text of an event: what is written is read back, and what anybody wrote is survived. */
#include "tunnel/model/event_text.h"

#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WALL INT64_C(1795343987123)
#define TIME "2026-11-22T10:39:47.123Z"

static struct event event;
static uint64_t seq;

static int read_line(const char *line)
{
    return event_text_read(line, strlen(line), &seq, &event);
}

static const char *member_text(size_t i)
{
    return event_member_text(&event, &event.members[i]);
}

static void expect_written(const char *line)
{
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    event_text_write(&event, 17, &out);
    TEST_TEXT_EQUAL(strbuf_text(&out), line);
}

static void test_write(void)
{
    CLEANUP(strbuf_free) struct strbuf members = STRBUF_EMPTY;
    event_init(&event, EVENT_TUNNEL_OPENED, WALL);
    event_add_text(&event, MEMBER_ID, "42");
    event_add_text(&event, MEMBER_BY, "alice@example.com");
    event_add_item(&event, MEMBER_SERVICES, "ssh");
    event_add_item(&event, MEMBER_SERVICES, "plc1");
    event_add_number(&event, MEMBER_TTL_S, 3600);
    event_add_text(&event, MEMBER_PURPOSE, "drive \"fault\" on pump\\3\nhash=0000");
    event_add_text(&event, MEMBER_DETAIL, "");
    expect_written(
        "17 " TIME " tunnel_opened id=\"42\" by=alice@example.com services=ssh,plc1 "
        "ttl_s=3600 purpose=\"drive \\\"fault\\\" on pump\\\\3\\\\x0ahash=0000\" detail=\"\"");
    event_text_write_members(&event, &members);
    CU_ASSERT_EQUAL(strncmp(strbuf_text(&members), "id=\"42\" by=", 11), 0);
}

static void test_no_members(void)
{
    CLEANUP(strbuf_free) struct strbuf members = STRBUF_EMPTY;
    event_init(&event, EVENT_NETD_STOPPED, WALL);
    expect_written("17 " TIME " netd_stopped");
    event_text_write_members(&event, &members);
    TEST_TEXT_EQUAL(strbuf_text(&members), "");
    CU_ASSERT_EQUAL(read_line("17 " TIME " netd_stopped"), 0);
    CU_ASSERT_EQUAL(event.kind, EVENT_NETD_STOPPED);
    CU_ASSERT_EQUAL(event.n_members, 0);
}

/* A hash is never quoted, whatever its digits are; a version is no number. */
static void test_bare(void)
{
    event_init(&event, EVENT_CHAIN, WALL);
    event_add_text(&event, MEMBER_PREVIOUS, "0000000000000000000000000000000000000000");
    expect_written("17 " TIME " chain previous=0000000000000000000000000000000000000000");
    event_init(&event, EVENT_CHAIN, WALL);
    event_add_text(&event, MEMBER_PREVIOUS, "not hex");
    expect_written("17 " TIME " chain previous=\"not hex\"");
    event_init(&event, EVENT_CHAIN, WALL);
    event_add_text(&event, MEMBER_PREVIOUS, "21"); /* no hash, and it must not become a number */
    expect_written("17 " TIME " chain previous=\"21\"");
    event_init(&event, EVENT_NETD_STARTED, WALL);
    event_add_text(&event, MEMBER_VERSION, "0.1.0");
    expect_written("17 " TIME " netd_started version=0.1.0");
}

/* A program or an interface may have any name: what is read over the socket is still the line. */
static void test_any_bytes(void)
{
    event_init(&event, EVENT_FIREWALL_TAMPERED, WALL);
    event_add_text(&event, MEMBER_PROGRAM, "gr\xc3\xb6\xc3\x9f \xff\xc3\xe2\x80\xae\x1b");
    expect_written("17 " TIME " firewall_tampered program=\"gr\xc3\xb6\xc3\x9f "
                   "\\\\xff\\\\xc3\\\\u202e\\\\x1b\"");
}

static void test_read(void)
{
    CU_ASSERT_EQUAL_FATAL(read_line("17 2026-11-22T16:10:39.412Z tunnel_opened ttl_s=3600 by=root "
                                    "purpose=\"drive \\\"fault\\\" on pump 3\" detail= hash=00ff"),
                          0);
    CU_ASSERT_EQUAL(seq, 17);
    CU_ASSERT_EQUAL(event.kind, EVENT_TUNNEL_OPENED);
    CU_ASSERT_EQUAL(event.time_ms, INT64_C(1795363839412));
    CU_ASSERT_EQUAL_FATAL(event.n_members, 5);
    CU_ASSERT_EQUAL(event.members[0].key, MEMBER_TTL_S);
    CU_ASSERT_TRUE(event.members[0].is_number);
    CU_ASSERT_EQUAL(event.members[0].number, 3600);
    TEST_TEXT_EQUAL(member_text(1), "root");
    CU_ASSERT_EQUAL(event.members[2].key, MEMBER_PURPOSE);
    TEST_TEXT_EQUAL(member_text(2), "drive \"fault\" on pump 3");
    TEST_TEXT_EQUAL(member_text(3), "");
    CU_ASSERT_EQUAL(event.members[4].key, MEMBER_HASH);
    TEST_TEXT_EQUAL(member_text(4), "00ff");
}

/* An operator may number his commands: the member of the event stays a text. */
static void test_numbers(void)
{
    CU_ASSERT_EQUAL_FATAL(read_line("1 " TIME " tunnel_opened id=\"42\" by=\"-7\" ttl_s=-42 "
                                    "odd=007 odder=-0 zero=0 long=12345678901234567890"),
                          0);
    CU_ASSERT_EQUAL_FATAL(event.n_members, 7);
    TEST_TEXT_EQUAL(member_text(0), "42");
    TEST_TEXT_EQUAL(member_text(1), "-7");
    CU_ASSERT_TRUE(event.members[2].is_number);
    CU_ASSERT_EQUAL(event.members[2].number, -42);
    TEST_TEXT_EQUAL(member_text(3), "007");
    TEST_TEXT_EQUAL(member_text(4), "-0");
    CU_ASSERT_TRUE(event.members[5].is_number);
    TEST_TEXT_EQUAL(member_text(6), "12345678901234567890"); /* too long for a number */
}

/* A journal outlives the version that wrote it: nothing of a line is lost to another one. */
static void test_other_version(void)
{
    static const char line[] = "17 " TIME " tunnel_painted colour=\"light blue\" coats=2 by=root";
    CU_ASSERT_EQUAL_FATAL(read_line(line), 0);
    CU_ASSERT_EQUAL(event.kind, EVENT_OTHER);
    TEST_TEXT_EQUAL(event_name(&event), "tunnel_painted");
    CU_ASSERT_EQUAL(event.members[0].key, MEMBER_OTHER);
    TEST_TEXT_EQUAL(event_member_name(&event, &event.members[0]), "colour");
    TEST_TEXT_EQUAL(member_text(0), "light blue");
    expect_written(line);
    CU_ASSERT_EQUAL_FATAL(read_line("17 " TIME " tunnel_opened colour=blue"), 0);
    CU_ASSERT_EQUAL(event.kind, EVENT_TUNNEL_OPENED);
    TEST_TEXT_EQUAL(event_member_name(&event, &event.members[0]), "colour");
}

static void test_bounds(void)
{
    CLEANUP(strbuf_free) struct strbuf line = STRBUF_EMPTY;
    strbuf_add(&line, "1 " TIME " e");
    for (int i = 0; i < EVENT_MAX_MEMBERS; i++)
        strbuf_addf(&line, " a=%d", i);
    CU_ASSERT_EQUAL(read_line(strbuf_text(&line)), 0);
    CU_ASSERT_FALSE(event.is_cut);
    strbuf_add(&line, " b=1");
    CU_ASSERT_EQUAL(read_line(strbuf_text(&line)), 0);
    CU_ASSERT_EQUAL(event.n_members, EVENT_MAX_MEMBERS);
    CU_ASSERT_TRUE(event.is_cut);
    CU_ASSERT_EQUAL(read_line("1 " TIME " e a=\"never ends"), 0);
    TEST_TEXT_EQUAL(member_text(0), "never ends");
    strbuf_reset(&line);
    strbuf_add(&line, "1 " TIME " e a=");
    while (line.length < EVENT_TEXT_BYTES)
        strbuf_add_char(&line, 'x');
    CU_ASSERT_EQUAL(read_line(strbuf_text(&line)), 0);
    CU_ASSERT_EQUAL(strlen(member_text(0)), EVENT_TEXT_BYTES - strlen("1 " TIME " e a="));
    strbuf_add_char(&line, 'x');
    CU_ASSERT_EQUAL(read_line(strbuf_text(&line)), -EBADMSG);
}

static void test_garbage(void)
{
    static const char *const lines[] = {
        "",
        "x",
        "1",
        "1 now e",
        "0 " TIME " e",
        "01 " TIME " e",
        "1234567890123456789 " TIME " e",
        "-1 " TIME " e",
        " 1 " TIME " e",
        "1  " TIME " e",
        "1 " TIME,
        "1 " TIME " ",
        "1 2026-11-22T10:39:47.12Z e",
        "1 2026-11-22T10:39:47.1234 e",
        "1 2026-13-22T10:39:47.123Z e",
        "1 2026-02-30T10:39:47.123Z e",
        "1 2026-11-22 10:39:47.123Z e",
        "1 " TIME " quo\"te",
        "1 " TIME " e ",
        "1 " TIME " e word",
        "1 " TIME " e  a=1",
        "1 " TIME " e =1",
        "1 " TIME " e ke\"y=1",
        "1 " TIME " e a=\"1\"2",
        "1 " TIME " an_event_with_a_name_that_is_far_too_long_for_anybody_to_have_come_up_with",
        "1 " TIME " e a_member_with_a_name_that_is_far_too_long_for_anybody_to_have_come_up_w=1",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(lines); i++) {
        if (read_line(lines[i]) != -EBADMSG)
            TEST_TEXT_EQUAL(lines[i], "(refused)");
    }
    CU_ASSERT_EQUAL(event_text_read("1 " TIME " e\0a", sizeof("1 " TIME " e\0a") - 1, &seq, &event),
                    -EBADMSG);
}

TEST_MAIN("event_text", {"a line is written", test_write},
          {"an event without members", test_no_members},
          {"a text needs no quotes where it cannot be taken for something else", test_bare},
          {"no byte of a text forges a line", test_any_bytes},
          {"a line is read, with the types of its members", test_read},
          {"a text that looks like a number stays one", test_numbers},
          {"a line of another version is kept whole", test_other_version},
          {"lines of any length are bounded", test_bounds},
          {"what is no line is refused", test_garbage})
