/*
 * Replies as a hostile device may send them. The first 8 bytes choose the request; the rest is
 * what came. What is accepted must be a whole, consistent frame within the bytes.
 */
#include "drivers/modbus/modbus_pdu.h"
#include "drivers/modbus/overdue_replies.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned sum; /* keeps the reads from being optimised away */

static void read_all(const struct driver_request *request, enum verdict verdict,
                     const struct pdu_reply *reply, const uint8_t *bytes, size_t length)
{
    if (verdict == VERDICT_EXCEPTION)
        assert(reply->exception != 0);
    if (verdict != VERDICT_GOOD)
        return;
    assert(reply->exception == 0);
    assert(reply->data >= bytes && reply->data + pdu_data_bytes(request) <= bytes + length);
    for (size_t i = 0; i < request->count; i++)
        sum += pdu_value(request, reply->data, i);
}

static void check_tcp(const struct driver_request *request, uint16_t transaction,
                      const uint8_t *bytes, size_t length)
{
    struct pdu_reply reply = {0};
    size_t frame = 0;
    enum verdict verdict = tcp_check(request, transaction, bytes, length, &frame, &reply);
    if (verdict != VERDICT_INCOMPLETE && verdict != VERDICT_NOT_MODBUS)
        assert(frame >= 8 && frame <= length && frame <= TCP_FRAME_MAX);
    read_all(request, verdict, &reply, bytes, length);
}

static void check_rtu(const struct driver_request *request, const uint8_t *bytes, size_t length)
{
    static struct overdue_replies late;
    struct pdu_reply reply = {0};
    size_t end = 0;
    enum verdict verdict = rtu_find(request, bytes, length, &end, &reply);
    if (verdict == VERDICT_GOOD || verdict == VERDICT_EXCEPTION)
        assert(end >= 5 && end <= length);
    read_all(request, verdict, &reply, bytes, length);
    size_t missing = rtu_missing(request, bytes, length);
    assert(missing >= 1 && missing <= RTU_FRAME_MAX);
    overdue_replies_init(&late, 1000);
    overdue_replies_owe(&late, request, 0);
    overdue_replies_notice(&late, bytes, length, 1);
    assert((late.n_owing == 0) == (verdict == VERDICT_GOOD || verdict == VERDICT_EXCEPTION));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 8)
        return 0;
    struct driver_request request = {.unit = data[0],
                                     .table = data[1] & 3,
                                     .address = (uint16_t)(data[2] << 8 | data[3]),
                                     .count = (uint16_t)(data[4] << 8 | data[5])};
    uint16_t transaction = (uint16_t)(data[6] << 8 | data[7]);
    if (!pdu_valid(&request))
        return 0;
    uint8_t frame[TCP_REQUEST_BYTES];
    tcp_encode(&request, transaction, frame);
    rtu_encode(&request, frame);
    check_tcp(&request, transaction, data + 8, size - 8);
    check_rtu(&request, data + 8, size - 8);
    return 0;
}
