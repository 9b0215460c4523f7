/*
 * One poll of one Modbus unit, the same for every kind of wire: which requests it takes, what to
 * do with their replies, and which tags to leave alone. One owner, the thread of its line.
 *
 * A unit may refuse a merged request because one of its addresses does not exist. The request is
 * then halved until the guilty tag is found. That tag is left out, reports the exception, and is
 * tried again on its own after 10 s, then ever more rarely; all others keep arriving, in the very
 * poll in which it was found. When both halves are fine, what lies between them is not: they are
 * kept apart from then on.
 *
 * A unit that refuses every tag is asked for one of them every 10 s, each in its turn. When one is
 * answered, the others are tried at once.
 */
#ifndef SALLYPORT_DRIVERS_MODBUS_MODBUS_POLL_H
#define SALLYPORT_DRIVERS_MODBUS_MODBUS_POLL_H

#include "drivers/driver.h"
#include "drivers/modbus/modbus_pdu.h"

struct modbus_poll; /* opaque */

/* How a request is carried out: OUTCOME_OK with REPLY filled, else with ERROR filled. */
typedef enum outcome (*modbus_exchange)(void *line, const struct modbus_request *request,
                                        struct pdu_reply *reply, struct driver_error *error);

/* Plans the tags TAGS[0..N_TAGS-1] of DEVICE, whose options are the Modbus ones, checked. */
struct modbus_poll *modbus_poll_new(const struct config_device *device, const uint16_t *tags,
                                    size_t n_tags);
struct modbus_poll *modbus_poll_free(struct modbus_poll *poll); /* accepts NULL, returns NULL */

/* Request I of the plan. Returns false when there are no more. */
bool modbus_poll_request(const struct modbus_poll *poll, size_t i,
                         struct modbus_request *ret_request);

struct modbus_poll_wish {
    int64_t now_ns; /* clock_mono_ns() */
    bool must_ask;  /* at least one request, though everything is refused */
};

/*
 * Does what driver->read() promises. One bad reply costs the tags of
 * its request; after two in a row, or a timeout, the unit is not asked further.
 */
enum outcome modbus_poll_read(struct modbus_poll *poll, modbus_exchange exchange, void *line,
                              const struct modbus_poll_wish *wish, struct batch *batch,
                              struct driver_error *error);

/* Does what driver->request() promises for the modbus_service: carries out CALL. */
enum outcome modbus_request_once(modbus_exchange exchange, void *line, struct modbus_call *call,
                                 struct driver_error *error);

#endif
