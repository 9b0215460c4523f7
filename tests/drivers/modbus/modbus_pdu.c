/* Modbus requests and replies as bytes. The vectors are the examples of the specification. */
#include "drivers/modbus/modbus_pdu.h"

#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

static const uint16_t coil_on[] = {1};
static const uint16_t three[] = {3};
static const uint16_t ten_coils[] = {1, 0, 1, 1, 0, 0, 1, 1, 1, 0};
static const uint16_t ten_and_258[] = {10, 258};

static const struct vector {
    struct modbus_request request;
    uint8_t pdu[10]; /* of the request */
    size_t pdu_length;
    uint8_t reply[10];
    size_t reply_length;
    uint16_t first, last; /* values of a read */
} vectors[] = {
    /* 6.1: coils 20 to 38 */
    {{1, 1, true, 19, 19, NULL}, {1, 0, 0x13, 0, 0x13}, 5, {1, 3, 0xCD, 0x6B, 0x05}, 5, 1, 1},
    /* 6.2: discrete inputs 197 to 218 */
    {{2, 1, true, 196, 22, NULL}, {2, 0, 0xC4, 0, 0x16}, 5, {2, 3, 0xAC, 0xDB, 0x35}, 5, 0, 1},
    /* 6.3: holding registers 108 to 110 */
    {{3, 17, true, 107, 3, NULL},
     {3, 0, 0x6B, 0, 3},
     5,
     {3, 6, 0x02, 0x2B, 0, 0, 0, 0x64},
     8,
     555,
     100},
    /* 6.4: input register 9 */
    {{4, 247, true, 8, 1, NULL}, {4, 0, 8, 0, 1}, 5, {4, 2, 0, 0x0A}, 4, 10, 10},
    /* 6.5: coil 173 on */
    {{5, 1, false, 172, 1, coil_on}, {5, 0, 0xAC, 0xFF, 0}, 5, {5, 0, 0xAC, 0xFF, 0}, 5, 0, 0},
    /* 6.6: register 2 to 3 */
    {{6, 1, false, 1, 1, three}, {6, 0, 1, 0, 3}, 5, {6, 0, 1, 0, 3}, 5, 0, 0},
    /* 6.11: ten coils from 20 */
    {{15, 1, false, 19, 10, ten_coils},
     {15, 0, 0x13, 0, 0x0A, 2, 0xCD, 0x01},
     8,
     {15, 0, 0x13, 0, 0x0A},
     5,
     0,
     0},
    /* 6.12: registers 2 and 3 to 10 and 258 */
    {{16, 1, false, 1, 2, ten_and_258},
     {16, 0, 1, 0, 2, 4, 0, 0x0A, 0x01, 0x02},
     10,
     {16, 0, 1, 0, 2},
     5,
     0,
     0},
};

/* Checks a copy of exactly this size, so that reading beyond it is seen. */
static enum verdict judge(const struct modbus_request *request, const uint8_t *pdu, size_t length,
                          struct pdu_reply *ret_reply)
{
    uint8_t *exact = malloc(length);
    memcpy(exact, pdu, length);
    memset(ret_reply, 0xEE, sizeof(*ret_reply));
    enum verdict verdict = pdu_check(request, exact, length, ret_reply);
    free(exact);
    return verdict;
}

static void test_requests(void)
{
    for (size_t i = 0; i < ARRAY_LENGTH(vectors); i++) {
        uint8_t pdu[PDU_MAX];
        CU_ASSERT_EQUAL(pdu_encode(&vectors[i].request, pdu), vectors[i].pdu_length);
        CU_ASSERT_EQUAL(memcmp(pdu, vectors[i].pdu, vectors[i].pdu_length), 0);
    }
}

static void test_replies(void)
{
    for (size_t i = 0; i < ARRAY_LENGTH(vectors); i++) {
        const struct vector *vector = &vectors[i];
        const struct modbus_request *request = &vector->request;
        struct pdu_reply reply;
        CU_ASSERT_EQUAL(pdu_reply_bytes(request), vector->reply_length);
        CU_ASSERT_EQUAL(judge(request, vector->reply, vector->reply_length, &reply), VERDICT_GOOD);
        CU_ASSERT_EQUAL(reply.exception, 0);
        CU_ASSERT_EQUAL(pdu_reply_repeats_request(request),
                        vector->pdu_length == vector->reply_length &&
                            memcmp(vector->pdu, vector->reply, vector->pdu_length) == 0);
        if (modbus_request_is_write(request))
            continue;
        CU_ASSERT_EQUAL(pdu_value(request, reply.data, 0), vector->first);
        CU_ASSERT_EQUAL(pdu_value(request, reply.data, request->count - 1U), vector->last);
    }
}

