/* The table of dialects. */
#include "agent/payload/dialect_table.h"

#include "agent/payload/dialect_json.h"

#include <stddef.h>

static const struct dialect_type *const types[] = {
    [FORMAT_JSON] = &dialect_json, [FORMAT_SPARKPLUG] = NULL, /* the configuration check refuses it
                                                                 until there is one */
};

struct dialect *dialect_new(const struct config *config)
{
    const struct dialect_type *type = types[config->uplink.format];
    return type ? type->create(config) : NULL;
}
