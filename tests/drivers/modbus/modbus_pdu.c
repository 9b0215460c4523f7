/* Modbus requests and replies as bytes. Vectors named "spec" are examples of the specification. */
#include "drivers/modbus/modbus_pdu.h"

#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

struct vector {
    struct driver_request request;
    uint8_t pdu[5]; /* of the request */
    uint8_t reply[16];
    size_t reply_length;
    uint16_t first, last; /* values */
};

static const struct vector vectors[] = {
    /* spec 6.1: coils 20 to 38 */
    {{1, DRIVER_COIL, 19, 19}, {1, 0, 0x13, 0, 0x13}, {1, 3, 0xCD, 0x6B, 0x05}, 5, 1, 1},
    /* spec 6.2: discrete inputs 197 to 218 */
    {{1, DRIVER_DISCRETE, 196, 22}, {2, 0, 0xC4, 0, 0x16}, {2, 3, 0xAC, 0xDB, 0x35}, 5, 0, 1},
    /* spec 6.3: holding registers 108 to 110 */
    {{17, DRIVER_HOLDING, 107, 3},
     {3, 0, 0x6B, 0, 3},
     {3, 6, 0x02, 0x2B, 0, 0, 0, 0x64},
     8,
     555,
     100},
    /* spec 6.4: input register 9 */
    {{247, DRIVER_INPUT, 8, 1}, {4, 0, 8, 0, 1}, {4, 2, 0, 0x0A}, 4, 10, 10},
};
#define N_VECTORS (sizeof(vectors) / sizeof(vectors[0]))

static size_t tcp_frame(uint8_t *frame, uint16_t transaction, uint8_t unit, const uint8_t *pdu,
                        size_t length)
{
    uint8_t header[7] = {
        (uint8_t)(transaction >> 8), (uint8_t)transaction, 0, 0, 0, (uint8_t)(length + 1), unit};
    memcpy(frame, header, 7);
    memcpy(frame + 7, pdu, length);
    return 7 + length;
}

static size_t rtu_frame(uint8_t *frame, uint8_t unit, const uint8_t *pdu, size_t length)
{
    frame[0] = unit;
    memcpy(frame + 1, pdu, length);
    uint16_t crc = rtu_crc(frame, length + 1);
    frame[length + 1] = (uint8_t)crc;
    frame[length + 2] = (uint8_t)(crc >> 8);
    return length + 3;
}

/* Checks a copy of exactly this size, so that reading beyond it is seen. */
static enum verdict tcp_judge(const struct driver_request *request, uint16_t transaction,
                              const uint8_t *bytes, size_t length, uint8_t *ret_exception)
{
    uint8_t *exact = malloc(length ? length : 1);
    memcpy(exact, bytes, length);
    size_t frame = 0;
    struct pdu_reply reply = {0};
    enum verdict verdict = tcp_check(request, transaction, exact, length, &frame, &reply);
    *ret_exception = reply.exception;
    free(exact);
    return verdict;
}

static enum verdict rtu_judge(const struct driver_request *request, const uint8_t *bytes,
                              size_t length, uint8_t *ret_exception)
{
    uint8_t *exact = malloc(length ? length : 1);
    memcpy(exact, bytes, length);
    size_t end = 0;
    struct pdu_reply reply = {0};
    enum verdict verdict = rtu_find(request, exact, length, &end, &reply);
    *ret_exception = reply.exception;
    free(exact);
    return verdict;
}

static void test_requests(void)
{
    for (size_t i = 0; i < N_VECTORS; i++) {
        const struct vector *vector = &vectors[i];
        uint8_t tcp[TCP_REQUEST_BYTES], rtu[RTU_REQUEST_BYTES], expected[16];
        tcp_encode(&vector->request, 0xABCD, tcp);
        CU_ASSERT_EQUAL(tcp_frame(expected, 0xABCD, vector->request.unit, vector->pdu, 5), 12);
        CU_ASSERT_EQUAL(memcmp(tcp, expected, 12), 0);
        rtu_encode(&vector->request, rtu);
        CU_ASSERT_EQUAL(rtu_frame(expected, vector->request.unit, vector->pdu, 5), 8);
        CU_ASSERT_EQUAL(memcmp(rtu, expected, 8), 0);
    }
}

