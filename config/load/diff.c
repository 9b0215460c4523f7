/* What changed between two generations of the configuration, and what has to be restarted for it.
 */
#include "config/load/diff.h"

#include "config/schema/config.h"
#include "config/schema/table.h"

#include <stdio.h>
#include <string.h>

struct diff {
    const struct config *old, *fresh;
    bool *lines; /* may be NULL */
    struct strbuf *out;
    enum reload_class highest;
};

static void raise_to(struct diff *diff, enum reload_class class)
{
    if (class > diff->highest)
        diff->highest = class;
}

/* The line of this name, if the fresh generation has it, is not what it was. */
static void touch_line(struct diff *diff, const char *bus_name)
{
    raise_to(diff, RELOAD_LINE);
    for (size_t i = 0; diff->lines && i < diff->fresh->n_buses; i++) {
        if (strcmp(diff->fresh->buses[i].name, bus_name) == 0)
            diff->lines[i] = true;
    }
}

/* Compares one table; returns whether anything in it changed. */
static bool compare(struct diff *diff, const struct option_table *table, const void *old,
                    const void *fresh, const char *prefix)
{
    size_t changes = 0;
    if (table->n_rows == 0)
        return false;
    raise_to(diff, table_compare(table, old, fresh, prefix, diff->out, &changes));
    return changes > 0;
}

static void compare_bus(struct diff *diff, size_t index)
{
    const struct config_bus *fresh = &diff->fresh->buses[index];
    const struct config_bus *old = config_find_bus(diff->old, fresh->name);
    char key[FULL_KEY_BYTES];
    (void)full_key(config_bus_table.path, fresh->name, key, sizeof(key));
    if (!old) {
        strbuf_addf(diff->out, "%s: added\n", key);
        touch_line(diff, fresh->name);
        return;
    }
    bool changed = compare(diff, &config_bus_table, old, fresh, key);
    if (old->driver == fresh->driver)
        changed |= compare(diff, &fresh->driver->bus, old->options, fresh->options, key);
    bool moved = (size_t)(old - diff->old->buses) != index;
    if (moved)
        strbuf_addf(diff->out, "%s: moved within the list\n", key);
    if (changed || moved)
        touch_line(diff, fresh->name);
}

static void compare_buses(struct diff *diff)
{
    for (size_t i = 0; i < diff->fresh->n_buses; i++)
        compare_bus(diff, i);
    for (size_t i = 0; i < diff->old->n_buses; i++) {
        if (config_find_bus(diff->fresh, diff->old->buses[i].name))
            continue;
        strbuf_addf(diff->out, "%s.%s: removed\n", config_bus_table.path, diff->old->buses[i].name);
        raise_to(diff, RELOAD_LINE);
    }
}

/* The drivers of both devices; their own keys can be compared only if it is the same. */
static const struct config_driver *common_driver(const struct diff *diff,
                                                 const struct config_device *old,
                                                 const struct config_device *fresh)
{
    const struct config_driver *driver = diff->fresh->buses[fresh->bus].driver;
    return diff->old->buses[old->bus].driver == driver ? driver : NULL;
}

static bool compare_tags(struct diff *diff, const struct config_device *old,
                         const struct config_device *fresh, const char *prefix)
{
    const struct config_driver *driver = common_driver(diff, old, fresh);
    bool changed = false;
    char key[FULL_KEY_BYTES];
    for (size_t i = 0; i < fresh->n_tags; i++) {
        const struct config_tag *tag = &fresh->tags[i],
                                *before = config_find_tag(old, tag->name, i);
        (void)snprintf(key, sizeof(key), "%.200s.tags.%.64s", prefix, tag->name);
        if (!before) {
            strbuf_addf(diff->out, "%s: added\n", key);
            changed = true;
            continue;
        }
        changed |= compare(diff, &config_tag_table, before, tag, key);
        if (driver)
            changed |= compare(diff, &driver->tag, before->options, tag->options, key);
        if (before != &old->tags[i]) {
            strbuf_addf(diff->out, "%s: moved within the list\n", key);
            changed = true;
        }
    }
    for (size_t i = 0; i < old->n_tags; i++) {
        if (config_find_tag(fresh, old->tags[i].name, i))
            continue;
        strbuf_addf(diff->out, "%s.tags.%s: removed\n", prefix, old->tags[i].name);
        changed = true;
    }
    return changed;
}

static void compare_device(struct diff *diff, size_t index)
{
    const struct config_device *fresh = &diff->fresh->devices[index];
    const struct config_device *old = config_find_device(diff->old, fresh->name);
    char key[FULL_KEY_BYTES];
    (void)full_key(config_device_table.path, fresh->name, key, sizeof(key));
    if (!old) {
        strbuf_addf(diff->out, "%s: added\n", key);
        touch_line(diff, fresh->bus_name);
        return;
    }
    const struct config_driver *driver = common_driver(diff, old, fresh);
    bool changed = compare(diff, &config_device_table, old, fresh, key);
    if (driver)
        changed |= compare(diff, &driver->device, old->options, fresh->options, key);
    changed |= compare_tags(diff, old, fresh, key);
    bool moved = (size_t)(old - diff->old->devices) != index;
    if (moved)
        strbuf_addf(diff->out, "%s: moved within the list\n", key);
    if (!changed && !moved)
        return;
    touch_line(diff, fresh->bus_name);
    touch_line(diff, old->bus_name);
}

static void compare_devices(struct diff *diff)
{
    for (size_t i = 0; i < diff->fresh->n_devices; i++)
        compare_device(diff, i);
    for (size_t i = 0; i < diff->old->n_devices; i++) {
        const struct config_device *old = &diff->old->devices[i];
        if (config_find_device(diff->fresh, old->name))
            continue;
        strbuf_addf(diff->out, "%s.%s: removed\n", config_device_table.path, old->name);
        touch_line(diff, old->bus_name);
    }
}

enum reload_class config_diff(const struct config *old, const struct config *fresh, bool *lines,
                              struct strbuf *out)
{
    struct diff diff = {.old = old, .fresh = fresh, .lines = lines, .out = out};
    for (size_t i = 0; lines && i < fresh->n_buses; i++)
        lines[i] = false;
    compare(&diff, &config_gateway_table, &old->gateway, &fresh->gateway,
            config_gateway_table.path);
    compare(&diff, &config_uplink_table, &old->uplink, &fresh->uplink, config_uplink_table.path);
    compare(&diff, &config_outbox_table, &old->outbox, &fresh->outbox, config_outbox_table.path);
    compare_buses(&diff);
    compare_devices(&diff);
    return diff.highest;
}
