/* Frames made and judged for the tests of the framings. */
#ifndef SALLYPORT_TESTS_SUPPORT_FRAMED_H
#define SALLYPORT_TESTS_SUPPORT_FRAMED_H

#include "drivers/modbus/framing.h"

/* The framing NAME; ends the program when there is none. */
const struct framing *framed(const char *name);

/* framing_find() on a copy of exactly this size, so that reading beyond it is seen. */
enum verdict framed_find(const struct framing *framing, const struct modbus_request *request,
                         uint16_t number, const void *bytes, size_t length, size_t *ret_end,
                         struct pdu_reply *ret_reply);

/* The same, for the verdict alone. */
enum verdict framed_judge(const struct framing *framing, const struct modbus_request *request,
                          uint16_t number, const void *bytes, size_t length);

/*
 * Every beginning of the good reply FRAME to REQUEST is incomplete, and tells how many bytes are
 * worth waiting for: never more than there are to come, and exactly those once the header is there.
 */
void framed_test_pieces(const struct framing *framing, const struct modbus_request *request,
                        const void *frame, size_t length);

/* The good reply is found after noise that is full of BEGINNING, and before more of it. */
void framed_test_noise(const struct framing *framing, const struct modbus_request *request,
                       uint8_t beginning, const void *frame, size_t length);

#endif
