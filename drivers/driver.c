/* The list of drivers, and the way from a loaded bus to its driver. Constants only; any thread. */
#include "drivers/driver.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

const struct config_driver *const *drivers_for_config(void)
{
    return drivers_all_config;
}

const struct driver *driver_of(const struct config_driver *config)
{
    size_t i = 0;
    while (drivers_all[i] && &drivers_all[i]->config != config)
        i++;
    assert(drivers_all[i]); /* a loaded bus names a driver of this build */
    return drivers_all[i];
}

void driver_explain(struct driver_error *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
}
