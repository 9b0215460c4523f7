/* Framing "tcp". Example: the reading of 6.3 of the application protocol in its header. */
#include "tests/support/framed.h"
#include "tests/support/test.h"

#include <string.h>

static const struct modbus_request reading = {3, 17, true, 107, 3, NULL};
static const uint8_t good[] = {0, 7, 0, 0, 0, 9, 17, 3, 6, 0x02, 0x2B, 0, 0, 0, 0x64};

static void test_request(void)
{
    static const uint8_t expected[] = {0xAB, 0xCD, 0, 0, 0, 6, 17, 3, 0, 0x6B, 0, 3};
    static const uint16_t values[] = {10, 258};
    static const struct modbus_request writing = {16, 1, false, 1, 2, values};
    static const uint8_t writes[] = {0, 1, 0, 0, 0, 11, 1, 16, 0, 1, 0, 2, 4, 0, 10, 1, 2};
    uint8_t frame[FRAMING_LARGEST];
    CU_ASSERT_EQUAL(framed("tcp")->encode(&reading, 0xABCD, frame), sizeof(expected));
    CU_ASSERT_EQUAL(memcmp(frame, expected, sizeof(expected)), 0);
    CU_ASSERT_EQUAL(framed("tcp")->encode(&writing, 1, frame), sizeof(writes));
    CU_ASSERT_EQUAL(memcmp(frame, writes, sizeof(writes)), 0);
}

static void test_reply(void)
{
    struct pdu_reply reply;
    size_t end;
    CU_ASSERT_EQUAL(framed_find(framed("tcp"), &reading, 7, good, sizeof(good), &end, &reply),
                    VERDICT_GOOD);
    CU_ASSERT_EQUAL(pdu_value(&reading, reply.data, 0), 555);
    CU_ASSERT_EQUAL(pdu_value(&reading, reply.data, 2), 100);
    framed_test_pieces(framed("tcp"), &reading, good, sizeof(good));
    static const uint8_t refusal[] = {0, 7, 0, 0, 0, 3, 17, 0x83, 2};
    CU_ASSERT_EQUAL(framed_find(framed("tcp"), &reading, 7, refusal, 9, &end, &reply),
                    VERDICT_EXCEPTION);
    CU_ASSERT_EQUAL(reply.exception, 2);
    CU_ASSERT_EQUAL(end, 9);
}

static enum verdict expected_for(size_t at, unsigned value)
{
    static const enum verdict by_byte[9] = {
        VERDICT_WRONG_TRANSACTION, VERDICT_WRONG_TRANSACTION, VERDICT_NOT_MODBUS,
        VERDICT_NOT_MODBUS,        VERDICT_NOT_MODBUS,        VERDICT_WRONG_LENGTH,
        VERDICT_WRONG_UNIT,        VERDICT_WRONG_FUNCTION,    VERDICT_WRONG_LENGTH};
    if (at == 7 && value == 0x83) /* a refusal as long as values */
        return VERDICT_WRONG_LENGTH;
    if (at == 5 && value < 2) /* no frame is without unit and function */
        return VERDICT_NOT_MODBUS;
    if (at == 5 && value > 9) /* announces more than came */
        return value > 254 ? VERDICT_NOT_MODBUS : VERDICT_INCOMPLETE;
    return by_byte[at]; /* at 4: no frame has more than 255 bytes */
}

static void test_mutations(void)
{
    for (size_t at = 0; at < 9; at++) {
        for (unsigned value = 0; value < 256; value++) {
            uint8_t mutated[sizeof(good)];
            memcpy(mutated, good, sizeof(good));
            if (mutated[at] == value)
                continue;
            mutated[at] = (uint8_t)value;
            CU_ASSERT_EQUAL(framed_judge(framed("tcp"), &reading, 7, mutated, sizeof(good)),
                            expected_for(at, value));
        }
    }
}

/* Where a frame that answers something else ends is known, so that it can be dropped. */
static void test_other_transaction(void)
{
    uint8_t two[2 * sizeof(good)];
    memcpy(two, good, sizeof(good));
    memcpy(two + sizeof(good), good, sizeof(good));
    struct pdu_reply reply;
    size_t end = 0;
    CU_ASSERT_EQUAL(framed_find(framed("tcp"), &reading, 8, two, sizeof(two), &end, &reply),
                    VERDICT_WRONG_TRANSACTION);
    CU_ASSERT_EQUAL(end, sizeof(good));
}

TEST_MAIN("framing_tcp", {"requests are the bytes of the standard", test_request},
          {"replies and refusals are accepted, also in pieces", test_reply},
          {"a reply with any wrong byte in its header is not accepted", test_mutations},
          {"replies to other requests are passed over", test_other_transaction})
