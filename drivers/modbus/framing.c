/* What is the same for every framing: finding a reply among other bytes. Pure. */
#include "drivers/modbus/framing.h"

/* The beginning of a reply that was found first: where it is going to end. */
static void note_beginning(size_t *end, size_t at, size_t frame)
{
    if (*end == 0)
        *end = at + frame;
}

enum verdict framing_find(const struct framing *framing, const struct modbus_request *request,
                          uint16_t number, const uint8_t *bytes, size_t length, size_t *ret_end,
                          struct pdu_reply *ret_reply)
{
    if (!framing->found_anywhere)
        return framing->check(request, number, bytes, length, ret_end, ret_reply);
    bool damaged = false;
    size_t end = 0;
    enum verdict first = VERDICT_INCOMPLETE;
    for (size_t at = 0; at < length; at++) {
        size_t frame = 0;
        enum verdict verdict =
            framing->check(request, number, bytes + at, length - at, &frame, ret_reply);
        if (verdict == VERDICT_GOOD || verdict == VERDICT_EXCEPTION) {
            *ret_end = at + frame;
            return verdict;
        }
        if (at == 0)
            first = verdict;
        damaged |= verdict == VERDICT_DAMAGED;
        if (verdict == VERDICT_INCOMPLETE)
            note_beginning(&end, at, frame);
    }
    *ret_end = end ? end : length + framing->frame_bytes(PDU_EXCEPTION_BYTES);
    if (damaged)
        return VERDICT_DAMAGED;
    return end ? VERDICT_INCOMPLETE : first;
}

bool framing_has_begun(const struct framing *framing, const struct modbus_request *request,
                       uint16_t number, const uint8_t *bytes, size_t length)
{
    struct pdu_reply ignored;
    size_t frame;
    return length > framing->header &&
           framing->check(request, number, bytes, length, &frame, &ignored) == VERDICT_INCOMPLETE;
}

size_t framing_reply_bytes(const struct framing *framing, const struct modbus_request *request)
{
    return framing->frame_bytes(pdu_reply_bytes(request));
}
