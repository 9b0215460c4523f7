/*
 * Replies that come in pieces, as a serial line and TCP deliver them: in every framing, wherever
 * the bytes are cut, a reply that is found is the same one that is found when all bytes are there.
 */
#include "drivers/modbus/framing.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_BYTES 600

static bool is_reply(enum verdict verdict)
{
    return verdict == VERDICT_GOOD || verdict == VERDICT_EXCEPTION;
}

/* Looks after each byte, as a reader of one byte at a time would. Returns where a reply ends. */
static size_t find_in_pieces(const struct framing *framing, const struct modbus_request *request,
                             uint16_t number, const uint8_t *bytes, size_t length,
                             enum verdict *ret_verdict)
{
    for (size_t have = 1; have <= length; have++) {
        struct pdu_reply reply = {.exception = 0};
        size_t end = 0;
        uint8_t *piece = malloc(have); /* of that size, so that reading beyond it is seen */
        memcpy(piece, bytes, have);
        *ret_verdict = framing_find(framing, request, number, piece, have, &end, &reply);
        free(piece);
        if (is_reply(*ret_verdict))
            return end;
        if (*ret_verdict == VERDICT_NOT_MODBUS)
            return 0; /* the line hangs up */
    }
    return 0;
}

static void check(const struct framing *framing, const struct modbus_request *request,
                  uint16_t number, const uint8_t *bytes, size_t length)
{
    struct pdu_reply reply = {.exception = 0};
    enum verdict piecewise = VERDICT_INCOMPLETE;
    size_t end = find_in_pieces(framing, request, number, bytes, length, &piecewise), whole_end = 0;
    if (!is_reply(piecewise))
        return;
    enum verdict whole = framing_find(framing, request, number, bytes, end, &whole_end, &reply);
    assert(whole == piecewise && whole_end == end && end <= length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t functions[] = {1, 2, 4, 3, 5, 6, 15, 16};
    static uint16_t values[MODBUS_WRITE_BITS_MAX];
    if (size < 8 || size > MAX_BYTES)
        return 0;
    const struct modbus_request request = {.unit = data[0],
                                           .function = functions[data[1] & 7],
                                           .address = (uint16_t)(data[2] << 8 | data[3]),
                                           .count = (uint16_t)(data[4] << 8 | data[5]),
                                           .values = values};
    uint16_t number = (uint16_t)(data[6] << 8 | data[7]);
    if (!modbus_request_is_valid(&request))
        return 0;
    for (size_t i = 0; framings_all[i]; i++)
        check(framings_all[i], &request, number, data + 8, size - 8);
    return 0;
}
