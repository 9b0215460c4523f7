/*
 * Fills a driver's options the way a configuration file would, by key: for tests of one driver
 * without the loader.
 */
#ifndef SALLYPORT_TESTS_SUPPORT_OPTIONS_H
#define SALLYPORT_TESTS_SUPPORT_OPTIONS_H

#include "config/schema/option.h"

#include <assert.h>
#include <stdbool.h>

/* Where the value of KEY lies in OPTIONS; it must be declared with this TYPE. */
static inline void *option_place(const struct option_table *table, void *options, const char *key,
                                 enum option_type type)
{
    const struct option *row = option_find(table, key);
    assert(row && row->type == type);
    return (char *)options + row->offset;
}

static inline void option_set_bool(const struct option_table *table, void *options, const char *key,
                                   bool value)
{
    *(bool *)option_place(table, options, key, OPTION_BOOL) = value;
}

static inline void option_set_int(const struct option_table *table, void *options, const char *key,
                                  int64_t value)
{
    *(int64_t *)option_place(table, options, key, OPTION_INT) = value;
}

static inline void option_set_float(const struct option_table *table, void *options,
                                    const char *key, double value)
{
    *(double *)option_place(table, options, key, OPTION_FLOAT) = value;
}

static inline void option_set_enum(const struct option_table *table, void *options, const char *key,
                                   int value)
{
    *(int *)option_place(table, options, key, OPTION_ENUM) = value;
}

/* VALUE stays the caller's. */
static inline void option_set_text(const struct option_table *table, void *options, const char *key,
                                   enum option_type type, char *value)
{
    *(char **)option_place(table, options, key, type) = value;
}

#endif
