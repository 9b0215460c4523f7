/* Framing "ascii". */
#include "tests/support/framed.h"
#include "tests/support/test.h"

#include <string.h>

static const struct modbus_request reading = {3, 17, true, 107, 3, NULL};
/* 0x11 + 3 + 6 + 2 + 0x2B + 0x64 = 0xAB; the checksum makes it zero */
static const char good[] = ":110306022B0000006455\r\n";

static enum verdict judge(const char *frame)
{
    return framed_judge(framed("ascii"), &reading, 0, frame, strlen(frame));
}

static void test_request(void)
{
    static const char expected[] = ":1103006B00037E\r\n"; /* known from other implementations */
    static const uint16_t values[2] = {10, 258};
    static const struct modbus_request writing = {16, 1, false, 1, 2, values};
    static const char writes[] = ":01100001000204000A0102DB\r\n";
    uint8_t frame[FRAMING_LARGEST];
    CU_ASSERT_EQUAL(framed("ascii")->encode(&reading, 99, frame), strlen(expected));
    CU_ASSERT_EQUAL(memcmp(frame, expected, strlen(expected)), 0);
    CU_ASSERT_EQUAL(framed("ascii")->encode(&writing, 0, frame), strlen(writes));
    CU_ASSERT_EQUAL(memcmp(frame, writes, strlen(writes)), 0);
}

static void test_reply(void)
{
    struct pdu_reply reply;
    size_t end;
    CU_ASSERT_EQUAL(framed_find(framed("ascii"), &reading, 0, good, strlen(good), &end, &reply),
                    VERDICT_GOOD);
    CU_ASSERT_EQUAL(pdu_value(&reading, reply.data, 0), 555);
    CU_ASSERT_EQUAL(pdu_value(&reading, reply.data, 2), 100);
    framed_test_pieces(framed("ascii"), &reading, good, strlen(good));
    framed_test_noise(framed("ascii"), &reading, ':', good, strlen(good));
    static const char refusal[] = ":1183026A\r\n";
    CU_ASSERT_EQUAL(
        framed_find(framed("ascii"), &reading, 0, refusal, strlen(refusal), &end, &reply),
        VERDICT_EXCEPTION);
    CU_ASSERT_EQUAL(reply.exception, 2);
    CU_ASSERT_EQUAL(judge(":110306022b0000006455\r\n"), VERDICT_GOOD); /* small letters */
}

static void test_largest(void)
{
    static const struct modbus_request most = {4, 1, true, 0, 125, NULL};
    static const uint16_t ones[123] = {[0 ... 122] = 1};
    static const struct modbus_request writing = {16, 1, false, 0, 123, ones};
    uint8_t frame[FRAMING_LARGEST];
    CU_ASSERT_EQUAL(framing_reply_bytes(framed("ascii"), &most), 1 + 2 * (3 + 250 + 1) + 2);
    CU_ASSERT_EQUAL(framed("ascii")->encode(&writing, 0, frame), 1 + 2 * (1 + 252 + 1) + 2);
}

/* One character replaced by any other is always found. */
static void test_mutations(void)
{
    for (size_t at = 0; at < strlen(good); at++) {
        for (unsigned value = 0; value < 256; value++) {
            char mutated[sizeof(good)];
            memcpy(mutated, good, sizeof(good));
            if ((uint8_t)mutated[at] == value || (value | 32) == (uint8_t)(mutated[at] | 32))
                continue; /* the same digit */
            mutated[at] = (char)value;
            enum verdict verdict =
                framed_judge(framed("ascii"), &reading, 0, mutated, strlen(good));
            CU_ASSERT_NOT_EQUAL(verdict, VERDICT_GOOD);
            CU_ASSERT_NOT_EQUAL(verdict, VERDICT_EXCEPTION);
        }
    }
}

static void test_strangers(void)
{
    CU_ASSERT_EQUAL(judge(":120306022B0000006454\r\n"), VERDICT_WRONG_UNIT);
    CU_ASSERT_EQUAL(judge(":110406022B0000006454\r\n"), VERDICT_WRONG_FUNCTION);
    CU_ASSERT_EQUAL(judge(":11030401020304DE\r\n"), VERDICT_WRONG_LENGTH);
    CU_ASSERT_EQUAL(judge(":110306022B0000006456\r\n"), VERDICT_DAMAGED); /* checksum */
    CU_ASSERT_EQUAL(judge(":110306022B00000064\r\n"), VERDICT_DAMAGED);   /* cut short */
    CU_ASSERT_EQUAL(judge(":110306022B0000006455\n\r"), VERDICT_DAMAGED); /* no end */
    CU_ASSERT_EQUAL(judge("#01\r\n"), VERDICT_NOT_MODBUS);
    CU_ASSERT_EQUAL(judge(":z"), VERDICT_NOT_MODBUS);
    CU_ASSERT_EQUAL(judge(":110\r"), VERDICT_NOT_MODBUS);
    CU_ASSERT_EQUAL(judge(":1103\r"), VERDICT_DAMAGED);
}

/* A frame that was cut short does not hide the one that follows it. */
static void test_begins_again(void)
{
    CU_ASSERT_EQUAL(judge(":110306:110306022B0000006455\r\n"), VERDICT_GOOD);
    CU_ASSERT_EQUAL(judge(":1103:1103060"), VERDICT_INCOMPLETE);
    CU_ASSERT_EQUAL(judge(":11030\x7F"), VERDICT_NOT_MODBUS); /* noise, and no answer of a unit */
}

TEST_MAIN("framing_ascii", {"requests are the characters of the standard", test_request},
          {"replies and refusals are found, also in pieces and in noise", test_reply},
          {"the largest frames have room", test_largest},
          {"a reply with one wrong character is not accepted", test_mutations},
          {"other frames and broken ones are told apart", test_strangers},
          {"a colon begins again", test_begins_again})
