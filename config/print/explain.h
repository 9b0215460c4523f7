/* The reference of the configuration, for the terminal. Pure; any thread. */
#ifndef SALLYPORT_CONFIG_PRINT_EXPLAIN_H
#define SALLYPORT_CONFIG_PRINT_EXPLAIN_H

#include "config/schema/config.h"

/*
 * Appends the reference of KEY ("uplink.window", "buses.modbus_tcp.port", "devices.tags.scale"; a
 * table's name lists its keys; NULL: everything). Returns 0, or -ENOENT after appending the
 * nearest match.
 */
int config_explain(const char *key, const struct config_driver *const *drivers, struct strbuf *out);

#endif
