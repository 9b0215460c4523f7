/* Which units of a serial line still owe a reply. */
#include "drivers/modbus/overdue_replies.h"

#include "agent/base/clock.h"
#include "drivers/modbus/modbus_pdu.h"
#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

#define MS CLOCK_NS_PER_MS
#define TIMEOUT_NS (100 * MS)

static const struct driver_request lost = {7, DRIVER_HOLDING, 100, 2};
static const struct driver_request other_block = {7, DRIVER_HOLDING, 200, 2};
static const struct driver_request other_function = {7, DRIVER_INPUT, 100, 2};
static const struct driver_request other_unit = {8, DRIVER_HOLDING, 100, 2};

static struct overdue_replies *fresh(void)
{
    static struct overdue_replies late;
    overdue_replies_init(&late, TIMEOUT_NS);
    return &late;
}

static size_t reply_frame(uint8_t *frame, uint8_t unit, uint8_t function)
{
    static const uint8_t data[] = {4, 0, 1, 0, 2};
    frame[0] = unit;
    frame[1] = function;
    memcpy(frame + 2, data, sizeof(data));
    uint16_t crc = rtu_crc(frame, 7);
    frame[7] = (uint8_t)crc;
    frame[8] = (uint8_t)(crc >> 8);
    return 9;
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
    uint8_t bytes[32] = {7, 3, 0x55}; /* a false beginning */
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

TEST_MAIN("late", {"only what could be mistaken has to wait", test_who_waits},
          {"the late reply itself ends the wait, nothing else does", test_settled},
          {"a unit that was later than expected is given more time", test_learns},
          {"several units may owe at a time", test_many})
