/* Why there is no session: what is logged, and what is not logged again. The log is a fake. */
#include "agent/uplink/uplink_reasons.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "tests/support/test.h"

#include <stdarg.h>
#include <stdio.h>

#define REPEAT_NS (UPLINK_REASONS_REPEAT_S * CLOCK_NS_PER_S)

static size_t lines;
static char line[200];

void log_write(enum log_level level, const char *subsystem, const char *format, ...)
{
    va_list arguments;
    (void)level, (void)subsystem;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    lines++;
}

static void test_repeats(void)
{
    struct uplink_reasons reasons = {0};
    uplink_reasons_reset(&reasons, 2);
    TEST_TEXT_EQUAL(uplink_reasons_text(&reasons), "");
    lines = 0;
    uplink_reasons_add(&reasons, 0, "a:1: refused", 1000);
    CU_ASSERT_EQUAL(lines, 1);
    TEST_TEXT_EQUAL(line, "a:1: refused; trying again until it works");
    uplink_reasons_add(&reasons, 1, "b:1: refused", 1001);
    CU_ASSERT_EQUAL(lines, 2);
    uplink_reasons_add(&reasons, 0, "a:1: refused", 1002); /* the servers take turns */
    CU_ASSERT_EQUAL(lines, 2);
    TEST_TEXT_EQUAL(uplink_reasons_text(&reasons), "a:1: refused");
    uplink_reasons_add(&reasons, 0, "a:1: expired", 1003);
    CU_ASSERT_EQUAL(lines, 3);
    uplink_reasons_add(&reasons, 0, "a:1: expired", 1002 + REPEAT_NS);
    CU_ASSERT_EQUAL(lines, 3);
    uplink_reasons_add(&reasons, 0, "a:1: expired", 1003 + REPEAT_NS);
    CU_ASSERT_EQUAL(lines, 4);
    uplink_reasons_free(&reasons);
}

static void test_clear(void)
{
    struct uplink_reasons reasons = {0};
    uplink_reasons_reset(&reasons, 1);
    lines = 0;
    uplink_reasons_add(&reasons, 0, "lost", 5);
    uplink_reasons_clear(&reasons);
    TEST_TEXT_EQUAL(uplink_reasons_text(&reasons), "");
    uplink_reasons_add(&reasons, 0, "lost", 6); /* a loss of another session */
    CU_ASSERT_EQUAL(lines, 2);
    uplink_reasons_add(&reasons, 0, uplink_reasons_text(&reasons), 7); /* its own text */
    TEST_TEXT_EQUAL(uplink_reasons_text(&reasons), "lost");
    uplink_reasons_reset(&reasons, 3);
    TEST_TEXT_EQUAL(uplink_reasons_text(&reasons), "");
    uplink_reasons_add(&reasons, 2, "lost", 8);
    CU_ASSERT_EQUAL(lines, 3);
    uplink_reasons_free(&reasons);
    uplink_reasons_free(&reasons); /* an empty one */
}

TEST_MAIN("uplink_reasons", {"a sentence is not logged at every attempt", test_repeats},
          {"a session makes a new start", test_clear})
