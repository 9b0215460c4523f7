/*
 * What an honest Modbus server does with one request, after the Modbus Application Protocol
 * V1.1b3, section 6. Written from that text and sharing nothing with drivers/, so that the two
 * check each other.
 */
#ifndef SALLYPORT_PLANT_SERVE_H
#define SALLYPORT_PLANT_SERVE_H

#include "tests/plant/image.h"

#define PDU_MAX 253

enum exception {
    EXCEPTION_FUNCTION = 1,
    EXCEPTION_ADDRESS = 2,
    EXCEPTION_VALUE = 3,
    EXCEPTION_NO_TARGET = 11,
};

/* What a request asks for, for the record. */
struct asked {
    uint8_t function;
    uint16_t address, count;
};

/*
 * Answers the request PDU of LENGTH bytes (1 to PDU_MAX) from IMAGE. LIMIT: more registers or bits
 * than this are refused with exception 3, as some devices do; 0: what the standard allows.
 * Returns the length of the reply in RET_REPLY (PDU_MAX bytes), an exception included.
 */
size_t serve(struct image *image, uint16_t limit, int64_t wall_us, const uint8_t *request,
             size_t length, uint8_t *ret_reply, struct asked *ret_asked);

/* Makes the exception reply to FUNCTION; returns its length. */
size_t serve_exception(uint8_t function, uint8_t code, uint8_t *ret_reply);

#endif
