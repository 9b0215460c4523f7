/* The table of dialects, made from the rows of PAYLOAD_DIALECTS. */
#include "agent/payload/dialect_table.h"

#include "agent/base/macros.h"

#include <stddef.h>

#define DECLARE(constant, name) extern const struct dialect_type dialect_##name;
PAYLOAD_DIALECTS(DECLARE)

#define ADDRESS(constant, name) &dialect_##name,
static const struct dialect_type *const types[] = {PAYLOAD_DIALECTS(ADDRESS)};

struct dialect *dialect_new(const struct config *config)
{
    size_t format = (size_t)config->uplink.format;
    return format < ARRAY_LENGTH(types) ? types[format]->create(config) : NULL;
}
