/* What changed between two generations of the configuration. */
#include "config/load/diff.h"

#include "agent/base/memory.h"
#include "config/schema/config.h"
#include "config/schema/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct comparison {
    const struct config *old, *fresh;
    struct config_diff *diff;
};

/* The line of this name, if the fresh generation has it, is not what it was. */
static void touch_line(struct comparison *comparison, const char *bus_name)
{
    const struct config *fresh = comparison->fresh;
    const struct config_bus *bus = config_find_bus(fresh, bus_name);
    comparison->diff->changes[RELOAD_LINE] = true;
    if (bus)
        comparison->diff->lines[bus - fresh->buses] = true;
}

/* Compares one table; returns whether anything in it changed. */
static bool diff_compare(struct comparison *comparison, const struct option_table *table,
                         const void *old, const void *fresh, const char *prefix)
{
    struct config_diff *diff = comparison->diff;
    return table->n_rows > 0 &&
           table_compare(table, old, fresh, prefix, &diff->text, diff->changes) > 0;
}

static void compare_bus(struct comparison *comparison, size_t index)
{
    const struct config_bus *fresh = &comparison->fresh->buses[index];
    const struct config_bus *old = config_find_bus(comparison->old, fresh->name);
    char key[FULL_KEY_BYTES];
    (void)full_key(config_bus_table.path, fresh->name, key, sizeof(key));
    if (!old) {
        strbuf_addf(&comparison->diff->text, "%s: added\n", key);
        touch_line(comparison, fresh->name);
        return;
    }
    bool changed = diff_compare(comparison, &config_bus_table, old, fresh, key);
    if (old->driver == fresh->driver)
        changed |= diff_compare(comparison, &fresh->driver->bus, old->options, fresh->options, key);
    if (changed)
        touch_line(comparison, fresh->name);
}

static void compare_buses(struct comparison *comparison)
{
    for (size_t i = 0; i < comparison->fresh->n_buses; i++)
        compare_bus(comparison, i);
    for (size_t i = 0; i < comparison->old->n_buses; i++) {
        if (config_find_bus(comparison->fresh, comparison->old->buses[i].name))
            continue;
        strbuf_addf(&comparison->diff->text, "%s.%s: removed\n", config_bus_table.path,
                    comparison->old->buses[i].name);
        comparison->diff->changes[RELOAD_LINE] = true;
    }
}

/* The drivers of both devices; their own keys can be compared only if it is the same. */
static const struct config_driver *common_driver(const struct comparison *comparison,
                                                 const struct config_device *old,
                                                 const struct config_device *fresh)
{
    const struct config_driver *driver = comparison->fresh->buses[fresh->bus].driver;
    return comparison->old->buses[old->bus].driver == driver ? driver : NULL;
}

/* The tags of a device, to be found by name. */
struct tag_names {
    const struct config_device *device;
    const struct config_tag **sorted; /* owned; made when the first tag is not where it was */
};

static void tag_names_free(struct tag_names *names)
{
    free(names->sorted);
}

static int diff_by_name(const void *a, const void *b)
{
    const struct config_tag *const *first = a, *const *second = b;
    return strcmp((*first)->name, (*second)->name);
}

static void sort_names(struct tag_names *names)
{
    size_t length = names->device->n_tags;
    names->sorted = memory_zeroed(length, sizeof(struct config_tag *));
    for (size_t i = 0; i < length; i++)
        names->sorted[i] = &names->device->tags[i];
    qsort(names->sorted, length, sizeof(struct config_tag *), diff_by_name);
}

/* GUESS: the index where the tag most likely is, because tags seldom move. */
static const struct config_tag *find_tag(struct tag_names *names, const char *name, size_t guess)
{
    const struct config_device *device = names->device;
    if (guess < device->n_tags && strcmp(device->tags[guess].name, name) == 0)
        return &device->tags[guess];
    if (device->n_tags == 0)
        return NULL;
    if (!names->sorted)
        sort_names(names);
    const struct config_tag wanted = {.name = (char *)name}, *key = &wanted;
    const struct config_tag **found =
        bsearch(&key, names->sorted, device->n_tags, sizeof(struct config_tag *), diff_by_name);
    return found ? *found : NULL;
}

