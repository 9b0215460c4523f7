/*
 * The latest values as JSON, for `sallyport watch`. Main loop only.
 */
#ifndef SALLYPORT_AGENT_LOCAL_VALUES_JSON_H
#define SALLYPORT_AGENT_LOCAL_VALUES_JSON_H

#include "agent/flow/value_table.h"
#include "agent/payload/json_text.h"
#include "config/schema/config.h"

/*
 * Writes one object for each device into the open array; DEVICE: only the one of that name, NULL
 * for all. Tags that were never read are left out. Returns 0, or -ENOENT: no such device.
 *
 *   {"device":"boiler","tags":[{"tag":"total","timestamp":1795343987123,"value":"17","unit":"h"},
 *                              {"tag":"alarm","timestamp":1795343987123,"error":"timeout"}]}
 *
 * "value" is the JSON text of the value, as the data message has it, inside a JSON string: so it
 * keeps all digits on its way through any JSON library.
 */
int values_json(const struct config *config, const struct value_table *values, const char *device,
                struct json_text *json);

#endif
