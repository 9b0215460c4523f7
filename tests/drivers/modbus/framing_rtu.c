/* Framing "rtu". The checksums are known from the standard and from other implementations. */
#include "tests/support/framed.h"
#include "tests/support/test.h"

#include <string.h>

static const struct modbus_request reading = {3, 17, true, 107, 3, NULL};
static const uint8_t good[] = {17, 3, 6, 0x02, 0x2B, 0, 0, 0, 0x64, 0xC8, 0xBA};

/* Puts the checksum after LENGTH bytes, reckoned bit by bit as appendix B says. */
static size_t seal(uint8_t *frame, size_t length)
{
    unsigned crc = 0xFFFF;
    for (size_t i = 0; i < 8 * length; i++) {
        if (i % 8 == 0)
            crc ^= frame[i / 8];
        crc = crc & 1 ? crc >> 1 ^ 0xA001 : crc >> 1;
    }
    frame[length] = (uint8_t)crc;
    frame[length + 1] = (uint8_t)(crc >> 8);
    return length + 2;
}

static enum verdict judge(const uint8_t *frame, size_t length)
{
    return framed_judge(framed("rtu"), &reading, 0, frame, length);
}

static void test_request(void)
{
    static const uint8_t expected[] = {0x11, 0x03, 0x00, 0x6B, 0x00, 0x03, 0x76, 0x87};
    static const struct modbus_request ten = {3, 1, true, 0, 10, NULL};
    static const uint8_t ten_bytes[] = {1, 3, 0, 0, 0, 0x0A, 0xC5, 0xCD};
    uint8_t frame[FRAMING_LARGEST];
    CU_ASSERT_EQUAL(framed("rtu")->encode(&reading, 99, frame), sizeof(expected));
    CU_ASSERT_EQUAL(memcmp(frame, expected, sizeof(expected)), 0);
    CU_ASSERT_EQUAL(framed("rtu")->encode(&ten, 0, frame), sizeof(ten_bytes));
    CU_ASSERT_EQUAL(memcmp(frame, ten_bytes, sizeof(ten_bytes)), 0);
}

static void test_reply(void)
{
    struct pdu_reply reply;
    size_t end;
    CU_ASSERT_EQUAL(framed_find(framed("rtu"), &reading, 0, good, sizeof(good), &end, &reply),
                    VERDICT_GOOD);
    CU_ASSERT_EQUAL(pdu_value(&reading, reply.data, 0), 555);
    framed_test_pieces(framed("rtu"), &reading, good, sizeof(good));
    framed_test_noise(framed("rtu"), &reading, 17, good, sizeof(good));
    uint8_t refusal[8] = {17, 0x83, 2};
    size_t length = seal(refusal, 3);
    CU_ASSERT_EQUAL(framed_find(framed("rtu"), &reading, 0, refusal, length, &end, &reply),
                    VERDICT_EXCEPTION);
    CU_ASSERT_EQUAL(reply.exception, 2);
    CU_ASSERT_EQUAL(end, 5);
}

static void test_write(void)
{
    static const uint16_t values[] = {1234};
    const struct modbus_request writing = {6, 17, false, 5, 1, values};
    uint8_t frame[FRAMING_LARGEST];
    size_t length = framed("rtu")->encode(&writing, 0, frame);
    framed_test_pieces(framed("rtu"), &writing, frame, length); /* the reply repeats the request */
    frame[5] ^= 1;
    (void)seal(frame, 6);
    CU_ASSERT_EQUAL(framed_judge(framed("rtu"), &writing, 0, frame, length), VERDICT_WRONG_WRITE);
}

/* One flipped bit, or two, are always found by the checksum; header changes even before. */
static void test_mutations(void)
{
    for (size_t first = 0; first < 8 * sizeof(good); first++) {
        for (size_t second = first; second < 8 * sizeof(good); second++) {
            uint8_t mutated[sizeof(good)];
            memcpy(mutated, good, sizeof(good));
            mutated[first / 8] ^= (uint8_t)(1 << first % 8);
            if (second != first)
                mutated[second / 8] ^= (uint8_t)(1 << second % 8);
            enum verdict verdict = judge(mutated, sizeof(good));
            CU_ASSERT_NOT_EQUAL(verdict, VERDICT_GOOD);
            CU_ASSERT_NOT_EQUAL(verdict, VERDICT_EXCEPTION);
        }
    }
    uint8_t damaged[sizeof(good)];
    memcpy(damaged, good, sizeof(good));
    damaged[sizeof(good) - 1] ^= 1;
    CU_ASSERT_EQUAL(judge(damaged, sizeof(good)), VERDICT_DAMAGED);
}

static void test_strangers(void)
{
    uint8_t frame[32];
    memcpy(frame, good, 9);
    frame[0] = 18;
    CU_ASSERT_EQUAL(judge(frame, seal(frame, 9)), VERDICT_WRONG_UNIT);
    frame[0] = 17;
    frame[1] = 4;
    CU_ASSERT_EQUAL(judge(frame, seal(frame, 9)), VERDICT_WRONG_FUNCTION);
    static const uint8_t two_registers[] = {17, 3, 4, 1, 2, 3, 4};
    memcpy(frame, two_registers, sizeof(two_registers));
    CU_ASSERT_EQUAL(judge(frame, seal(frame, sizeof(two_registers))), VERDICT_WRONG_LENGTH);
}

TEST_MAIN("framing_rtu", {"requests are the bytes of the standard", test_request},
          {"replies and refusals are found, also in pieces and in noise", test_reply},
          {"a write is confirmed by itself alone", test_write},
          {"a reply with one or two flipped bits is not accepted", test_mutations},
          {"a whole frame of another unit, function or length is not accepted", test_strangers})