static void test_checksum(void)
{
    static const uint8_t first[] = {0x01, 0x03, 0x00, 0x00, 0x00, 0x0A};
    static const uint8_t second[] = {0x11, 0x03, 0x00, 0x6B, 0x00, 0x03};
    static const uint8_t third[] = {0x02, 0x07}; /* serial line specification, figure in 6.2.2 */
    CU_ASSERT_EQUAL(rtu_crc(first, sizeof(first)), 0xCDC5);
    CU_ASSERT_EQUAL(rtu_crc(second, sizeof(second)), 0x8776);
    CU_ASSERT_EQUAL(rtu_crc(third, sizeof(third)), 0x1241);
}

static void test_replies(void)
{
    for (size_t i = 0; i < N_VECTORS; i++) {
        const struct vector *vector = &vectors[i];
        const struct driver_request *request = &vector->request;
        uint8_t frame[32];
        size_t length = tcp_frame(frame, 7, request->unit, vector->reply, vector->reply_length);
        size_t end = 0;
        struct pdu_reply reply = {0};
        CU_ASSERT_EQUAL(tcp_check(request, 7, frame, length, &end, &reply), VERDICT_GOOD);
        CU_ASSERT_EQUAL(end, length);
        CU_ASSERT_EQUAL(pdu_value(request, reply.data, 0), vector->first);
        CU_ASSERT_EQUAL(pdu_value(request, reply.data, request->count - 1U), vector->last);
        length = rtu_frame(frame, request->unit, vector->reply, vector->reply_length);
        CU_ASSERT_EQUAL(length, rtu_reply_bytes(request));
        CU_ASSERT_EQUAL(rtu_find(request, frame, length, &end, &reply), VERDICT_GOOD);
        CU_ASSERT_EQUAL(end, length);
        CU_ASSERT_EQUAL(pdu_value(request, reply.data, 0), vector->first);
        CU_ASSERT_EQUAL(pdu_value(request, reply.data, request->count - 1U), vector->last);
    }
}

static void test_bit_values(void)
{
    static const uint8_t data[] = {0xCD, 0x6B, 0x05}; /* spec 6.1: coils 27-20, 35-28, 38-36 */
    static const uint8_t expected[] = {1, 0, 1, 1, 0, 0, 1, 1, 1, 1, 0, 1, 0, 1, 1, 0, 1, 0, 1};
    for (size_t i = 0; i < sizeof(expected); i++)
        CU_ASSERT_EQUAL(pdu_value(&vectors[0].request, data, i), expected[i]);
}

static void test_exceptions(void)
{
    for (size_t i = 0; i < N_VECTORS; i++) {
        const struct driver_request *request = &vectors[i].request;
        for (unsigned code = 0; code < 256; code++) {
            uint8_t pdu[2] = {(uint8_t)(vectors[i].pdu[0] | 0x80), (uint8_t)code};
            uint8_t frame[16], exception = 0;
            enum verdict expected = code ? VERDICT_EXCEPTION : VERDICT_WRONG_LENGTH;
            size_t length = tcp_frame(frame, 7, request->unit, pdu, 2);
            CU_ASSERT_EQUAL(tcp_judge(request, 7, frame, length, &exception), expected);
            CU_ASSERT_EQUAL(exception, code);
            exception = 0;
            length = rtu_frame(frame, request->unit, pdu, 2);
            CU_ASSERT_EQUAL(rtu_judge(request, frame, length, &exception), expected);
            CU_ASSERT_EQUAL(exception, code);
        }
    }
}

