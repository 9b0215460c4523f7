/*
 * One request and its reply on a line: any framing over any transport. Keeps the silence that a
 * serial line needs, finds the reply among whatever else comes, and leaves the line so that the
 * next request starts clean: a late reply is never taken for another.
 *
 * - With a numbered framing a late reply is known by its number. When anything goes wrong on a TCP
 *   connection, it is closed at once and the next request dials again: a new connection cannot
 *   carry an old reply. A request that met a stream out of step is repeated once, if it may be.
 * - With the others, units are reached over a wire that they share, be it behind a serial port or
 *   behind a network. Silence does not end the connection; a request that a late reply could be
 *   mistaken for waits (overdue_replies.h), also when the connection has been made again meanwhile.
 *
 * One owner, the thread of the line.
 */
#ifndef SALLYPORT_DRIVERS_MODBUS_MODBUS_LINE_H
#define SALLYPORT_DRIVERS_MODBUS_MODBUS_LINE_H

#include "drivers/driver.h"
#include "drivers/modbus/framing.h"
#include "drivers/transport/transport.h"

struct modbus_line; /* opaque */

/*
 * Takes over TRANSPORT. TIMEOUT_MS: from the end of a request to its reply, or on a serial port to
 * the first byte of it. A late reply is waited for as TURN allows (see struct driver_host), but no
 * longer than TIMEOUT_MS once more, and 10 s.
 */
struct modbus_line *modbus_line_new(const struct framing *framing, struct transport *transport,
                                    int64_t timeout_ms, const struct driver_turn *turn);

/* The functions of struct driver that do not depend on the keys of the bus; see there. LINE is a
 * struct modbus_line, POLL a struct modbus_poll. */
void modbus_line_free(void *line);
int modbus_line_prepare(void *line, const struct config_device *device, const uint16_t *tags,
                        size_t n_tags, void **ret_poll);
void modbus_line_poll_free(void *poll);
int modbus_line_connect(void *line, struct driver_error *error);
void modbus_line_disconnect(void *line);
enum outcome modbus_line_read(void *line, void *poll, struct batch *batch,
                              struct driver_error *error);
enum outcome modbus_line_request(void *line, void *body, struct driver_error *error);
int64_t modbus_line_cost_us(void *line, const void *poll);
struct driver_link modbus_line_link(const void *line);

/* All of them, for the initialiser of a struct driver. */
#define MODBUS_LINE_FUNCTIONS                                                                      \
    .free = modbus_line_free, .prepare = modbus_line_prepare, .poll_free = modbus_line_poll_free,  \
    .connect = modbus_line_connect, .disconnect = modbus_line_disconnect,                          \
    .read = modbus_line_read, .request = modbus_line_request, .service = &modbus_service,          \
    .cost_us = modbus_line_cost_us, .link = modbus_line_link

/*
 * Carries out a valid request; fit for modbus_exchange. OUTCOME_OK with a text in ERROR: the reply
 * came after the timeout. OUTCOME_DISCONNECTED: the connection or the
 * device is gone, or the line was asked to stop. Whether a request that failed was carried out is
 * not known, except that it was not when ERROR says that there was no connection.
 */
enum outcome modbus_line_exchange(void *line, const struct modbus_request *request,
                                  struct pdu_reply *reply, struct driver_error *error);

#endif
