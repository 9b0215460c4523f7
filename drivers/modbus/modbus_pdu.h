/*
 * Modbus requests and their replies as bytes, without what a framing puts around them: the PDU.
 * Encoding and checking are side by side; every reply is checked against its request. Pure: no
 * I/O, no state; any thread. Source: "MODBUS Application Protocol Specification V1.1b3".
 */
#ifndef SALLYPORT_DRIVERS_MODBUS_MODBUS_PDU_H
#define SALLYPORT_DRIVERS_MODBUS_MODBUS_PDU_H

#include "drivers/modbus/modbus_request.h"

#define PDU_MAX 253             /* bytes (section 4.1) */
#define PDU_DATA_MAX 250        /* bytes of values in a reply */
#define PDU_EXCEPTION_FLAG 0x80 /* set in the function code of a refusal (section 7) */
#define PDU_EXCEPTION_BYTES 2

/* What the bytes that came are, measured against the request. */
enum verdict {
    VERDICT_GOOD,              /* done as asked; values when it was a read */
    VERDICT_EXCEPTION,         /* the unit refused */
    VERDICT_INCOMPLETE,        /* nothing wrong so far; more bytes have to come */
    VERDICT_NOT_MODBUS,        /* no frame where one has to begin; the stream is lost */
    VERDICT_WRONG_TRANSACTION, /* answers another request; the stream is fine */
    VERDICT_WRONG_UNIT,
    VERDICT_WRONG_FUNCTION,
    VERDICT_WRONG_LENGTH, /* not the number of values asked for, or it contradicts itself */
    VERDICT_WRONG_WRITE,  /* confirms that something else was written */
    VERDICT_DAMAGED,      /* a wrong checksum */
};

/* A clause for the log: "the reply came from another unit". */
const char *verdict_text(enum verdict verdict);

/* What a good or refusing reply says. Owns its bytes. */
struct pdu_reply {
    uint8_t exception;          /* EXCEPTION: the code, never 0; GOOD: 0 */
    uint8_t data[PDU_DATA_MAX]; /* GOOD, of a read: values as on the wire; else not set */
};

/* Writes the PDU of a valid request. Returns its length, at most PDU_MAX. */
size_t pdu_encode(const struct modbus_request *request, uint8_t *pdu);

/* Bytes of the PDU of a good reply to a valid request. */
size_t pdu_reply_bytes(const struct modbus_request *request);

/*
 * Bytes of the PDU of a reply that begins with FUNCTION; 0 when that is neither the function of
 * the request nor its refusal.
 */
size_t pdu_expected_bytes(const struct modbus_request *request, uint8_t function);

/* Whether a good reply is the same bytes as the request: a write of one value. */
bool pdu_reply_repeats_request(const struct modbus_request *request);

/* Judges a whole PDU of LENGTH bytes, at least 1. RET_REPLY is filled for GOOD and EXCEPTION. */
enum verdict pdu_check(const struct modbus_request *request, const uint8_t *pdu, size_t length,
                       struct pdu_reply *ret_reply);

/* Bytes of values in a good reply to a valid read: 1 to 250; 0 for a write. */
size_t pdu_data_bytes(const struct modbus_request *request);

/* Value I of the data of a read: a register, or 0 or 1 for a bit. */
uint16_t pdu_value(const struct modbus_request *request, const uint8_t *data, size_t i);

/* Numbers on the wire: high byte first. */
uint16_t pdu_get_u16(const uint8_t *bytes);
void pdu_put_u16(uint8_t *bytes, uint16_t value);

#endif
