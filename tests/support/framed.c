/* Frames made and judged for the tests of the framings. */
#include "tests/support/framed.h"

#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

const struct framing *framed(const char *name)
{
    size_t i = 0;
    while (framings_all[i] && strcmp(framings_all[i]->name, name) != 0)
        i++;
    if (!framings_all[i])
        abort();
    CU_ASSERT_TRUE(framings_all[i]->largest <= FRAMING_LARGEST);
    TEST_TEXT_EQUAL(framing_names[i], name);
    return framings_all[i];
}

enum verdict framed_find(const struct framing *framing, const struct modbus_request *request,
                         uint16_t number, const void *bytes, size_t length, size_t *ret_end,
                         struct pdu_reply *ret_reply)
{
    uint8_t *exact = malloc(length ? length : 1);
    memcpy(exact, bytes, length);
    enum verdict verdict =
        framing_find(framing, request, number, exact, length, ret_end, ret_reply);
    free(exact);
    return verdict;
}

enum verdict framed_judge(const struct framing *framing, const struct modbus_request *request,
                          uint16_t number, const void *bytes, size_t length)
{
    size_t end;
    struct pdu_reply reply;
    return framed_find(framing, request, number, bytes, length, &end, &reply);
}

void framed_test_pieces(const struct framing *framing, const struct modbus_request *request,
                        const void *frame, size_t length)
{
    struct pdu_reply reply;
    size_t end;
    for (size_t got = 0; got < length; got++) {
        CU_ASSERT_EQUAL(framed_find(framing, request, 7, frame, got, &end, &reply),
                        VERDICT_INCOMPLETE);
        CU_ASSERT_TRUE(end > got && end <= length);
        CU_ASSERT_TRUE(got < framing->header || end == length);
        CU_ASSERT_EQUAL(framing_has_begun(framing, request, 7, frame, got), got > framing->header);
    }
    CU_ASSERT_EQUAL(framed_find(framing, request, 7, frame, length, &end, &reply), VERDICT_GOOD);
    CU_ASSERT_EQUAL(end, length);
    CU_ASSERT_EQUAL(length, framing_reply_bytes(framing, request));
    CU_ASSERT_FALSE(framing_has_begun(framing, request, 7, frame, length));
}

void framed_test_noise(const struct framing *framing, const struct modbus_request *request,
                       uint8_t beginning, const void *frame, size_t length)
{
    uint8_t bytes[1000];
    unsigned seed = 1;
    for (int round = 0; round < 200; round++) {
        size_t noise = (size_t)(rand_r(&seed) % 300), end = 0;
        struct pdu_reply reply;
        for (size_t i = 0; i < noise; i++)
            bytes[i] = i % 7 ? (uint8_t)rand_r(&seed) : beginning;
        memcpy(bytes + noise, frame, length);
        bytes[noise + length] = 0x55;
        CU_ASSERT_EQUAL(framed_find(framing, request, 0, bytes, noise + length + 1, &end, &reply),
                        VERDICT_GOOD);
        CU_ASSERT_EQUAL(end, noise + length);
    }
}
