/*
 * One remembered sample for each tag of the gateway, each with room for its longest text: memory is
 * taken once. Used for the live view and for "report on change". Main loop only.
 */
#ifndef SALLYPORT_AGENT_FLOW_VALUE_TABLE_H
#define SALLYPORT_AGENT_FLOW_VALUE_TABLE_H

#include "config/schema/config.h"
#include "drivers/sample.h"

struct value_table; /* opaque */

struct value_table *value_table_new(const struct config *config);
struct value_table *value_table_free(struct value_table *table); /* accepts NULL, returns NULL */

/*
 * Takes over what OLD remembers of its device OLD_DEVICE for DEVICE: the same device, with the same
 * tags in the same order.
 */
void value_table_carry(struct value_table *table, size_t device, const struct value_table *old,
                       size_t old_device);

/* Remembers SAMPLE of tag sample.tag of DEVICE, read at TIMESTAMP_MS (any clock, not negative). */
void value_table_put(struct value_table *table, size_t device, const union slot *sample,
                     int64_t timestamp_ms);

/* The remembered sample and, unless NULL, its time; NULL when there is none yet. */
const union slot *value_table_get(const struct value_table *table, size_t device, size_t tag,
                                  int64_t *ret_timestamp_ms);

/* How many slots the longest sample of TAG takes. */
size_t value_table_room(const struct config_tag *tag);

#endif