static void test_tcp_mutations(void)
{
    static const enum verdict by_byte[9] = {
        VERDICT_WRONG_TRANSACTION, VERDICT_WRONG_TRANSACTION, VERDICT_NOT_MODBUS,
        VERDICT_NOT_MODBUS,        VERDICT_NOT_MODBUS,        VERDICT_WRONG_LENGTH,
        VERDICT_WRONG_UNIT,        VERDICT_WRONG_FUNCTION,    VERDICT_WRONG_LENGTH};
    const struct vector *vector = &vectors[2];
    uint8_t frame[32], exception = 0;
    size_t length = tcp_frame(frame, 0x1234, vector->request.unit, vector->reply, 8);
    for (size_t at = 0; at < 9; at++) {
        for (unsigned value = 0; value < 256; value++) {
            uint8_t mutated[32];
            memcpy(mutated, frame, length);
            if (mutated[at] == value)
                continue;
            mutated[at] = (uint8_t)value;
            enum verdict verdict = tcp_judge(&vector->request, 0x1234, mutated, length, &exception);
            if (at == 7 && value == 0x83) /* a refusal as long as values */
                CU_ASSERT_EQUAL(verdict, VERDICT_WRONG_LENGTH)
            else if (at == 4 && value == 1) /* a frame of more than 255 bytes is no frame ... */
                CU_ASSERT_EQUAL(verdict, VERDICT_NOT_MODBUS)
            else if (at == 5 && value < 2) /* ... nor is one without unit and function */
                CU_ASSERT_EQUAL(verdict, VERDICT_NOT_MODBUS)
            else if (at == 5 && value > 9) /* announces more than came */
                CU_ASSERT_EQUAL(verdict, value > 254 ? VERDICT_NOT_MODBUS : VERDICT_INCOMPLETE)
            else
                CU_ASSERT_EQUAL(verdict, by_byte[at]);
        }
    }
}

/* One flipped bit, or two, are always found by the checksum; header changes even before. */
static void test_rtu_mutations(void)
{
    const struct vector *vector = &vectors[2];
    uint8_t frame[32], exception = 0;
    size_t length = rtu_frame(frame, vector->request.unit, vector->reply, 8);
    for (size_t first = 0; first < 8 * length; first++) {
        for (size_t second = first; second < 8 * length; second++) {
            uint8_t mutated[32];
            memcpy(mutated, frame, length);
            mutated[first / 8] ^= (uint8_t)(1 << first % 8);
            if (second != first)
                mutated[second / 8] ^= (uint8_t)(1 << second % 8);
            enum verdict verdict = rtu_judge(&vector->request, mutated, length, &exception);
            CU_ASSERT_NOT_EQUAL(verdict, VERDICT_GOOD);
            CU_ASSERT_NOT_EQUAL(verdict, VERDICT_EXCEPTION);
        }
    }
    frame[length - 1] ^= 1;
    CU_ASSERT_EQUAL(rtu_judge(&vector->request, frame, length, &exception), VERDICT_DAMAGED);
}

static void test_rtu_strangers(void)
{
    const struct vector *vector = &vectors[2];
    uint8_t frame[32], exception = 0;
    size_t length = rtu_frame(frame, 18, vector->reply, 8); /* unit 17 was asked */
    CU_ASSERT_EQUAL(rtu_judge(&vector->request, frame, length, &exception), VERDICT_WRONG_UNIT);
    uint8_t other_function[8];
    memcpy(other_function, vector->reply, 8);
    other_function[0] = 4;
    length = rtu_frame(frame, 17, other_function, 8);
    CU_ASSERT_EQUAL(rtu_judge(&vector->request, frame, length, &exception), VERDICT_WRONG_FUNCTION);
    static const uint8_t two_registers[] = {3, 4, 1, 2, 3, 4};
    length = rtu_frame(frame, 17, two_registers, 6);
    CU_ASSERT_EQUAL(rtu_judge(&vector->request, frame, length, &exception), VERDICT_WRONG_LENGTH);
}

