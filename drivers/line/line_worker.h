/*
 * A line from the inside: what line.c makes and line_worker.c drives. No other file includes this.
 *
 * The worker owns the driver's instance, the schedule, the batch and the connection while it
 * runs; what others read meanwhile is atomic or under the lock.
 */
#ifndef SALLYPORT_DRIVERS_LINE_LINE_WORKER_H
#define SALLYPORT_DRIVERS_LINE_LINE_WORKER_H

#include "drivers/line/line_callbacks.h"
#include "drivers/line/line_state.h"
#include "drivers/line/schedule.h"

#include <pthread.h>

/* The tags of one device that share an interval: read together, delivered as one batch. */
struct group {
    uint16_t *tags; /* owned: indexes into the device's tags */
    size_t n_tags;
    void *poll; /* the driver's plan, owned */
    int64_t cost_us;
};

struct unit {
    atomic_int state; /* enum device_state */
    atomic_ullong polls_ok, polls_failed;
    atomic_ullong polls_late;
    atomic_bool is_late;
    atomic_uint failures_in_row, last_us;
    char error[160]; /* under the line's lock */
};

struct mailbox {
    bool full;
    struct driver_request request;
    line_request_done done;
    void *context;
};

struct line {
    const struct config *config;
    size_t bus;
    const struct driver *driver;
    void *instance;
    struct driver_host host;
    struct driver_link link;
    struct line_callbacks callbacks;
    size_t phase, total;

    struct schedule schedule;
    struct group *groups; /* same order as schedule.groups */
    struct unit *units;   /* same order as schedule.units and devices */
    size_t *devices;
    uint16_t number, *numbers; /* see line_set_numbers(); same order as devices */
    struct batch batch;        /* large enough for every group */

    struct driver_turn turn; /* what the driver may know of it */

    bool connected;
    unsigned failed_dials; /* in a row, until something was exchanged */
    int64_t dial_at_ns;
    uint64_t chance; /* state of the random numbers */

    atomic_bool stop;
    atomic_int state; /* enum line_state */
    atomic_ullong polls_ok, polls_failed, polls_skipped, batches_refused, heartbeat;

    pthread_mutex_t lock; /* of what follows, and of units[].error */
    pthread_cond_t wake;
    struct mailbox mailbox;
    atomic_bool mail; /* mailbox.full, to look at without the lock */
    char error[160];

    pthread_t thread;
    bool started;
};

/* The worker thread, from line_start() to line_stop(). ARGUMENT is its struct line. */
void *line_work(void *argument);

#endif
