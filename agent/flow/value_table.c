/* One remembered sample for each tag. */
#include "agent/flow/value_table.h"

#include "agent/base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NEVER INT64_C(-1)

struct value_table_place {
    size_t slot; /* index into slots */
    int64_t timestamp_ms;
};

struct value_table {
    size_t *first; /* index of a device's first place; one more for the end */
    struct value_table_place *places;
    union slot *slots;
};

size_t value_table_room(const struct config_tag *tag)
{
    if (tag->type != VALUE_STRING)
        return 1;
    size_t bytes = tag->length > 0 ? 2 * (size_t)tag->length : SAMPLE_TEXT_MAX; /* Latin-1 grows */
    if (bytes > SAMPLE_TEXT_MAX)
        bytes = SAMPLE_TEXT_MAX;
    return 1 + (bytes + sizeof(union slot) - 1) / sizeof(union slot);
}

struct value_table *value_table_new(const struct config *config)
{
    struct value_table *table = memory_zeroed(1, sizeof(*table));
    table->first = memory_zeroed(config->n_devices + 1, sizeof(*table->first));
    size_t n_places = 0, n_slots = 0;
    for (size_t device = 0; device < config->n_devices; device++) {
        table->first[device] = n_places;
        n_places += config->devices[device].n_tags;
    }
    table->first[config->n_devices] = n_places;
    table->places = memory_zeroed(n_places, sizeof(*table->places));
    for (size_t device = 0, at = 0; device < config->n_devices; device++) {
        for (size_t tag = 0; tag < config->devices[device].n_tags; tag++, at++) {
            table->places[at] = (struct value_table_place){n_slots, NEVER};
            n_slots += value_table_room(&config->devices[device].tags[tag]);
        }
    }
    table->slots = memory_zeroed(n_slots, sizeof(*table->slots));
    return table;
}

struct value_table *value_table_free(struct value_table *table)
{
    if (!table)
        return NULL;
    free(table->first);
    free(table->places);
    free(table->slots);
    free(table);
    return NULL;
}

void value_table_put(struct value_table *table, size_t device, const union slot *sample,
                     int64_t timestamp_ms)
{
    struct value_table_place *place = &table->places[table->first[device] + sample->sample.tag];
    memcpy(table->slots + place->slot, sample, sample_slots(sample) * sizeof(*sample));
    place->timestamp_ms = timestamp_ms;
}

void value_table_carry(struct value_table *table, size_t device, const struct value_table *old,
                       size_t old_device)
{
    const struct value_table_place *from = old->places + old->first[old_device];
    size_t n_tags = table->first[device + 1] - table->first[device];
    assert(n_tags == old->first[old_device + 1] - old->first[old_device]);
    for (size_t i = 0; i < n_tags; i++) {
        if (from[i].timestamp_ms != NEVER)
            value_table_put(table, device, old->slots + from[i].slot, from[i].timestamp_ms);
    }
}

const union slot *value_table_get(const struct value_table *table, size_t device, size_t tag,
                                  int64_t *ret_timestamp_ms)
{
    const struct value_table_place *place = &table->places[table->first[device] + tag];
    if (place->timestamp_ms == NEVER)
        return NULL;
    if (ret_timestamp_ms)
        *ret_timestamp_ms = place->timestamp_ms;
    return &table->slots[place->slot];
}
