/* Modbus requests and replies as bytes; every reply is checked against its request. Pure. */
#include "drivers/modbus/modbus_pdu.h"

#include <assert.h>
#include <string.h>

#define COIL_ON 0xFF00      /* function 5 (section 6.5) */
#define WRITE_REPLY_BYTES 5 /* function, address, and the value or the count */

const char *verdict_text(enum verdict verdict)
{
    switch (verdict) {
    case VERDICT_GOOD:
        return "the reply is good";
    case VERDICT_EXCEPTION:
        return "the unit refused";
    case VERDICT_INCOMPLETE:
        return "the reply broke off";
    case VERDICT_NOT_MODBUS:
        return "what came is not Modbus";
    case VERDICT_WRONG_TRANSACTION:
        return "only replies to other requests came";
    case VERDICT_WRONG_UNIT:
        return "the reply came from another unit";
    case VERDICT_WRONG_FUNCTION:
        return "the reply is of another function";
    case VERDICT_WRONG_LENGTH:
        return "the reply is not as long as asked for";
    case VERDICT_WRONG_WRITE:
        return "the reply confirms another write";
    case VERDICT_DAMAGED:
        return "the reply has a wrong checksum";
    }
    return "unknown";
}

uint16_t pdu_get_u16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

void pdu_put_u16(uint8_t *bytes, uint16_t value)
{
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

/* Bytes that COUNT values of the request take. */
static size_t value_bytes(const struct modbus_request *request)
{
    return modbus_request_is_bits(request) ? (request->count + 7U) / 8 : 2U * request->count;
}

size_t pdu_data_bytes(const struct modbus_request *request)
{
    return modbus_request_is_write(request) ? 0 : value_bytes(request);
}

uint16_t pdu_value(const struct modbus_request *request, const uint8_t *data, size_t i)
{
    if (modbus_request_is_bits(request))
        return data[i / 8] >> (i % 8) & 1;
    return pdu_get_u16(data + 2 * i);
}

/* The value of a write of one, as it is in the request and again in the reply. */
static uint16_t single_value(const struct modbus_request *request)
{
    if (request->function == MODBUS_WRITE_COIL)
        return request->values[0] ? COIL_ON : 0;
    return request->values[0];
}

bool pdu_reply_repeats_request(const struct modbus_request *request)
{
    return request->function == MODBUS_WRITE_COIL || request->function == MODBUS_WRITE_REGISTER;
}

/* Byte count and values of functions 15 and 16. Returns how many bytes that are. */
static size_t encode_values(const struct modbus_request *request, uint8_t *out)
{
    size_t bytes = value_bytes(request);
    memset(out, 0, 1 + bytes);
    out[0] = (uint8_t)bytes;
    for (size_t i = 0; i < request->count; i++) {
        if (!modbus_request_is_bits(request))
            pdu_put_u16(out + 1 + 2 * i, request->values[i]);
        else if (request->values[i])
            out[1 + i / 8] |= (uint8_t)(1 << i % 8);
    }
    return 1 + bytes;
}

size_t pdu_encode(const struct modbus_request *request, uint8_t *pdu)
{
    assert(modbus_request_is_valid(request));
    pdu[0] = request->function;
    pdu_put_u16(pdu + 1, request->address);
    pdu_put_u16(pdu + 3,
                pdu_reply_repeats_request(request) ? single_value(request) : request->count);
    if (pdu_reply_repeats_request(request) || !modbus_request_is_write(request))
        return 5;
    return 5 + encode_values(request, pdu + 5);
}

size_t pdu_reply_bytes(const struct modbus_request *request)
{
    return modbus_request_is_write(request) ? WRITE_REPLY_BYTES : 2 + pdu_data_bytes(request);
}

size_t pdu_expected_bytes(const struct modbus_request *request, uint8_t function)
{
    if (function == request->function)
        return pdu_reply_bytes(request);
    return function == (request->function | PDU_EXCEPTION_FLAG) ? PDU_EXCEPTION_BYTES : 0;
}

/* A write is confirmed with its address, and its value (one) or its count (several). */
static enum verdict check_write(const struct modbus_request *request, const uint8_t *pdu)
{
    uint16_t expected = pdu_reply_repeats_request(request) ? single_value(request) : request->count;
    bool same = pdu_get_u16(pdu + 1) == request->address && pdu_get_u16(pdu + 3) == expected;
    return same ? VERDICT_GOOD : VERDICT_WRONG_WRITE;
}

enum verdict pdu_check(const struct modbus_request *request, const uint8_t *pdu, size_t length,
                       struct pdu_reply *ret_reply)
{
    size_t expected = pdu_expected_bytes(request, pdu[0]);
    if (expected == 0)
        return VERDICT_WRONG_FUNCTION;
    if (length != expected)
        return VERDICT_WRONG_LENGTH;
    if (pdu[0] & PDU_EXCEPTION_FLAG) {
        if (pdu[1] == 0) /* there is no exception 0 (section 7) */
            return VERDICT_WRONG_LENGTH;
        ret_reply->exception = pdu[1];
        return VERDICT_EXCEPTION;
    }
    if (modbus_request_is_write(request)) {
        enum verdict verdict = check_write(request, pdu);
        if (verdict == VERDICT_GOOD)
            ret_reply->exception = 0;
        return verdict;
    }
    if (pdu[1] != length - 2)
        return VERDICT_WRONG_LENGTH;
    ret_reply->exception = 0;
    memcpy(ret_reply->data, pdu + 2, length - 2);
    return VERDICT_GOOD;
}
