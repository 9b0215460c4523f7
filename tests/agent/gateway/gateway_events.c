/* What the gateway tells of itself: texts that are told whatever their size. */
#include "agent/gateway/gateway_events.h"
#include "tests/support/test.h"

#include "agent/base/memory.h"

#include <string.h>

static void test_few_lines(void)
{
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    gateway_events_summary("a.conf:1: x: wrong\na.conf:2: y: wrong\n", &out);
    TEST_TEXT_EQUAL(strbuf_text(&out), "a.conf:1: x: wrong; a.conf:2: y: wrong");
    strbuf_reset(&out);
    gateway_events_summary("", &out);
    TEST_TEXT_EQUAL(strbuf_text(&out), "");
}

static void test_many_lines(void)
{
    CLEANUP(strbuf_free) struct strbuf lines = STRBUF_EMPTY, out = STRBUF_EMPTY;
    for (int i = 1; i <= 10000; i++)
        strbuf_addf(&lines, "tag %d changed\n", i);
    gateway_events_summary(strbuf_text(&lines), &out);
    TEST_CONTAINS(strbuf_text(&out), "; tag 10 changed; and 9990 more");
    CU_ASSERT(out.length < 500);
    CU_ASSERT_PTR_NULL(strchr(strbuf_text(&out), '\n'));
}

static void test_long_line(void)
{
    CLEANUP(strbuf_free) struct strbuf line = STRBUF_EMPTY, out = STRBUF_EMPTY;
    strbuf_add(&line, "x");
    for (int i = 0; i < 5000; i++)
        strbuf_add(&line, "\xc3\xa9");
    gateway_events_summary(strbuf_text(&line), &out);
    CU_ASSERT(out.length < 250);
    TEST_CONTAINS(strbuf_text(&out), "\xc3\xa9..."); /* no half character */
}

static void test_store(void)
{
    char known[40] = "";
    CU_ASSERT_FALSE(gateway_events_store("", known, sizeof(known)));
    CU_ASSERT_TRUE(gateway_events_store("disk full", known, sizeof(known)));
    CU_ASSERT_FALSE(gateway_events_store("disk full", known, sizeof(known)));
    CU_ASSERT_TRUE(gateway_events_store("", known, sizeof(known)));
}

TEST_MAIN("notice", {"a few lines are told whole", test_few_lines},
          {"of many lines the first are told, and how many more there are", test_many_lines},
          {"a long line is cut between two characters", test_long_line},
          {"trouble with the store is told once, and its end", test_store})
