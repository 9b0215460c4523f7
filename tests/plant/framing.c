/* The framings: MBAP header, RTU, ASCII. */
#include "tests/plant/framing.h"

#include <stdlib.h>
#include <string.h>

#define HEADER 7 /* transaction, protocol, length, unit */

static size_t wrap_tcp(const struct frame *frame, uint8_t *bytes)
{
    size_t length = frame->length + 1;
    const uint8_t header[HEADER] = {(uint8_t)(frame->transaction >> 8),
                                    (uint8_t)frame->transaction,
                                    0,
                                    0,
                                    (uint8_t)(length >> 8),
                                    (uint8_t)length,
                                    frame->unit};
    memcpy(bytes, header, HEADER);
    memcpy(bytes + HEADER, frame->pdu, frame->length);
    return HEADER + frame->length;
}

static int unwrap_tcp(const uint8_t *in, size_t used, struct frame *ret_request, size_t *ret_length)
{
    if (used < HEADER)
        return 0;
    size_t length = (size_t)(in[4] << 8 | in[5]);
    if (in[2] != 0 || in[3] != 0 || length < 2 || length > PDU_MAX + 1)
        return -1;
    if (used < HEADER - 1 + length)
        return 0;
    ret_request->transaction = (uint16_t)(in[0] << 8 | in[1]);
    ret_request->unit = in[6];
    ret_request->length = length - 1;
    memcpy(ret_request->pdu, in + HEADER, length - 1);
    *ret_length = HEADER - 1 + length;
    return 1;
}

/* Section 6.2.2 of the serial line standard, bit by bit: the plant has time. */
static uint16_t checksum(const uint8_t *bytes, size_t length)
{
    uint16_t crc = 0xFFFF;
    for (size_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? (uint16_t)(crc >> 1 ^ 0xA001) : (uint16_t)(crc >> 1);
    }
    return crc;
}

static size_t wrap_rtu(const struct frame *frame, uint8_t *bytes)
{
    size_t length = frame->length + 1;
    bytes[0] = frame->unit;
    memcpy(bytes + 1, frame->pdu, frame->length);
    uint16_t crc = checksum(bytes, length);
    bytes[length] = (uint8_t)crc;
    bytes[length + 1] = (uint8_t)(crc >> 8);
    return length + 2;
}

static int open_body(const uint8_t *bytes, size_t length, struct frame *ret_request)
{
    if (length < 2 || length > 1 + PDU_MAX)
        return -1;
    *ret_request = (struct frame){.unit = bytes[0], .length = length - 1};
    memcpy(ret_request->pdu, bytes + 1, length - 1);
    return 1;
}

/* Where nobody hears a pause, the checksum tells where a frame ends: the shortest that fits. */
static int unwrap_rtu(const uint8_t *in, size_t used, struct frame *ret_request, size_t *ret_length)
{
    for (size_t length = 4; length <= used && length <= 1 + PDU_MAX + 2; length++) {
        if (checksum(in, length) != 0) /* of a frame with its own checksum */
            continue;
        *ret_length = length;
        return open_body(in, length - 2, ret_request);
    }
    return used > 1 + PDU_MAX + 2 ? -1 : 0;
}

static size_t wrap_ascii(const struct frame *frame, uint8_t *bytes)
{
    static const char digits[] = "0123456789ABCDEF";
    uint8_t body[1 + PDU_MAX + 1] = {frame->unit}, sum = frame->unit;
    memcpy(body + 1, frame->pdu, frame->length);
    for (size_t i = 0; i < frame->length; i++)
        sum = (uint8_t)(sum + frame->pdu[i]);
    body[1 + frame->length] = (uint8_t)(0x100 - sum);
    size_t used = 0;
    bytes[used++] = ':';
    for (size_t i = 0; i < frame->length + 2; i++) {
        bytes[used++] = (uint8_t)digits[body[i] >> 4];
        bytes[used++] = (uint8_t)digits[body[i] & 15];
    }
    bytes[used++] = '\r';
    bytes[used++] = '\n';
    return used;
}

static int unwrap_ascii(const uint8_t *in, size_t used, struct frame *ret_request,
                        size_t *ret_length)
{
    const uint8_t *end = used > 0 ? memchr(in, '\n', used) : NULL;
    if (!end)
        return used > ADU_MAX ? -1 : 0;
    size_t length = (size_t)(end - in) + 1, n_bytes = (length - 3) / 2;
    if (length < 9 || length % 2 == 0 || length > ADU_MAX || in[0] != ':' || end[-1] != '\r')
        return -1;
    uint8_t body[ADU_MAX], sum = 0;
    for (size_t i = 0; i < n_bytes; i++) {
        char digits[3] = {(char)in[1 + 2 * i], (char)in[2 + 2 * i], 0};
        char *rest;
        body[i] = (uint8_t)strtoul(digits, &rest, 16);
        if (*rest)
            return -1;
        sum = (uint8_t)(sum + body[i]);
    }
    *ret_length = length;
    return sum == 0 ? open_body(body, n_bytes - 1, ret_request) : -1;
}

static const struct framing framings[] = {
    {"tcp", true, wrap_tcp, unwrap_tcp},
    {"rtu", false, wrap_rtu, unwrap_rtu},
    {"ascii", false, wrap_ascii, unwrap_ascii},
};

const struct framing *framing_find(const char *name)
{
    for (size_t i = 0; i < sizeof(framings) / sizeof(framings[0]); i++) {
        if (strcmp(framings[i].name, name) == 0)
            return &framings[i];
    }
    return NULL;
}
