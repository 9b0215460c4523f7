/*
 * How requests and replies are packed, as the plant knows it; nothing here is shared with the
 * agent.
 */
#ifndef SALLYPORT_PLANT_FRAMING_H
#define SALLYPORT_PLANT_FRAMING_H

#include "tests/plant/unit.h"

#define ADU_MAX 513 /* bytes of the longest frame, which is ASCII */

struct framing {
    const char *name;
    bool is_numbered; /* Modbus TCP: a gateway answers for units that are not there */
    wrap_function *wrap;
    /*
     * Takes the request that BYTES begin with. Returns 1 with *RET_LENGTH set to where it ends, 0
     * when more has to come, or -1 when this is no request.
     */
    int (*unwrap)(const uint8_t *bytes, size_t length, struct frame *ret_request,
                  size_t *ret_length);
};

/* The framing NAME ("tcp", "rtu", "ascii"), or NULL. */
const struct framing *framing_find(const char *name);

#endif
