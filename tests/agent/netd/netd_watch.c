/* Journal lines of netd as events. */
#include "agent/netd/netd_watch.h"

#include "tests/support/test.h"

#include <errno.h>

static struct event_field fields[8];
static char name[32];
static int64_t timestamp_ms;

static int parse(const char *line, struct strbuf *texts)
{
    strbuf_reset(texts);
    return netd_watch_parse(line, name, sizeof(name), &timestamp_ms, fields, 8, texts);
}

static void test_line(void)
{
    CLEANUP(strbuf_free) struct strbuf texts = STRBUF_EMPTY;
    int n_fields = parse("17 2026-11-22T16:10:39.412Z tunnel_opened ttl=3600 opener=root "
                         "reason=\"drive \\\"fault\\\" on pump 3\" empty= hash=00ff",
                         &texts);
    CU_ASSERT_EQUAL_FATAL(n_fields, 5);
    TEST_TEXT_EQUAL(name, "tunnel_opened");
    CU_ASSERT_EQUAL(timestamp_ms, INT64_C(1795363839412));
    TEST_TEXT_EQUAL(fields[0].key, "ttl");
    CU_ASSERT_PTR_NULL(fields[0].text);
    CU_ASSERT_EQUAL(fields[0].number, 3600);
    TEST_TEXT_EQUAL(fields[1].text, "root");
    TEST_TEXT_EQUAL(fields[2].key, "reason");
    TEST_TEXT_EQUAL(fields[2].text, "drive \"fault\" on pump 3");
    TEST_TEXT_EQUAL(fields[3].text, "");
    TEST_TEXT_EQUAL(fields[4].text, "00ff");
}

/* An operator may number his commands: the member of the event stays a text. */
static void test_numbers(void)
{
    CLEANUP(strbuf_free) struct strbuf texts = STRBUF_EMPTY, detail = STRBUF_EMPTY;
    strbuf_add(&detail, "1 2026-11-22T16:10:39.412Z tunnel_opened id=\"42\" by=\"-7\" ttl_s=-42 "
                        "odd=007 odder=-0 zero=0");
    CU_ASSERT_EQUAL_FATAL(parse(strbuf_text(&detail), &texts), 6);
    TEST_TEXT_EQUAL(fields[0].text, "42");
    TEST_TEXT_EQUAL(fields[1].text, "-7");
    CU_ASSERT_PTR_NULL(fields[2].text);
    CU_ASSERT_EQUAL(fields[2].number, -42);
    TEST_TEXT_EQUAL(fields[3].text, "007");
    TEST_TEXT_EQUAL(fields[4].text, "-0");
    CU_ASSERT_PTR_NULL(fields[5].text);
}

static void test_bounds(void)
{
    CLEANUP(strbuf_free) struct strbuf texts = STRBUF_EMPTY;
    CU_ASSERT_EQUAL(
        parse("1 2026-11-22T16:10:39.412Z e a=1 b=2 c=3 d=4 e=5 f=6 g=7 h=8 i=9", &texts), 8);
    CU_ASSERT_EQUAL(parse("1 2026-11-22T16:10:39.412Z e", &texts), 0);
    CU_ASSERT_EQUAL(parse("1 2026-11-22T16:10:39.412Z e a=\"never ends", &texts), 1);
    TEST_TEXT_EQUAL(fields[0].text, "never ends");
    CU_ASSERT_EQUAL(parse("1 2026-11-22T16:10:39.412Z e a=12345678901234567890", &texts), 1);
    TEST_TEXT_EQUAL(fields[0].text, "12345678901234567890"); /* too long for a number */
}

static void test_garbage(void)
{
    static const char *const lines[] = {
        "",
        "x",
        "1",
        "1 now e",
        "1 2026-11-22T16:10:39.412Z",
        "1 2026-11-22T16:10:39.412Z ",
        "1 2026-11-22T16:10:39.412Z quo\"te",
        "1 2026-11-22T16:10:39.412Z e ke\"y=1",
        "1 2026-11-22T16:10:39.412Z an_event_with_a_name_that_is_far_too_long a=1"};
    CLEANUP(strbuf_free) struct strbuf texts = STRBUF_EMPTY;
    for (size_t i = 0; i < ARRAY_LENGTH(lines); i++)
        CU_ASSERT_EQUAL(parse(lines[i], &texts), -EBADMSG);
}

TEST_MAIN("netd_watch", {"a line becomes an event with its details", test_line},
          {"a text that looks like a number stays one", test_numbers},
          {"lines of any length are bounded", test_bounds},
          {"what is no line is refused", test_garbage})
