/*
 * Framing "ascii": a colon, then unit, PDU and a checksum of 8 bits as hexadecimal digits, then
 * carriage return and line feed. Source: "MODBUS over Serial Line V1.02", section 2.5.2 and
 * appendix A.
 */
#include "agent/base/min_max.h"
#include "drivers/modbus/framing.h"

#include <assert.h>

#define FRAME_MAX (1 + 2 * (1 + PDU_MAX + 1) + 2)
static_assert(FRAME_MAX <= FRAMING_LARGEST, "buffers hold every frame");

static size_t ascii_frame_bytes(size_t pdu_bytes)
{
    return 1 + 2 * (1 + pdu_bytes + 1) + 2;
}

/* What makes the sum of unit, PDU and checksum zero. */
static uint8_t ascii_checksum(const uint8_t *bytes, size_t length)
{
    unsigned sum = 0;
    for (size_t i = 0; i < length; i++)
        sum += bytes[i];
    return (uint8_t)-sum;
}

static size_t ascii_encode(const struct modbus_request *request, uint16_t number, uint8_t *frame)
{
    static const char digits[] = "0123456789ABCDEF";
    (void)number;
    uint8_t bytes[1 + PDU_MAX + 1] = {request->unit};
    size_t length = 1 + pdu_encode(request, bytes + 1);
    bytes[length] = ascii_checksum(bytes, length);
    size_t used = 0;
    frame[used++] = ':';
    for (size_t i = 0; i <= length; i++) {
        frame[used++] = (uint8_t)digits[bytes[i] >> 4];
        frame[used++] = (uint8_t)digits[bytes[i] & 15];
    }
    frame[used++] = '\r';
    frame[used++] = '\n';
    return used;
}

/*
 * The value of a digit; 16 for another character. Small letters are no digits of the standard, but
 * some units send them.
 */
static unsigned digit(uint8_t character)
{
    if (character >= '0' && character <= '9')
        return character - '0';
    if (character >= 'A' && character <= 'F')
        return 10U + character - 'A';
    if (character >= 'a' && character <= 'f')
        return 10U + character - 'a';
    return 16;
}

/* How many of LENGTH characters are digits before the first that is none. */
static size_t count_digits(const uint8_t *text, size_t length)
{
    size_t digits = 0;
    while (digits < length && digit(text[digits]) < 16)
        digits++;
    return digits;
}

/* Turns 2 * N_BYTES digits into bytes. */
static void decode(const uint8_t *digits, size_t n_bytes, uint8_t *ret_bytes)
{
    for (size_t i = 0; i < n_bytes; i++)
        ret_bytes[i] = (uint8_t)(digit(digits[2 * i]) << 4 | digit(digits[2 * i + 1]));
}

/* Judges unit, function and the length of the values as soon as they have come. */
static enum verdict check_header(const struct modbus_request *request, const uint8_t *digits,
                                 size_t n_digits, size_t *ret_pdu_bytes)
{
    uint8_t header[3];
    size_t n_bytes = min_size(n_digits / 2, sizeof(header));
    decode(digits, n_bytes, header);
    if (n_bytes > 0 && header[0] != request->unit)
        return VERDICT_WRONG_UNIT;
    if (n_bytes < 2)
        return VERDICT_INCOMPLETE;
    size_t pdu_bytes = pdu_expected_bytes(request, header[1]);
    if (pdu_bytes == 0)
        return VERDICT_WRONG_FUNCTION;
    bool counts = header[1] == request->function && !modbus_request_is_write(request);
    if (n_bytes > 2 && counts && header[2] != pdu_data_bytes(request))
        return VERDICT_WRONG_LENGTH;
    *ret_pdu_bytes = pdu_bytes;
    return VERDICT_INCOMPLETE;
}

/* Judges a frame as long as expected, of which all but the ending are digits. */
static enum verdict check_whole(const struct modbus_request *request, const uint8_t *bytes,
                                size_t pdu_bytes, struct pdu_reply *ret_reply)
{
    uint8_t whole[1 + PDU_MAX + 1] = {0};
    const uint8_t *ending = bytes + ascii_frame_bytes(pdu_bytes) - 2;
    decode(bytes + 1, 1 + pdu_bytes + 1, whole);
    if (ending[0] != '\r' || ending[1] != '\n')
        return VERDICT_DAMAGED;
    if (ascii_checksum(whole, 1 + pdu_bytes) != whole[1 + pdu_bytes])
        return VERDICT_DAMAGED;
    return pdu_check(request, whole + 1, pdu_bytes, ret_reply);
}

static enum verdict ascii_check(const struct modbus_request *request, uint16_t number,
                                const uint8_t *bytes, size_t length, size_t *ret_frame,
                                struct pdu_reply *ret_reply)
{
    (void)number;
    *ret_frame = ascii_frame_bytes(PDU_EXCEPTION_BYTES);
    if (length < 1)
        return VERDICT_INCOMPLETE;
    if (bytes[0] != ':')
        return VERDICT_NOT_MODBUS;
    size_t digits = count_digits(bytes + 1, length - 1);
    bool ends = digits < length - 1;
    if (ends && digits < 4) /* before unit and function */
        return VERDICT_NOT_MODBUS;
    size_t pdu_bytes = PDU_EXCEPTION_BYTES;
    enum verdict verdict = check_header(request, bytes + 1, digits, &pdu_bytes);
    if (verdict != VERDICT_INCOMPLETE)
        return verdict;
    *ret_frame = ascii_frame_bytes(pdu_bytes);
    if (ends && digits < *ret_frame - 3) /* characters got lost, or this was only noise */
        return bytes[1 + digits] == '\r' ? VERDICT_DAMAGED : VERDICT_NOT_MODBUS;
    if (length < *ret_frame)
        return VERDICT_INCOMPLETE;
    return check_whole(request, bytes, pdu_bytes, ret_reply);
}

extern const struct framing framing_ascii;
const struct framing framing_ascii = {
    .name = "ascii",
    .largest = FRAME_MAX,
    .header = 5,
    .numbered = false,
    .found_anywhere = true,
    .is_text = true,
    .encode = ascii_encode,
    .check = ascii_check,
    .frame_bytes = ascii_frame_bytes,
};
