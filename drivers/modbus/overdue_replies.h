/*
 * Remembers which units still owe a reply, on a wire that they share and with a framing whose
 * replies carry no number. One that comes too late would pass for the answer to the next request of
 * the same function to the same unit. Such a request has to wait until the late reply came, or
 * cannot come any more.
 *
 * Pure: the time is given. One owner, the thread of the line.
 */
#ifndef SALLYPORT_DRIVERS_MODBUS_OVERDUE_REPLIES_H
#define SALLYPORT_DRIVERS_MODBUS_OVERDUE_REPLIES_H

#include "drivers/modbus/framing.h"

#include <stddef.h>
#include <stdint.h>

struct overdue_unit {
    struct modbus_request request; /* that it did not answer in time */
    uint16_t value;                /* its first value: all that a reply repeats */
    bool owes;
    int64_t sent_ns;
    int64_t worst_ns; /* how late it ever was: from the request to the reply */
};

struct overdue_replies {
    const struct framing *framing;
    int64_t timeout_ns;
    size_t n_owing;
    struct overdue_unit units[256];
};

/* FRAMING is constant; how replies are recognised. */
void overdue_replies_init(struct overdue_replies *late, const struct framing *framing,
                          int64_t timeout_ns);

/* REQUEST, sent at SENT_NS, was not answered in time. Nothing of it is kept by address. */
void overdue_replies_owe(struct overdue_replies *late, const struct modbus_request *request,
                         int64_t sent_ns);

/*
 * Until when REQUEST has to wait; 0 when it need not. The limit is twice the timeout after the
 * unanswered request, more for a unit that was seen to be later than that.
 */
int64_t overdue_replies_until(const struct overdue_replies *late,
                              const struct modbus_request *request);

/* How long after a request the latest of all late replies of REQUEST's unit came; 0: there was
 * none. */
int64_t overdue_replies_worst(const struct overdue_replies *late,
                              const struct modbus_request *request);

/* The unit of REQUEST is asked now: an older debt of the same function is given up. */
void overdue_replies_forget(struct overdue_replies *late, const struct modbus_request *request);

/* Looks for replies that are owed among the stray bytes that came up to NOW_NS. */
void overdue_replies_notice(struct overdue_replies *late, const uint8_t *bytes, size_t length,
                            int64_t now_ns);

#endif
