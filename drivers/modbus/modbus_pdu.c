/* Modbus read requests and replies as bytes; every reply is checked against its request. Pure. */
#include "drivers/modbus/modbus_pdu.h"

#include <assert.h>
#include <string.h>

#define EXCEPTION_FLAG 0x80 /* set in the function code of a refusal (section 7) */
#define MBAP_BYTES 7
#define RTU_EXCEPTION_BYTES 5 /* unit, function, code, checksum */

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
        return "what came is not Modbus TCP";
    case VERDICT_WRONG_TRANSACTION:
        return "only replies to other requests came";
    case VERDICT_WRONG_UNIT:
        return "the reply came from another unit";
    case VERDICT_WRONG_FUNCTION:
        return "the reply is of another function";
    case VERDICT_WRONG_LENGTH:
        return "the reply is not as long as asked for";
    case VERDICT_DAMAGED:
        return "the reply has a wrong checksum";
    }
    return "unknown";
}

uint8_t pdu_function(enum driver_table table)
{
    static const uint8_t functions[] = {
        [DRIVER_COIL] = 1, [DRIVER_DISCRETE] = 2, [DRIVER_INPUT] = 4, [DRIVER_HOLDING] = 3};
    return functions[table];
}

bool pdu_is_bits(uint8_t table)
{
    return table == DRIVER_COIL || table == DRIVER_DISCRETE;
}

bool pdu_valid(const struct driver_request *request)
{
    if (request->table > DRIVER_HOLDING || request->count == 0)
        return false;
    if (request->count > (pdu_is_bits(request->table) ? PDU_MAX_BITS : PDU_MAX_REGISTERS))
        return false;
    return request->address + request->count <= 65536;
}

size_t pdu_data_bytes(const struct driver_request *request)
{
    return pdu_is_bits(request->table) ? (request->count + 7U) / 8 : 2U * request->count;
}