static bool compare_tags(struct comparison *comparison, const struct config_device *old,
                         const struct config_device *fresh, const char *prefix)
{
    const struct config_driver *driver = common_driver(comparison, old, fresh);
    CLEANUP(tag_names_free) struct tag_names old_names = {old, NULL}, fresh_names = {fresh, NULL};
    bool changed = false;
    char key[FULL_KEY_BYTES];
    for (size_t i = 0; i < fresh->n_tags; i++) {
        const struct config_tag *tag = &fresh->tags[i],
                                *before = find_tag(&old_names, tag->name, i);
        (void)snprintf(key, sizeof(key), "%.200s.tags.%.64s", prefix, tag->name);
        if (!before) {
            strbuf_addf(&comparison->diff->text, "%s: added\n", key);
            changed = true;
            continue;
        }
        changed |= diff_compare(comparison, &config_tag_table, before, tag, key);
        if (driver)
            changed |= diff_compare(comparison, &driver->tag, before->options, tag->options, key);
        if (before != &old->tags[i]) {
            strbuf_addf(&comparison->diff->text, "%s: moved within the list\n", key);
            changed = true;
        }
    }
    for (size_t i = 0; i < old->n_tags; i++) {
        if (find_tag(&fresh_names, old->tags[i].name, i))
            continue;
        strbuf_addf(&comparison->diff->text, "%s.tags.%s: removed\n", prefix, old->tags[i].name);
        changed = true;
    }
    return changed;
}

static void compare_device(struct comparison *comparison, size_t index)
{
    const struct config_device *fresh = &comparison->fresh->devices[index];
    const struct config_device *old = config_find_device(comparison->old, fresh->name);
    char key[FULL_KEY_BYTES];
    (void)full_key(config_device_table.path, fresh->name, key, sizeof(key));
    if (!old) {
        strbuf_addf(&comparison->diff->text, "%s: added\n", key);
        touch_line(comparison, fresh->bus_name);
        return;
    }
    const struct config_driver *driver = common_driver(comparison, old, fresh);
    bool changed = diff_compare(comparison, &config_device_table, old, fresh, key);
    if (driver)
        changed |= diff_compare(comparison, &driver->device, old->options, fresh->options, key);
    changed |= compare_tags(comparison, old, fresh, key);
    if (!changed)
        return;
    touch_line(comparison, fresh->bus_name);
    touch_line(comparison, old->bus_name);
}

static void compare_devices(struct comparison *comparison)
{
    for (size_t i = 0; i < comparison->fresh->n_devices; i++)
        compare_device(comparison, i);
    for (size_t i = 0; i < comparison->old->n_devices; i++) {
        const struct config_device *old = &comparison->old->devices[i];
        if (config_find_device(comparison->fresh, old->name))
            continue;
        strbuf_addf(&comparison->diff->text, "%s.%s: removed\n", config_device_table.path,
                    old->name);
        touch_line(comparison, old->bus_name);
    }
}

void config_diff(const struct config *old, const struct config *fresh, struct config_diff *ret_diff)
{
    *ret_diff = (struct config_diff){.lines = memory_zeroed(fresh->n_buses, sizeof(bool))};
    struct comparison comparison = {.old = old, .fresh = fresh, .diff = ret_diff};
    diff_compare(&comparison, &config_gateway_table, &old->gateway, &fresh->gateway,
                 config_gateway_table.path);
    diff_compare(&comparison, &config_uplink_table, &old->uplink, &fresh->uplink,
                 config_uplink_table.path);
    diff_compare(&comparison, &config_outbox_table, &old->outbox, &fresh->outbox,
                 config_outbox_table.path);
    compare_buses(&comparison);
    compare_devices(&comparison);
}

void config_diff_free(struct config_diff *diff)
{
    free(diff->lines);
    diff->lines = NULL;
    strbuf_free(&diff->text);
}
