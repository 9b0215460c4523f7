/*
 * What can be asked of a Modbus unit, as plain values: functions 1 to 6, 15 and 16. Also the
 * service by which a line takes such a request outside its schedule. Pure; any thread. Source:
 * "MODBUS Application Protocol Specification V1.1b3", sections given in brackets.
 */
#ifndef SALLYPORT_DRIVERS_MODBUS_MODBUS_REQUEST_H
#define SALLYPORT_DRIVERS_MODBUS_MODBUS_REQUEST_H

#include "drivers/driver.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODBUS_READ_REGISTERS_MAX 125  /* of one request (6.3, 6.4) */
#define MODBUS_READ_BITS_MAX 2000      /* (6.1, 6.2) */
#define MODBUS_WRITE_REGISTERS_MAX 123 /* (6.12) */
#define MODBUS_WRITE_BITS_MAX 1968     /* (6.11) */

/* Addresses as on the wire: zero-based, in one of these four. */
enum modbus_table { MODBUS_COIL, MODBUS_DISCRETE, MODBUS_INPUT, MODBUS_HOLDING };
extern const char *const modbus_table_names[]; /* NULL-terminated, same order */

enum modbus_function {
    MODBUS_READ_COILS = 1,
    MODBUS_READ_DISCRETE = 2,
    MODBUS_READ_HOLDING = 3,
    MODBUS_READ_INPUT = 4,
    MODBUS_WRITE_COIL = 5,
    MODBUS_WRITE_REGISTER = 6,
    MODBUS_WRITE_COILS = 15,
    MODBUS_WRITE_REGISTERS = 16,
};

struct modbus_request {
    uint8_t function; /* enum modbus_function */
    uint8_t unit;
    bool may_repeat; /* doing it twice does no harm: it does not matter whether it was done */
    uint16_t address, count;
    const uint16_t *values; /* writes: COUNT registers, or bits as 0 and 1; reads: not looked at */
};

struct modbus_values {
    uint8_t exception;                     /* 0, or the code the unit refused with */
    uint16_t values[MODBUS_READ_BITS_MAX]; /* of reads: registers, or bits as 0 and 1 */
};

/* A request that a line carries out outside its schedule: what is asked and what came of it. */
struct modbus_call {
    struct modbus_request request;
    struct modbus_values reply;
};

/* What a driver that takes such calls names as its service. */
extern const struct driver_service modbus_service;

/* CALL as a line takes it; CALL stays the caller's, and must live until the request has ended. */
struct driver_request modbus_call_request(struct modbus_call *call);

/* A request that reads COUNT values of TABLE; may be repeated. */
struct modbus_request modbus_read_request(uint8_t unit, enum modbus_table table, uint16_t address,
                                          uint16_t count);

/* Whether TABLE holds bits (coils, discrete inputs) and not registers. */
bool modbus_table_is_bits(uint8_t table);

/* Where a valid request reads or writes, and whether that holds bits. */
enum modbus_table modbus_request_table(const struct modbus_request *request);
bool modbus_request_is_bits(const struct modbus_request *request);

bool modbus_request_is_write(const struct modbus_request *request);

/*
 * Whether the request may be sent: a function of those above, count within its limits, last
 * address within 65535, values there when it writes.
 */
bool modbus_request_is_valid(const struct modbus_request *request);

/* The most values that one request of this function may carry; 0 for another function. */
uint16_t modbus_request_most(uint8_t function);

#endif