static void test_pieces(void)
{
    const struct vector *vector = &vectors[2];
    uint8_t tcp[32], rtu[32], exception = 0;
    size_t tcp_length = tcp_frame(tcp, 7, 17, vector->reply, 8);
    size_t rtu_length = rtu_frame(rtu, 17, vector->reply, 8);
    for (size_t length = 0; length < tcp_length; length++)
        CU_ASSERT_EQUAL(tcp_judge(&vector->request, 7, tcp, length, &exception),
                        VERDICT_INCOMPLETE);
    for (size_t length = 0; length < rtu_length; length++) {
        CU_ASSERT_EQUAL(rtu_judge(&vector->request, rtu, length, &exception), VERDICT_INCOMPLETE);
        size_t missing = rtu_missing(&vector->request, rtu, length);
        CU_ASSERT_TRUE(missing >= 1 && missing <= rtu_length - length);
        CU_ASSERT_TRUE(length < 2 || missing == rtu_length - length); /* the function tells */
    }
}

static void test_noise_before(void)
{
    const struct vector *vector = &vectors[2];
    uint8_t bytes[400];
    unsigned seed = 1;
    for (int round = 0; round < 200; round++) {
        size_t noise = (size_t)(rand_r(&seed) % 300);
        for (size_t i = 0; i < noise; i++)
            bytes[i] = i % 7 ? (uint8_t)rand_r(&seed) : 17; /* many false beginnings */
        size_t length = rtu_frame(bytes + noise, 17, vector->reply, 8);
        bytes[noise + length] = 0x55; /* and some behind it */
        size_t end = 0;
        struct pdu_reply reply = {0};
        CU_ASSERT_EQUAL(rtu_find(&vector->request, bytes, noise + length + 1, &end, &reply),
                        VERDICT_GOOD);
        CU_ASSERT_EQUAL(end, noise + length);
        CU_ASSERT_EQUAL(pdu_value(&vector->request, reply.data, 0), 555);
    }
}

static void test_limits(void)
{
    static const struct {
        struct driver_request request;
        bool valid;
    } cases[] = {
        {{1, DRIVER_HOLDING, 0, 0}, false},     {{1, DRIVER_HOLDING, 0, 1}, true},
        {{1, DRIVER_HOLDING, 0, 125}, true},    {{1, DRIVER_INPUT, 0, 126}, false},
        {{1, DRIVER_COIL, 0, 2000}, true},      {{1, DRIVER_DISCRETE, 0, 2001}, false},
        {{1, DRIVER_HOLDING, 65535, 1}, true},  {{1, DRIVER_HOLDING, 65535, 2}, false},
        {{1, DRIVER_COIL, 63536, 2000}, true},  {{1, DRIVER_COIL, 63537, 2000}, false},
        {{1, DRIVER_HOLDING + 1, 0, 1}, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        CU_ASSERT_EQUAL(pdu_valid(&cases[i].request), cases[i].valid);
    CU_ASSERT_EQUAL(pdu_data_bytes(&(struct driver_request){1, DRIVER_COIL, 0, 2000}), 250);
    CU_ASSERT_EQUAL(pdu_data_bytes(&(struct driver_request){1, DRIVER_COIL, 0, 9}), 2);
    CU_ASSERT_EQUAL(pdu_data_bytes(&(struct driver_request){1, DRIVER_INPUT, 0, 125}), 250);
}

TEST_MAIN("modbus_pdu", {"requests are the bytes of the specification", test_requests},
          {"the checksum is the one of the serial line", test_checksum},
          {"good replies give their values", test_replies},
          {"bits come out in their order", test_bit_values},
          {"every exception is told, and there is no exception 0", test_exceptions},
          {"TCP: a reply with any wrong byte in its header is not accepted", test_tcp_mutations},
          {"RTU: a reply with one or two flipped bits is not accepted", test_rtu_mutations},
          {"RTU: a whole frame of another unit, function or length is not accepted",
           test_rtu_strangers},
          {"a reply that comes in pieces is waited for", test_pieces},
          {"RTU: noise before the reply does no harm", test_noise_before},
          {"requests beyond the limits of the protocol are known", test_limits})
