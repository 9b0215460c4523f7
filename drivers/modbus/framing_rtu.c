/*
 * Framing "rtu": unit, PDU, and a checksum of 16 bits. The end of a frame is known from its length
 * and checksum, never from a pause: adapters and networks deliver in pieces. Source: "MODBUS over
 * Serial Line V1.02", section 2.5.1 and appendix B.
 */
#include "drivers/modbus/framing.h"

#define FRAME_MAX (1 + PDU_MAX + 2)

static size_t framing_rtu_frame_bytes(size_t pdu_bytes)
{
    return 1 + pdu_bytes + 2;
}

static uint16_t framing_rtu_checksum(const uint8_t *bytes, size_t length)
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

static size_t framing_rtu_encode(const struct modbus_request *request, uint16_t number,
                                 uint8_t *frame)
{
    (void)number;
    frame[0] = request->unit;
    size_t length = 1 + pdu_encode(request, frame + 1);
    uint16_t crc = framing_rtu_checksum(frame, length);
    frame[length] = (uint8_t)crc; /* low byte first */
    frame[length + 1] = (uint8_t)(crc >> 8);
    return length + 2;
}

static bool checksum_fits(const uint8_t *frame, size_t length)
{
    uint16_t crc = framing_rtu_checksum(frame, length - 2);
    return frame[length - 2] == (crc & 0xFF) && frame[length - 1] == crc >> 8;
}

/* Whether the byte after the function contradicts a good reply: the length of its values. */
static bool is_wrong_length(const struct modbus_request *request, const uint8_t *bytes)
{
    return bytes[1] == request->function && !modbus_request_is_write(request) &&
           bytes[2] != pdu_data_bytes(request);
}

static enum verdict framing_rtu_check(const struct modbus_request *request, uint16_t number,
                                      const uint8_t *bytes, size_t length, size_t *ret_frame,
                                      struct pdu_reply *ret_reply)
{
    (void)number;
    *ret_frame = framing_rtu_frame_bytes(PDU_EXCEPTION_BYTES);
    if (length < 1)
        return VERDICT_INCOMPLETE;
    if (bytes[0] != request->unit)
        return VERDICT_WRONG_UNIT;
    if (length < 2)
        return VERDICT_INCOMPLETE;
    size_t pdu_bytes = pdu_expected_bytes(request, bytes[1]);
    if (pdu_bytes == 0)
        return VERDICT_WRONG_FUNCTION;
    if (length > 2 && is_wrong_length(request, bytes))
        return VERDICT_WRONG_LENGTH;
    *ret_frame = framing_rtu_frame_bytes(pdu_bytes);
    if (length < *ret_frame)
        return VERDICT_INCOMPLETE;
    if (!checksum_fits(bytes, *ret_frame))
        return VERDICT_DAMAGED;
    return pdu_check(request, bytes + 1, pdu_bytes, ret_reply);
}

extern const struct framing framing_rtu;
const struct framing framing_rtu = {
    .name = "rtu",
    .largest = FRAME_MAX,
    .header = 2,
    .numbered = false,
    .found_anywhere = true,
    .is_text = false,
    .encode = framing_rtu_encode,
    .check = framing_rtu_check,
    .frame_bytes = framing_rtu_frame_bytes,
};
