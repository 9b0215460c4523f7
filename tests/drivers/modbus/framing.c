/* What holds for every framing there is, also for the next one. */
#include "drivers/modbus/framing.h"

#include "tests/support/framed.h"
#include "tests/support/test.h"

#include <string.h>

static const uint16_t values[MODBUS_WRITE_BITS_MAX];

/* The largest request of each function. */
static struct modbus_request largest(uint8_t function)
{
    return (struct modbus_request){.function = function,
                                   .unit = 247,
                                   .count = modbus_request_most(function),
                                   .values = values};
}

static void test_table(void)
{
    size_t i = 0;
    for (; framings_all[i]; i++) {
        CU_ASSERT_PTR_EQUAL(framed(framing_names[i]), framings_all[i]);
        /* a late reply is known by its number, or noise is passed over by checksum: never neither
         */
        CU_ASSERT_TRUE(framings_all[i]->numbered || framings_all[i]->found_anywhere);
    }
    CU_ASSERT_PTR_NULL(framing_names[i]);
    CU_ASSERT_TRUE(i >= 3);
}

static void test_largest(void)
{
    static const uint8_t functions[] = {1, 2, 3, 4, 5, 6, 15, 16};
    for (size_t i = 0; framings_all[i]; i++) {
        for (size_t k = 0; k < ARRAY_LENGTH(functions); k++) {
            uint8_t frame[FRAMING_LARGEST + 16];
            struct modbus_request request = largest(functions[k]);
            memset(frame, 0xEE, sizeof(frame));
            size_t length = framings_all[i]->encode(&request, 0xFFFF, frame);
            CU_ASSERT_TRUE(length > framings_all[i]->header && length <= framings_all[i]->largest);
            CU_ASSERT_EQUAL(frame[length], 0xEE); /* nothing was written after it */
            CU_ASSERT_TRUE(framing_reply_bytes(framings_all[i], &request) <=
                           framings_all[i]->largest);
        }
    }
}

/* The reply to a write of one value is the same as the request: it is found, and only whole. */
static void test_confirmation(void)
{
    static const uint16_t one[] = {1};
    const struct modbus_request writing = {6, 17, false, 5, 1, one};
    const struct modbus_request other = {6, 18, false, 5, 1, one};
    for (size_t i = 0; framings_all[i]; i++) {
        uint8_t frame[FRAMING_LARGEST];
        size_t length = framings_all[i]->encode(&writing, 7, frame);
        framed_test_pieces(framings_all[i], &writing, frame, length);
        CU_ASSERT_EQUAL(framed_judge(framings_all[i], &other, 7, frame, length),
                        VERDICT_WRONG_UNIT);
        if (framings_all[i]->found_anywhere)
            framed_test_noise(framings_all[i], &writing, frame[0], frame, length);
    }
}

TEST_MAIN("framing", {"the table is complete", test_table},
          {"the largest requests and replies have room", test_largest},
          {"a confirmation is found whole, and for its unit alone", test_confirmation})