static uint16_t get_u16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static void put_u16(uint8_t *bytes, uint16_t value)
{
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

uint16_t pdu_value(const struct driver_request *request, const uint8_t *data, size_t i)
{
    if (pdu_is_bits(request->table))
        return data[i / 8] >> (i % 8) & 1;
    return get_u16(data + 2 * i);
}

/* Unit and PDU, which both kinds of frame have in common: 6 bytes. */
static void encode_body(const struct driver_request *request, uint8_t *body)
{
    assert(pdu_valid(request));
    body[0] = request->unit;
    body[1] = pdu_function(request->table);
    put_u16(body + 2, request->address);
    put_u16(body + 4, request->count);
}

static enum verdict check_pdu(const struct driver_request *request, const uint8_t *pdu,
                              size_t length, struct pdu_reply *ret_reply)
{
    if ((pdu[0] & ~EXCEPTION_FLAG) != pdu_function(request->table))
        return VERDICT_WRONG_FUNCTION;
    if (pdu[0] & EXCEPTION_FLAG) {
        if (length != 2 || pdu[1] == 0) /* there is no exception 0 (section 7) */
            return VERDICT_WRONG_LENGTH;
        *ret_reply = (struct pdu_reply){.exception = pdu[1]};
        return VERDICT_EXCEPTION;
    }
    size_t expected = pdu_data_bytes(request);
    if (length != 2 + expected || pdu[1] != expected)
        return VERDICT_WRONG_LENGTH;
    *ret_reply = (struct pdu_reply){.data = pdu + 2};
    return VERDICT_GOOD;
}

void tcp_encode(const struct driver_request *request, uint16_t transaction,
                uint8_t frame[TCP_REQUEST_BYTES])
{
    put_u16(frame, transaction);
    put_u16(frame + 2, 0); /* protocol: Modbus */
    put_u16(frame + 4, 6); /* bytes that follow */
    encode_body(request, frame + 6);
}

enum verdict tcp_check(const struct driver_request *request, uint16_t transaction,
                       const uint8_t *bytes, size_t length, size_t *ret_frame,
                       struct pdu_reply *ret_reply)
{
    for (size_t i = 2; i < 4 && i < length; i++) {
        if (bytes[i] != 0) /* the protocol identifier */
            return VERDICT_NOT_MODBUS;
    }
    if (length < 6)
        return VERDICT_INCOMPLETE;
    size_t follows = get_u16(bytes + 4); /* the unit and the PDU */
    if (follows < 2 || follows > TCP_FRAME_MAX - 6)
        return VERDICT_NOT_MODBUS;
    if (length < 6 + follows)
        return VERDICT_INCOMPLETE;
    *ret_frame = 6 + follows;
    if (get_u16(bytes) != transaction)
        return VERDICT_WRONG_TRANSACTION;
    if (bytes[6] != request->unit)
        return VERDICT_WRONG_UNIT;
    return check_pdu(request, bytes + MBAP_BYTES, follows - 1, ret_reply);
}

uint16_t rtu_crc(const uint8_t *bytes, size_t length)
{
    static const uint16_t nibbles[16] = {0x0000, 0xCC01, 0xD801, 0x1400, 0xF001, 0x3C00,
                                         0x2800, 0xE401, 0xA001, 0x6C00, 0x7800, 0xB401,
                                         0x5000, 0x9C01, 0x8801, 0x4400};
    uint16_t crc = 0xFFFF;
    for (size_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        crc = (uint16_t)(crc >> 4 ^ nibbles[crc & 15]);
        crc = (uint16_t)(crc >> 4 ^ nibbles[crc & 15]);
    }
    return crc;
}

static bool crc_fits(const uint8_t *frame, size_t length)
{
    uint16_t crc = rtu_crc(frame, length - 2);
    return frame[length - 2] == (crc & 0xFF) && frame[length - 1] == crc >> 8;
}

void rtu_encode(const struct driver_request *request, uint8_t frame[RTU_REQUEST_BYTES])
{
    encode_body(request, frame);
    uint16_t crc = rtu_crc(frame, 6);
    frame[6] = (uint8_t)crc;
    frame[7] = (uint8_t)(crc >> 8);
}

size_t rtu_reply_bytes(const struct driver_request *request)
{
    return 5 + pdu_data_bytes(request);
}

/* How long the frame is going to be by its function code; 0 when that is not an answer. */
static size_t frame_bytes(const struct driver_request *request, uint8_t function)
{
    uint8_t expected = pdu_function(request->table);
    if (function == expected)
        return rtu_reply_bytes(request);
    return function == (expected | EXCEPTION_FLAG) ? RTU_EXCEPTION_BYTES : 0;
}

enum verdict rtu_check(const struct driver_request *request, const uint8_t *bytes, size_t length,
                       struct pdu_reply *ret_reply)
{
    if (length < 1)
        return VERDICT_INCOMPLETE;
    if (bytes[0] != request->unit)
        return VERDICT_WRONG_UNIT;
    if (length < 2)
        return VERDICT_INCOMPLETE;
    size_t frame = frame_bytes(request, bytes[1]);
    if (frame == 0)
        return VERDICT_WRONG_FUNCTION;
    bool refused = bytes[1] & EXCEPTION_FLAG;
    if (!refused && length > 2 && bytes[2] != pdu_data_bytes(request))
        return VERDICT_WRONG_LENGTH;
    if (length < frame)
        return VERDICT_INCOMPLETE;
    if (!crc_fits(bytes, frame))
        return VERDICT_DAMAGED;
    return check_pdu(request, bytes + 1, frame - 3, ret_reply);
}

enum verdict rtu_find(const struct driver_request *request, const uint8_t *bytes, size_t length,
                      size_t *ret_end, struct pdu_reply *ret_reply)
{
    bool damaged = false, incomplete = false;
    enum verdict first = VERDICT_INCOMPLETE;
    for (size_t at = 0; at < length; at++) {
        enum verdict verdict = rtu_check(request, bytes + at, length - at, ret_reply);
        if (verdict == VERDICT_GOOD || verdict == VERDICT_EXCEPTION) {
            *ret_end = at + frame_bytes(request, bytes[at + 1]);
            return verdict;
        }
        if (at == 0)
            first = verdict;
        damaged |= verdict == VERDICT_DAMAGED;
        incomplete |= verdict == VERDICT_INCOMPLETE;
    }
    if (damaged)
        return VERDICT_DAMAGED;
    return incomplete ? VERDICT_INCOMPLETE : first;
}

size_t rtu_missing(const struct driver_request *request, const uint8_t *bytes, size_t length)
{
    for (size_t at = 0; at < length; at++) {
        struct pdu_reply ignored;
        size_t have = length - at;
        if (rtu_check(request, bytes + at, have, &ignored) == VERDICT_INCOMPLETE)
            return (have > 1 ? frame_bytes(request, bytes[at + 1]) : RTU_EXCEPTION_BYTES) - have;
    }
    return RTU_EXCEPTION_BYTES;
}
