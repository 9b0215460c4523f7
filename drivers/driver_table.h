/* What the generated table and driver.c share. Nobody else includes this: see driver.h. */
#ifndef SALLYPORT_DRIVERS_DRIVER_TABLE_H
#define SALLYPORT_DRIVERS_DRIVER_TABLE_H

#include "drivers/driver.h"

/* The `config` member of each driver in drivers_all, same order, NULL-terminated. */
extern const struct config_driver *const drivers_all_config[];

#endif
