/*
 * What a driver is: the only header that a driver's author reads, beside sample.h.
 *
 * A driver talks to one line: a TCP endpoint or a serial port with the devices on it. line.c
 * runs each line in a worker thread of its own and does everything that is the same for all
 * drivers: schedule, circuit breaker, reconnect back-off, counters, delivery. All functions below
 * are called by that one thread (create, prepare, cost_us and free also before it starts or
 * after it ended); a driver therefore needs no lock, keeps no file-scope state, and may block,
 * but never for longer than its configured timeout, or until the line is wanted by another poll.
 *
 * A new driver is one file with one `const struct driver NAME_driver`, one line in
 * drivers/CMakeLists.txt, and one test of the same name.
 */
#ifndef SALLYPORT_DRIVERS_DRIVER_H
#define SALLYPORT_DRIVERS_DRIVER_H

#include "config/schema/config.h"
#include "drivers/sample.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* How an exchange with a unit ended. */
enum outcome {
    OUTCOME_OK,           /* the unit answered, exceptions included */
    OUTCOME_TIMEOUT,      /* silence */
    OUTCOME_BAD_REPLY,    /* an answer that does not fit the request; the stream is clean again */
    OUTCOME_DISCONNECTED, /* the connection or the serial device is gone: connect() again */
    OUTCOME_UNSUPPORTED,  /* this driver cannot do that at all */
};

/* Why something failed, for the log and the status: one line, "" for nothing. */
struct driver_error {
    char text[160];
};

/* Fills ERROR, cut to its size. */
void driver_explain(struct driver_error *error, const char *format, ...) PRINTF_LIKE(2, 3);

/* What a driver may know of the present read or request; set before each. */
struct driver_turn {
    /*
     * Until when the line may be busy without costing another poll its turn, as clock_mono_ns(). A
     * late reply may be waited for until then.
     */
    int64_t spare_until_ns;
    bool must_ask; /* the unit did not answer when asked last: a poll must ask it something */
};

/* What a line gives to its driver. Valid as long as the instance. */
struct driver_host {
    const struct config_bus *bus;
    const atomic_bool *stop;        /* a wait longer than 100 ms looks at it and gives up early */
    const struct driver_turn *turn; /* NULL: all of it is zero */
};

/* A kind of request that some drivers carry out outside the schedule; told apart by address. */
struct driver_service {
    const char *name; /* "reading registers", for messages */
};

struct driver_request {
    const struct driver_service *service;
    void *body;      /* as the service defines it: what is asked, and room for the reply */
    bool may_repeat; /* carrying it out twice does no harm */
};

/* What the worker of a line has to know of its connection; constant for the life of an instance. */
struct driver_link {
    int64_t timeout_us; /* what a poll costs when its unit is silent */
    /*
     * A timeout leaves the connection as it is. Where false, it closes the connection and the next
     * poll dials again, so that a late answer cannot meet the next question (Modbus TCP).
     */
    bool outlives_timeout;
    /*
     * A connection that breaks is worth dialling again at once (a server closes idle ones). Where
     * false, the device itself is gone when it breaks, and with it the whole line (a serial port).
     */
    bool redials;
};

struct driver {
    struct config_driver config; /* name, keys, checks */

    /* Makes the instance of one line. No I/O. Returns 0 or a negative errno. */
    int (*create)(const struct driver_host *host, void **ret_line);
    void (*free)(void *line); /* accepts NULL; disconnects first */

    /*
     * Plans one poll: the tags of DEVICE whose indexes are TAGS[0..N_TAGS-1], read together.
     * Everything that the poll will need is allocated here. Returns 0 or a negative errno.
     */
    int (*prepare)(void *line, const struct config_device *device, const uint16_t *tags,
                   size_t n_tags, void **ret_poll);
    void (*poll_free)(void *poll); /* accepts NULL */

    /* Connects within the timeout. Returns 0, or a negative errno with ERROR filled. */
    int (*connect)(void *line, struct driver_error *error);
    void (*disconnect)(void *line); /* may be called when not connected */

    /*
     * Reads one poll while connected and puts exactly one sample for each of its tags into BATCH,
     * which has been begun and has room. Reading may be repeated: it changes nothing in a unit.
     * Fills ERROR unless the outcome is OUTCOME_OK; then it does so only when a reply came after
     * the timeout, to say how late. After a timeout the rest of the poll is not tried: its tags
     * get QUALITY_TIMEOUT.
     */
    enum outcome (*read)(void *line, void *poll, struct batch *batch, struct driver_error *error);

    /*
     * One request outside the schedule. BODY is that of a driver_request of this `service`. The
     * driver never carries it out twice unless it may be repeated. Both NULL when it takes none.
     */
    enum outcome (*request)(void *line, void *body, struct driver_error *error);
    const struct driver_service *service;

    /* Wire time of one poll in microseconds when all goes well; 0 when unknown. May be NULL. */
    int64_t (*cost_us)(void *line, const void *poll);

    /*
     * How its connection is to be treated. A driver that closes by itself after a timeout or a bad
     * reply also dials by itself when it is asked next.
     */
    struct driver_link (*link)(const void *line);
};

/* Every driver of this build, NULL-terminated; generated from drivers/CMakeLists.txt. */
extern const struct driver *const drivers_all[];

/* The `config` member of each, same order, NULL-terminated; and as the loader takes it. */
extern const struct config_driver *const drivers_all_config[];
const struct config_driver *const *drivers_for_config(void);

/* The driver that declared CONFIG, found through the list above. Never NULL for a loaded bus. */
const struct driver *driver_of(const struct config_driver *config);

#endif
