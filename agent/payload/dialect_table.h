/* The dialects of this build. Main loop only. */
#ifndef SALLYPORT_AGENT_PAYLOAD_DIALECT_TABLE_H
#define SALLYPORT_AGENT_PAYLOAD_DIALECT_TABLE_H

#include "agent/payload/dialect.h"
#include "config/schema/config.h"

/*
 * An instance of the dialect that CONFIG asks for; NULL when this build does not have it. Owned by
 * the caller: dialect_free().
 */
struct dialect *dialect_new(const struct config *config);

#endif
