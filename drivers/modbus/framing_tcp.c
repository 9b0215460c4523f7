/*
 * Framing "tcp": a header with a number before unit and PDU, no checksum. Source: "MODBUS Messaging
 * on TCP/IP Implementation Guide V1.0b", section 3.1.3 (MBAP header).
 */
#include "drivers/modbus/framing.h"

#define MBAP_BYTES 7   /* number, protocol, length, unit */
#define COUNTED_FROM 6 /* the length counts the unit and the PDU */
#define FRAME_MAX (MBAP_BYTES + PDU_MAX)

static size_t framing_tcp_frame_bytes(size_t pdu_bytes)
{
    return MBAP_BYTES + pdu_bytes;
}

static size_t framing_tcp_encode(const struct modbus_request *request, uint16_t number,
                                 uint8_t *frame)
{
    size_t pdu_bytes = pdu_encode(request, frame + MBAP_BYTES);
    pdu_put_u16(frame, number);
    pdu_put_u16(frame + 2, 0); /* protocol: Modbus */
    pdu_put_u16(frame + 4, (uint16_t)(1 + pdu_bytes));
    frame[6] = request->unit;
    return framing_tcp_frame_bytes(pdu_bytes);
}

static enum verdict framing_tcp_check(const struct modbus_request *request, uint16_t number,
                                      const uint8_t *bytes, size_t length, size_t *ret_frame,
                                      struct pdu_reply *ret_reply)
{
    for (size_t i = 2; i < 4 && i < length; i++) {
        if (bytes[i] != 0) /* the protocol identifier */
            return VERDICT_NOT_MODBUS;
    }
    *ret_frame = framing_tcp_frame_bytes(PDU_EXCEPTION_BYTES);
    if (length < COUNTED_FROM)
        return VERDICT_INCOMPLETE;
    size_t follows = pdu_get_u16(bytes + 4);
    if (follows < 2 || follows > FRAME_MAX - COUNTED_FROM)
        return VERDICT_NOT_MODBUS;
    *ret_frame = COUNTED_FROM + follows;
    if (length < COUNTED_FROM + follows)
        return VERDICT_INCOMPLETE;
    if (pdu_get_u16(bytes) != number)
        return VERDICT_WRONG_TRANSACTION;
    if (bytes[6] != request->unit)
        return VERDICT_WRONG_UNIT;
    return pdu_check(request, bytes + MBAP_BYTES, follows - 1, ret_reply);
}

extern const struct framing framing_tcp;
const struct framing framing_tcp = {
    .name = "tcp",
    .largest = FRAME_MAX,
    .header = MBAP_BYTES + 1,
    .numbered = true,
    .found_anywhere = false,
    .is_text = false,
    .encode = framing_tcp_encode,
    .check = framing_tcp_check,
    .frame_bytes = framing_tcp_frame_bytes,
};