static void test_bit_values(void)
{
    static const uint8_t data[] = {0xCD, 0x6B, 0x05}; /* 6.1: coils 27-20, 35-28, 38-36 */
    static const uint8_t expected[] = {1, 0, 1, 1, 0, 0, 1, 1, 1, 1, 0, 1, 0, 1, 1, 0, 1, 0, 1};
    for (size_t i = 0; i < sizeof(expected); i++)
        CU_ASSERT_EQUAL(pdu_value(&vectors[0].request, data, i), expected[i]);
}

static void test_exceptions(void)
{
    for (size_t i = 0; i < ARRAY_LENGTH(vectors); i++) {
        const struct modbus_request *request = &vectors[i].request;
        for (unsigned code = 0; code < 256; code++) {
            uint8_t pdu[3] = {(uint8_t)(request->function | 0x80), (uint8_t)code, 0};
            struct pdu_reply reply;
            enum verdict verdict = judge(request, pdu, 2, &reply);
            CU_ASSERT_EQUAL(verdict, code ? VERDICT_EXCEPTION : VERDICT_WRONG_LENGTH);
            CU_ASSERT_EQUAL(reply.exception, code ? code : 0xEE); /* untouched */
            CU_ASSERT_EQUAL(judge(request, pdu, 3, &reply), VERDICT_WRONG_LENGTH);
            CU_ASSERT_EQUAL(judge(request, pdu, 1, &reply), VERDICT_WRONG_LENGTH);
        }
    }
}

/* Any other byte at any place of a reply, but for values. */
static void test_mutations(void)
{
    for (size_t i = 0; i < ARRAY_LENGTH(vectors); i++) {
        const struct vector *vector = &vectors[i];
        bool writes = modbus_request_is_write(&vector->request);
        size_t fixed = writes ? vector->reply_length : 2;
        for (size_t at = 0; at < fixed; at++) {
            for (unsigned value = 0; value < 256; value++) {
                uint8_t pdu[10];
                struct pdu_reply reply;
                memcpy(pdu, vector->reply, sizeof(pdu));
                if (pdu[at] == value)
                    continue;
                pdu[at] = (uint8_t)value;
                enum verdict expected = writes ? VERDICT_WRONG_WRITE : VERDICT_WRONG_LENGTH;
                if (at == 0)
                    expected = value == (vector->request.function | 0x80U)
                                   ? VERDICT_WRONG_LENGTH /* a refusal as long as values */
                                   : VERDICT_WRONG_FUNCTION;
                CU_ASSERT_EQUAL(judge(&vector->request, pdu, vector->reply_length, &reply),
                                expected);
            }
        }
    }
}

static void test_lengths(void)
{
    for (size_t i = 0; i < ARRAY_LENGTH(vectors); i++) {
        const struct modbus_request *request = &vectors[i].request;
        uint8_t pdu[PDU_MAX] = {0};
        memcpy(pdu, vectors[i].reply, sizeof(vectors[i].reply));
        for (size_t length = 1; length <= PDU_MAX; length++) {
            struct pdu_reply reply;
            enum verdict expected =
                length == vectors[i].reply_length ? VERDICT_GOOD : VERDICT_WRONG_LENGTH;
            CU_ASSERT_EQUAL(judge(request, pdu, length, &reply), expected);
        }
    }
    static const struct {
        struct modbus_request request;
        size_t bytes;
    } cases[] = {{{1, 1, true, 0, 2000, NULL}, 250},
                 {{1, 1, true, 0, 9, NULL}, 2},
                 {{4, 1, true, 0, 125, NULL}, 250},
                 {{16, 1, true, 0, 2, ten_and_258}, 0}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        CU_ASSERT_EQUAL(pdu_data_bytes(&cases[i].request), cases[i].bytes);
}

static void test_largest(void)
{
    static const uint16_t on[1968] = {[0 ... 1967] = 1};
    uint8_t pdu[PDU_MAX];
    struct modbus_request request = {.function = 15, .unit = 1, .count = 1968, .values = on};
    CU_ASSERT_EQUAL(pdu_encode(&request, pdu), 252);
    CU_ASSERT_EQUAL(pdu[251], 0xFF);
    request = (struct modbus_request){.function = 16, .unit = 1, .count = 123, .values = on};
    CU_ASSERT_EQUAL(pdu_encode(&request, pdu), 252);
    CU_ASSERT_EQUAL(pdu[251], 1);
    static const uint16_t off[] = {0};
    request = (struct modbus_request){.function = 5, .unit = 1, .count = 1, .values = off};
    CU_ASSERT_EQUAL(pdu_encode(&request, pdu), 5);
    CU_ASSERT_EQUAL(pdu[3], 0);
}

TEST_MAIN("modbus_pdu", {"requests are the bytes of the specification", test_requests},
          {"good replies give their values", test_replies},
          {"bits come out in their order", test_bit_values},
          {"every exception is known, and there is no exception 0", test_exceptions},
          {"a reply with any wrong byte is not accepted", test_mutations},
          {"a reply of another length is not accepted", test_lengths},
          {"the largest writes fit, and off is zero", test_largest})
