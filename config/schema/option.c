/* Look-ups in tables of keys. */
#include "config/schema/option.h"

#include <assert.h>
#include <string.h>

const struct option *option_find(const struct option_table *table, const char *key)
{
    for (size_t i = 0; i < table->n_rows; i++) {
        if (strcmp(table->rows[i].key, key) == 0)
            return &table->rows[i];
    }
    return NULL;
}

uint64_t option_bit(const struct option_table *table, const char *key)
{
    const struct option *row = option_find(table, key);
    assert(row);
    return UINT64_C(1) << (row - table->rows);
}
