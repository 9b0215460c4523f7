/* Two invented drivers, so that tests of the configuration depend on no real one. */
#ifndef SALLYPORT_TESTS_SUPPORT_FAKE_DRIVERS_H
#define SALLYPORT_TESTS_SUPPORT_FAKE_DRIVERS_H

#include "config/schema/config.h"

struct fake_bus {
    char *host;
    int64_t port;
};

struct fake_device {
    int64_t unit;
};

struct fake_tag {
    int table; /* 0: word, 1: flag */
    int64_t address, bit;
};

/*
 * "fake_tcp": host (required), port; unit 1..247; table, address (required), bit. Its check wants
 * a value to end at address 100, makes a flag a bool, and knows no port 666.
 * "fake_text": poll (bytes); nothing; match (required).
 */
extern const struct config_driver *const fake_drivers[];

#endif
