/*
 * One request and its reply on a half-duplex serial line: keeps the silence that the standard
 * asks for, finds the reply among whatever else comes, and leaves the line so that the next
 * request starts clean. One owner, the thread of the line.
 *
 * Source: "MODBUS over Serial Line V1.02", 2.5.1 (RTU framing).
 */
#ifndef SALLYPORT_DRIVERS_MODBUS_RTU_WIRE_H
#define SALLYPORT_DRIVERS_MODBUS_RTU_WIRE_H

#include "drivers/driver.h"
#include "drivers/modbus/modbus_pdu.h"

#include <modbus/modbus.h>
#include <stdatomic.h>
#include <stdint.h>

struct rtu_timing {
    int64_t char_ns;       /* one character on the wire, start, parity and stop bits included */
    int64_t silence_ns;    /* t3.5: before every request */
    int64_t timeout_ns;    /* from the end of a request to the first byte of its reply */
    int64_t turnaround_ns; /* at least this pause after a request that was not answered */
};

/* BITS: of one character, start, parity and stop bits included. */
struct rtu_timing rtu_timing_make(int64_t baud, int64_t bits, int64_t timeout_ms,
                                  int64_t turnaround_ms);

/* Wire time of a request that is answered at once, with the silence before each frame. */
int64_t rtu_exchange_ns(const struct rtu_timing *timing, const struct driver_request *request);

struct rtu_wire; /* opaque */

struct rtu_wire *rtu_wire_new(const struct rtu_timing *timing, const atomic_bool *stop);
struct rtu_wire *rtu_wire_free(struct rtu_wire *wire); /* accepts NULL, returns NULL */

/* Uses MODBUS, which has just been connected, from now on; the caller keeps it open meanwhile. */
void rtu_wire_attach(struct rtu_wire *wire, modbus_t *modbus);

/*
 * Carries out a valid request; fit for modbus_exchange, LINE being a struct rtu_wire. A reply
 * points into the wire's memory until the next call. OUTCOME_DISCONNECTED: the device is gone, or
 * *STOP became true.
 */
enum outcome rtu_wire_exchange(void *line, const struct driver_request *request,
                               struct pdu_reply *reply, struct driver_error *error);

#endif
