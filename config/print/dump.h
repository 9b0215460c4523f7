/* The configuration as it was understood: one loadable file. Pure; any thread. */
#ifndef SALLYPORT_CONFIG_PRINT_DUMP_H
#define SALLYPORT_CONFIG_PRINT_DUMP_H

#include "config/schema/config.h"

/* Appends the whole configuration as a loadable file, defaults filled in, secrets as "(secret)". */
void config_dump(const struct config *config, struct strbuf *out);

#endif
