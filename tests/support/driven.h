/*
 * A driver without its line: loads a configuration that a test writes down as text, makes the
 * instance of its first bus and a poll for each device, and reads them on demand.
 */
#ifndef SALLYPORT_TESTS_SUPPORT_DRIVEN_H
#define SALLYPORT_TESTS_SUPPORT_DRIVEN_H

#include "agent/base/strbuf.h"
#include "drivers/driver.h"

#define DRIVEN_MAX_DEVICES 8

struct driven {
    struct config *config;
    const struct driver *driver;
    struct driver_host host;
    atomic_bool stop;
    struct driver_turn turn; /* a late reply is not waited for */
    void *line;
    void *polls[DRIVEN_MAX_DEVICES];
    struct batch batch; /* of the last read */
    struct driver_error error;
    struct strbuf text;
};

/* What the configuration says about BUSES_AND_DEVICES: findings as printed, "" when it is fine. */
const char *driven_check(const char *buses_and_devices);

/* Ends the program when the configuration is refused. */
void driven_open(struct driven *driven, const char *buses_and_devices);
void driven_close(struct driven *driven);

/* Starts an empty batch for DEVICE, which driver->read() or a part of it may fill. */
void driven_begin(struct driven *driven, size_t device);

/* Reads DEVICE with driver->read(). */
enum outcome driven_read(struct driven *driven, size_t device);

/* The batch as "a=21.5 b=timeout", tags in the order of the configuration; until the next call. */
const char *driven_values(struct driven *driven, size_t device);

#endif
