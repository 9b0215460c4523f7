/*
 * Modbus read requests and their replies as bytes (functions 1 to 4), for TCP and for RTU. Pure:
 * no I/O, no state; any thread. Every reply is checked against its request: transaction, unit,
 * function, length, checksum. Sources: "MODBUS Application Protocol Specification V1.1b3" (PDU),
 * "MODBUS Messaging on TCP/IP Implementation Guide V1.0b" (MBAP header), "MODBUS over Serial Line
 * V1.02" (RTU frame).
 */
#ifndef SALLYPORT_DRIVERS_MODBUS_MODBUS_PDU_H
#define SALLYPORT_DRIVERS_MODBUS_MODBUS_PDU_H

#include "drivers/driver.h"

#define PDU_MAX_REGISTERS 125 /* of one request (6.3, 6.4) */
#define PDU_MAX_BITS 2000     /* of one request (6.1, 6.2) */

#define TCP_REQUEST_BYTES 12
#define TCP_FRAME_MAX 260 /* header 7 + PDU 253 */
#define RTU_REQUEST_BYTES 8
#define RTU_FRAME_MAX 256

/* What the bytes that came are, measured against the request. */
enum verdict {
    VERDICT_GOOD,              /* values */
    VERDICT_EXCEPTION,         /* the unit refused */
    VERDICT_INCOMPLETE,        /* nothing wrong so far; more bytes have to come */
    VERDICT_NOT_MODBUS,        /* TCP: no MBAP header where one has to be; the stream is lost */
    VERDICT_WRONG_TRANSACTION, /* TCP: answers another request; the stream is fine */
    VERDICT_WRONG_UNIT,
    VERDICT_WRONG_FUNCTION,
    VERDICT_WRONG_LENGTH, /* not the number of values asked for, or it contradicts itself */
    VERDICT_DAMAGED,      /* RTU: the right header and length, but a wrong checksum */
};

/* A sentence for the log: "the reply came from another unit". */
const char *verdict_text(enum verdict verdict);

/* What a good or refusing reply says. */
struct pdu_reply {
    const uint8_t *data; /* GOOD: values as on the wire; points into the bytes that were checked */
    uint8_t exception;   /* EXCEPTION: the code, never 0 */
};

/* The function code that reads TABLE: 1 to 4. */
uint8_t pdu_function(enum driver_table table);

/* Whether TABLE holds bits (coils, discrete inputs) and not registers. */
bool pdu_is_bits(uint8_t table);

/* Whether the request may be sent: table, count within the limits, last address within 65535. */
bool pdu_valid(const struct driver_request *request);

/* Bytes of values in a good reply to a valid request: 1 to 250. */
size_t pdu_data_bytes(const struct driver_request *request);

/* Value I of the reply's data: a register, or 0 or 1 for a bit. */
uint16_t pdu_value(const struct driver_request *request, const uint8_t *data, size_t i);

/* Builds the frame of a valid request. */
void tcp_encode(const struct driver_request *request, uint16_t transaction,
                uint8_t frame[TCP_REQUEST_BYTES]);

/*
 * Judges the first frame in BYTES. *RET_FRAME is its length unless the verdict is INCOMPLETE or
 * NOT_MODBUS. RET_REPLY is filled for GOOD and EXCEPTION.
 */
enum verdict tcp_check(const struct driver_request *request, uint16_t transaction,
                       const uint8_t *bytes, size_t length, size_t *ret_frame,
                       struct pdu_reply *ret_reply);

/* CRC-16 of the serial line (appendix B); goes out low byte first. */
uint16_t rtu_crc(const uint8_t *bytes, size_t length);

/* Builds the frame of a valid request. */
void rtu_encode(const struct driver_request *request, uint8_t frame[RTU_REQUEST_BYTES]);

/* Bytes of the frame of a good reply. */
size_t rtu_reply_bytes(const struct driver_request *request);

/* Judges BYTES as a reply that begins at the first one; bytes behind it do not matter. */
enum verdict rtu_check(const struct driver_request *request, const uint8_t *bytes, size_t length,
                       struct pdu_reply *ret_reply);

/*
 * Looks for the reply anywhere in BYTES, so that noise or a foreign frame before it does no harm.
 * Returns GOOD or EXCEPTION, with *RET_END set behind the reply; else INCOMPLETE when it may still
 * come, DAMAGED when it came with a wrong checksum, or what is wrong with the first bytes.
 */
enum verdict rtu_find(const struct driver_request *request, const uint8_t *bytes, size_t length,
                      size_t *ret_end, struct pdu_reply *ret_reply);

/*
 * How many bytes are worth waiting for before rtu_find() is asked again: the rest of the first
 * frame that looks like the reply, else the shortest reply. 1 or more.
 */
size_t rtu_missing(const struct driver_request *request, const uint8_t *bytes, size_t length);

#endif
