/*
 * Replies as a hostile device may send them, in every framing. The first 8 bytes choose the
 * request; the rest is what came. What is accepted must be a whole, consistent frame within the
 * bytes, and every request must be encoded within its bounds.
 */
#include "drivers/modbus/framing.h"
#include "drivers/modbus/overdue_replies.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned sum; /* keeps the reads from being optimised away */

static bool is_reply(enum verdict verdict)
{
    return verdict == VERDICT_GOOD || verdict == VERDICT_EXCEPTION;
}

static void read_all(const struct modbus_request *request, enum verdict verdict,
                     const struct pdu_reply *reply)
{
    if (verdict == VERDICT_EXCEPTION)
        assert(reply->exception != 0);
    if (verdict != VERDICT_GOOD)
        return;
    assert(reply->exception == 0);
    if (modbus_request_is_write(request))
        return;
    for (size_t i = 0; i < request->count; i++)
        sum += pdu_value(request, reply->data, i);
}

static void check(const struct framing *framing, const struct modbus_request *request,
                  uint16_t number, const uint8_t *bytes, size_t length)
{
    struct pdu_reply reply = {.exception = 0};
    size_t end = 0, shortest = framing->frame_bytes(PDU_EXCEPTION_BYTES);
    enum verdict verdict = framing_find(framing, request, number, bytes, length, &end, &reply);
    if (is_reply(verdict))
        assert(end >= shortest && end <= length);
    else if (framing->found_anywhere || verdict == VERDICT_INCOMPLETE)
        assert(end > length && end <= length + framing->largest);
    else if (verdict != VERDICT_NOT_MODBUS)
        assert(end >= 8 && end <= length && end <= framing->largest);
    read_all(request, verdict, &reply);
    (void)framing_has_begun(framing, request, number, bytes, length);
    if (!framing->found_anywhere)
        return;
    static struct overdue_replies late;
    overdue_replies_init(&late, framing, 1000);
    overdue_replies_owe(&late, request, 0);
    overdue_replies_notice(&late, bytes, length, 1);
    assert((late.n_owing == 0) == is_reply(verdict));
}

/* A copy of exactly the bytes there are, so that reading beyond them is seen. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t functions[] = {1, 2, 4, 3, 5, 6, 15, 16};
    static uint16_t values[MODBUS_WRITE_BITS_MAX];
    if (size < 8)
        return 0;
    values[0] = (uint16_t)(data[6] << 8 | data[7]);
    const struct modbus_request request = {.unit = data[0],
                                           .function = functions[data[1] & 7],
                                           .address = (uint16_t)(data[2] << 8 | data[3]),
                                           .count = (uint16_t)(data[4] << 8 | data[5]),
                                           .values = values};
    uint16_t number = (uint16_t)(data[6] << 8 | data[7]);
    if (!modbus_request_is_valid(&request))
        return 0;
    for (size_t i = 0; framings_all[i]; i++) {
        uint8_t frame[FRAMING_LARGEST];
        size_t length = framings_all[i]->encode(&request, number, frame);
        assert(length >= 8 && length <= framings_all[i]->largest);
        uint8_t *bytes = malloc(size - 8 ? size - 8 : 1);
        memcpy(bytes, data + 8, size - 8);
        check(framings_all[i], &request, number, bytes, size - 8);
        free(bytes);
    }
    return 0;
}
