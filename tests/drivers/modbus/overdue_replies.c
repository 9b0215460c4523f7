/* Which units of a serial line still owe a reply. */
#include "drivers/modbus/overdue_replies.h"

#include "agent/base/clock.h"
#include "agent/base/macros.h"
#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

#define MS CLOCK_NS_PER_MS
#define TIMEOUT_NS (100 * MS)

static const struct modbus_request lost = {3, 7, true, 100, 2, NULL};
static const struct modbus_request other_block = {3, 7, true, 200, 2, NULL};
static const struct modbus_request other_function = {4, 7, true, 100, 2, NULL};
static const struct modbus_request other_unit = {3, 8, true, 100, 2, NULL};

static const struct framing *framing; /* under test */

static struct overdue_replies *fresh(void)
{
    static struct overdue_replies late;
    overdue_replies_init(&late, framing, TIMEOUT_NS);
    return &late;
}

#define REPLIES_EACH 3

/* Replies to a read of two registers, three in each framing that is found anywhere. */
static const struct {
    uint8_t unit, function;
    const char *name, *bytes;
    size_t length;
} replies[] = {
    {7, 3, "rtu", "\x07\x03\x04\x00\x01\x00\x02\x4C\x32", 9},
    {7, 4, "rtu", "\x07\x04\x04\x00\x01\x00\x02\x4D\x85", 9},
    {8, 3, "rtu", "\x08\x03\x04\x00\x01\x00\x02\xB3\x32", 9},
    {7, 3, "ascii", ":07030400010002EF\r\n", 19},
    {7, 4, "ascii", ":07040400010002EE\r\n", 19},
    {8, 3, "ascii", ":08030400010002EE\r\n", 19},
};

/* The reply of UNIT, in the framing under test. */
static size_t reply_frame(uint8_t *frame, uint8_t unit, uint8_t function)
{
    for (size_t i = 0; i < ARRAY_LENGTH(replies); i++) {
        if (replies[i].unit == unit && replies[i].function == function &&
            strcmp(replies[i].name, framing->name) == 0) {
            memcpy(frame, replies[i].bytes, replies[i].length);
            return replies[i].length;
        }
    }
    abort();
}

static void test_who_waits(void)
{
    struct overdue_replies *late = fresh();
    CU_ASSERT_EQUAL(overdue_replies_until(late, &lost), 0);
    overdue_replies_owe(late, &lost, 1000 * MS);
    CU_ASSERT_EQUAL(overdue_replies_until(late, &lost), 1200 * MS);
    CU_ASSERT_EQUAL(overdue_replies_until(late, &other_block), 1200 * MS);
    CU_ASSERT_EQUAL(overdue_replies_until(late, &other_function), 0);
    CU_ASSERT_EQUAL(overdue_replies_until(late, &other_unit), 0);
    overdue_replies_forget(late, &other_function);
    CU_ASSERT_EQUAL(overdue_replies_until(late, &lost), 1200 * MS);
    overdue_replies_forget(late, &other_block);
    CU_ASSERT_EQUAL(overdue_replies_until(late, &lost), 0);
}

static void test_settled(void)
{
    struct overdue_replies *late = fresh();
    uint8_t bytes[32] = {7, 3, ':'}; /* a false beginning */
    overdue_replies_owe(late, &lost, 1000 * MS);
    overdue_replies_notice(late, bytes, 3 + reply_frame(bytes + 3, 8, 3), 1150 * MS);
    CU_ASSERT_NOT_EQUAL(overdue_replies_until(late, &lost), 0); /* another unit's */
    overdue_replies_notice(late, bytes, 3 + reply_frame(bytes + 3, 7, 4), 1150 * MS);
    CU_ASSERT_NOT_EQUAL(overdue_replies_until(late, &lost), 0); /* another function's */
    overdue_replies_notice(late, bytes, 3 + reply_frame(bytes + 3, 7, 3) - 1, 1150 * MS);
    CU_ASSERT_NOT_EQUAL(overdue_replies_until(late, &lost), 0); /* not all of it yet */
    overdue_replies_notice(late, bytes, 3 + reply_frame(bytes + 3, 7, 3), 1150 * MS);
    CU_ASSERT_EQUAL(overdue_replies_until(late, &lost), 0);
}

static void test_learns(void)
{
    struct overdue_replies *late = fresh();
    uint8_t bytes[32];
    size_t length = reply_frame(bytes, 7, 3);
    overdue_replies_owe(late, &lost, 1000 * MS);
    overdue_replies_notice(late, bytes, length, 1400 * MS); /* four timeouts late */
    overdue_replies_owe(late, &lost, 2000 * MS);
    CU_ASSERT_EQUAL(overdue_replies_until(late, &lost), 2500 * MS); /* a quarter more than that */
    overdue_replies_notice(late, bytes, length, 2000000 * MS);
    overdue_replies_owe(late, &lost, 5000 * MS);
    CU_ASSERT_EQUAL(overdue_replies_until(late, &lost), 80000 * MS); /* but there is an end to it */
}

static void test_many(void)
{
    struct overdue_replies *late = fresh();
    uint8_t bytes[64];
    overdue_replies_owe(late, &lost, 0);
    overdue_replies_owe(late, &lost, 0); /* twice the same */
    overdue_replies_owe(late, &other_unit, 0);
    size_t length = reply_frame(bytes, 8, 3);
    length += reply_frame(bytes + length, 7, 3);
    overdue_replies_notice(late, bytes, length, 150 * MS);
    CU_ASSERT_EQUAL(overdue_replies_until(late, &lost), 0);
    CU_ASSERT_EQUAL(overdue_replies_until(late, &other_unit), 0);
    CU_ASSERT_EQUAL(late->n_owing, 0);
}

/* Of a write only what its reply repeats is kept: the values are the caller's and may go. */
static void test_write(void)
{
    static const char *const reply = ":0706006404D2B9\r\n"; /* 7 + 6 + 0x64 + 0x04 + 0xD2 */
    if (strcmp(framing->name, "ascii") != 0)
        return;
    struct overdue_replies *late = fresh();
    uint16_t *value = malloc(sizeof(*value));
    *value = 1234;
    const struct modbus_request write = {6, 7, false, 100, 1, value};
    overdue_replies_owe(late, &write, 1000 * MS);
    free(value);
    CU_ASSERT_EQUAL(overdue_replies_until(late, &lost), 0);
    overdue_replies_notice(late, (const uint8_t *)reply, strlen(reply), 1100 * MS);
    CU_ASSERT_EQUAL(late->n_owing, 0);
}

static void in_each_framing(void (*test)(void))
{
    size_t tested = 0;
    for (size_t i = 0; framings_all[i]; i++) {
        framing = framings_all[i];
        if (!framing->found_anywhere)
            continue;
        test();
        tested++;
    }
    CU_ASSERT_EQUAL(tested * REPLIES_EACH, ARRAY_LENGTH(replies));
}

static void test_all_who_wait(void)
{
    in_each_framing(test_who_waits);
}

static void test_all_settled(void)
{
    in_each_framing(test_settled);
}

static void test_all_learn(void)
{
    in_each_framing(test_learns);
}

static void test_all_many(void)
{
    in_each_framing(test_many);
}

static void test_all_writes(void)
{
    in_each_framing(test_write);
}

TEST_MAIN("overdue_replies", {"only what could be mistaken has to wait", test_all_who_wait},
          {"the late reply itself ends the wait, nothing else does", test_all_settled},
          {"a unit that was later than expected is given more time", test_all_learn},
          {"several units may owe at a time", test_all_many},
          {"a late reply to a write is known too", test_all_writes})
