/*
 * The JSON dialect. P is `<prefix>/<site>/<id>`; everything goes out with QoS 1.
 *
 *   P/data/<device>, P/event   {"stream":..,"seq":..,["historical":true,]"timestamp":..,...}
 *   P/status                   retained; opens each session; its will is {"state":"offline"}
 *   P/challenge                retained; P/reply; P/command comes from the broker
 *
 * A stored body begins after the identity, at "timestamp".
 */
#ifndef SALLYPORT_AGENT_PAYLOAD_DIALECT_JSON_H
#define SALLYPORT_AGENT_PAYLOAD_DIALECT_JSON_H

#include "agent/payload/dialect.h"

extern const struct dialect_type dialect_json;

#endif
