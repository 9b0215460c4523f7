/*
 * One worker thread per serial line or TCP endpoint, shared by all devices on it. It polls on
 * absolute time (no drift, no catch-up bursts), keeps a circuit breaker per unit, redials with
 * back-off, and serves requests of the command line between polls.
 *
 * The owner (the main loop) makes, starts, asks and stops lines; nothing here waits for the owner:
 * a batch that is not taken is counted and dropped.
 */
#ifndef SALLYPORT_DRIVERS_LINE_LINE_H
#define SALLYPORT_DRIVERS_LINE_LINE_H

#include "drivers/driver.h"
#include "drivers/line/line_callbacks.h"
#include "drivers/line/line_state.h"

#include <stddef.h>
#include <stdint.h>

struct line; /* opaque */

/* A snapshot for the status; plain numbers, taken without stopping the worker. */
struct line_health {
    enum line_state state;
    uint64_t polls_ok, polls_failed; /* since the start */
    uint64_t polls_skipped;          /* due, but the line was busy: never caught up; polls that
                                        a tripped unit or a lost connection prevented do not count */
    uint64_t batches_refused;        /* deliver() had no room */
    uint64_t heartbeat;              /* rises while the worker moves: every 2 s when idle, and else
                                        after one connect or one read at the longest */
    char error[160];                 /* why it was last down, "" for never */
};

struct device_health {
    enum device_state state;
    uint64_t polls_ok, polls_failed;
    uint64_t polls_late; /* of the good ones: a reply came after the timeout */
    bool is_late;        /* the last good one was such a poll; `error` says how late */
    uint32_t failures_in_row;
    uint32_t last_us; /* duration of the last good poll */
    char error[160];  /* the last reason of failure or lateness, kept after it recovered */
};

/*
 * Makes the line of bus BUS in CONFIG with all devices on it; plans every poll. PHASE is the
 * place of this line's first poll group among the TOTAL groups of the gateway, for staggered
 * starts. CONFIG must outlive the line. Returns 0 and the owned line, or a negative errno.
 */
int line_new(const struct config *config, size_t bus, const struct line_callbacks *callbacks,
             size_t phase, size_t total, struct line **ret_line);

/* How many poll groups (device x interval) bus BUS has: for `phase` and `total` above. */
size_t line_group_count(const struct config *config, size_t bus);

/*
 * Under which numbers the line and its devices report themselves: `owner` of a batch's header.
 * DEVICES has one for each device of CONFIG. Before line_start(); unless called, the numbers are
 * the indexes in CONFIG.
 */
void line_set_numbers(struct line *line, uint16_t number, const uint16_t *devices);

/*
 * The device with the index DEVICE in CONFIG was tripped when the line that had it before ended: it
 * is probed at once, and its recovery is reported. Before line_start().
 */
void line_set_tripped(struct line *line, size_t device);

/* The configuration that the line was made from. */
const struct config *line_config(const struct line *line);

int line_start(struct line *line);         /* 0 or a negative errno */
void line_stop(struct line *line);         /* asks the worker to end; does not wait */
struct line *line_free(struct line *line); /* stops, joins, frees; accepts NULL, returns NULL */

/* Device indexes in CONFIG that live on this line; owned by the line. */
const size_t *line_devices(const struct line *line, size_t *ret_length);

void line_get_health(struct line *line, struct line_health *ret_health);
void line_get_device_health(struct line *line, size_t device, struct device_health *ret_health);

/*
 * Puts a request into the line's mailbox; DONE is called by the worker thread when it ended. It is
 * served before the next poll, and dials when the line is not connected. What it asks for and its
 * reply stay the caller's, and belong to the worker until DONE. A request whose connection broke is
 * repeated once, if it may be. Returns 0, -EBUSY while another request is waiting or being served,
 * or -ENOTCONN when the line does not run. When the line stops first, DONE is called with
 * OUTCOME_DISCONNECTED.
 */
int line_request(struct line *line, const struct driver_request *request, line_request_done done,
                 void *context);

/*
 * What polling takes of the line's time, for `sallyport check`. cycle_s and load are 0 for a driver
 * that does not know its wire times (TCP).
 */
struct line_budget {
    double cycle_s;    /* wire time of polling everything once */
    double load;       /* share of the line's time that the intervals ask for; above 1: too much */
    double dead_one_s; /* the same cycle when the unit falls silent that costs most then: each of
                          its groups takes the bus's `timeout_ms` */
};
void line_get_budget(struct line *line, struct line_budget *ret_budget);

#endif
