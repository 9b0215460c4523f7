/*
 * Everything about a configuration that takes more than one key to judge: duplicates, references,
 * pairs, limits that contradict each other, and the checks of the drivers. Contains nothing
 * specific to a driver.
 */
#include "config/load/check.h"

#include "agent/base/memory.h"
#include "config/load/check_uplink.h"
#include "config/load/loading.h"
#include "config/schema/did_you_mean.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The folder, "/agent.sock" and a NUL must fit into the address of a socket. */
#define RUNTIME_DIR_MAX 96

static void check_gateway(const struct loading *loading)
{
    const struct config_gateway *values = &loading->config->gateway;
    if (strcmp(values->state_dir, values->runtime_dir) == 0)
        section_report(&loading->gateway.section, FINDING_ERROR, "runtime_dir",
                       "must not be the same folder as state_dir");
    if (strlen(values->runtime_dir) > RUNTIME_DIR_MAX)
        section_report(&loading->gateway.section, FINDING_ERROR, "runtime_dir",
                       "%zu bytes are too long for the socket in it; at most %d",
                       strlen(values->runtime_dir), RUNTIME_DIR_MAX);
}

/* Names with their places, sorted to find duplicates. */
struct named {
    const char *name;
    size_t index;
};

static int by_name(const void *left, const void *right)
{
    const struct named *a = left, *b = right;
    int order = strcmp(a->name, b->name);
    return order ? order : a->index < b->index ? -1 : 1;
}

/* Calls REPORT for each item whose name an earlier one has, too; sorts NAMES. */
static void find_doubles(struct named *names, size_t length, const void *context,
                         void (*report)(const void *context, size_t index, size_t first))
{
    if (length > 1)
        qsort(names, length, sizeof(*names), by_name);
    for (size_t i = 1, first = 0; i < length; i++) {
        if (strcmp(names[i].name, names[first].name) == 0)
            report(context, names[i].index, names[first].index);
        else
            first = i;
    }
}

static void report_double(const struct section *section, const char *what, struct where first)
{
    section_report(section, FINDING_ERROR, "name", "there is another %s of this name at %s:%u",
                   what, first.file, first.line);
}

static void report_double_bus(const void *context, size_t index, size_t first)
{
    const struct loading *loading = context;
    report_double(&loading->buses[index].section, "bus", loading->config->buses[first].where);
}

static void report_double_device(const void *context, size_t index, size_t first)
{
    const struct loading *loading = context;
    report_double(&loading->devices[index].section, "device",
                  loading->config->devices[first].where);
}

static void check_bus_names(const struct loading *loading)
{
    const struct config *config = loading->config;
    CLEANUP(memory_free_pointer)
    struct named *names = memory_zeroed(config->n_buses, sizeof(*names));
    size_t length = 0;
    for (size_t i = 0; i < config->n_buses; i++) {
        if (config->buses[i].name)
            names[length++] = (struct named){config->buses[i].name, i};
    }
    find_doubles(names, length, loading, report_double_bus);
}

static void check_device_names(const struct loading *loading)
{
    const struct config *config = loading->config;
    CLEANUP(memory_free_pointer)
    struct named *names = memory_zeroed(config->n_devices, sizeof(*names));
    size_t length = 0;
    for (size_t i = 0; i < config->n_devices; i++) {
        if (config->devices[i].name)
            names[length++] = (struct named){config->devices[i].name, i};
    }
    find_doubles(names, length, loading, report_double_device);
}

/* A tag of a device, for messages. */
struct tag_place {
    const struct loading *loading;
    size_t device, tag;
};

/* The tag as a section, so that its keys have lines; of a CSV row only the row's. */
static void section_of(const struct tag_place *place, struct section *ret_section)
{
    const struct loading_device *origin = &place->loading->devices[place->device];
    const struct config_tag *tag = &place->loading->config->devices[place->device].tags[place->tag];
    *ret_section = origin->section;
    ret_section->setting = origin->tags[place->tag].setting;
    ret_section->where = tag->where;
    (void)snprintf(ret_section->key, sizeof(ret_section->key), "%.180s.tags%s%.64s",
                   origin->section.key, tag->name ? "." : "", tag->name ? tag->name : "");
}

PRINTF_LIKE(4, 5)
static void report_tag(const struct tag_place *place, enum severity severity, const char *key,
                       const char *format, ...)
{
    struct section section;
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    section_of(place, &section);
    section_report(&section, severity, key, "%s", text);
}

static void report_double_tag(const void *context, size_t index, size_t first)
{
    struct tag_place place = *(const struct tag_place *)context;
    const struct config_device *device = &place.loading->config->devices[place.device];
    place.tag = index;
    report_tag(&place, FINDING_ERROR, "name", "there is another tag of this name at %s:%u",
               device->tags[first].where.file, device->tags[first].where.line);
}

static void check_tag_names(const struct loading *loading, size_t index)
{
    const struct config_device *device = &loading->config->devices[index];
    CLEANUP(memory_free_pointer)
    struct named *names = memory_zeroed(device->n_tags, sizeof(*names));
    size_t length = 0;
    for (size_t i = 0; i < device->n_tags; i++) {
        if (device->tags[i].name)
            names[length++] = (struct named){device->tags[i].name, i};
    }
    find_doubles(names, length, &(struct tag_place){loading, index, 0}, report_double_tag);
}

static void check_not_a_number(const struct tag_place *place, const struct config_tag *tag)
{
    for (size_t i = 0; config_number_keys[i]; i++) {
        if (config_tag_has(tag, config_number_keys[i]))
            report_tag(place, FINDING_ERROR, config_number_keys[i], "does not apply to a %s",
                       value_type_names[tag->type]);
    }
}

static void check_number(const struct tag_place *place, const struct config_tag *tag)
{
    if (tag->scale == 0)
        report_tag(place, FINDING_ERROR, "scale", "must not be 0: every value would be the same");
    if (tag->min > tag->max) /* false while one of them is unset */
        report_tag(place, FINDING_ERROR, "min", "is above max");
    if (tag->writable && isnan(tag->min) && isnan(tag->max))
        report_tag(place, FINDING_WARNING, "writable",
                   "without `min` and `max` any value of the type may be written");
    if (!tag->writable && (!isnan(tag->min) || !isnan(tag->max)))
        report_tag(place, FINDING_WARNING, isnan(tag->min) ? "max" : "min",
                   "limits what may be written, but the tag is not writable");
}

static void check_tag(const struct tag_place *place, const struct config_tag *tag)
{
    bool text = tag->type == VALUE_STRING;
    if (text && tag->length == 0)
        report_tag(place, FINDING_ERROR, "length", "missing; a string needs its size in bytes");
    if (!text && config_tag_has(tag, "length"))
        report_tag(place, FINDING_ERROR, "length", "applies to type = \"string\" only");
    if (text || tag->type == VALUE_BOOL)
        check_not_a_number(place, tag);
    else
        check_number(place, tag);
}

/* Puts the tags that have no mistake of their own first. Returns how many there are. */
static size_t sort_out_sound(struct loading *loading, size_t index)
{
    struct config_device *device = &loading->config->devices[index];
    struct loading_tag *origins = loading->devices[index].tags;
    size_t n_sound = 0;
    for (size_t i = 0; i < device->n_tags; i++) {
        if (!origins[i].sound)
            continue;
        struct config_tag tag = device->tags[i];
        struct loading_tag origin = origins[i];
        device->tags[i] = device->tags[n_sound];
        origins[i] = origins[n_sound];
        device->tags[n_sound] = tag;
        origins[n_sound] = origin;
        n_sound++;
    }
    return n_sound;
}

/* Whether the finding is about this tag: same place, and its name in the key if one is there. */
static bool is_about(const struct finding *finding, const struct config_tag *tag)
{
    if (finding->line != tag->where.line || strcmp(finding->file, tag->where.file) != 0)
        return false;
    const char *name = strstr(finding->key, ".tags.");
    if (!name)
        return true;
    size_t length = strlen(tag->name);
    return strncmp(name + 6, tag->name, length) == 0 &&
           (name[6 + length] == '.' || name[6 + length] == '\0');
}

/* Gives a driver's finding the full key, and the line where that key stands. */
static void complete_finding(const struct section *section, struct finding *finding)
{
    const char *dot = strrchr(finding->key, '.');
    const char *bare = dot ? dot + 1 : finding->key;
    char key[FULL_KEY_BYTES];
    finding->line = section_where(section, bare).line;
    if (strchr(finding->key, '.'))
        return;
    if (finding->key[0])
        (void)full_key(section->key, bare, key, sizeof(key));
    else
        (void)snprintf(key, sizeof(key), "%s", section->key);
    free(finding->key);
    finding->key = memory_text(key);
}

static void complete_device_finding(const struct loading *loading, size_t index,
                                    struct finding *finding)
{
    const struct config_device *device = &loading->config->devices[index];
    struct section section = loading->devices[index].section;
    for (size_t i = 0; i < device->n_tags; i++) {
        if (device->tags[i].name && is_about(finding, &device->tags[i])) {
            section_of(&(struct tag_place){loading, index, i}, &section);
            break;
        }
    }
    complete_finding(&section, finding);
}

static void ask_driver(struct loading *loading, size_t index, size_t n_sound)
{
    struct config_device *device = &loading->config->devices[index];
    const struct loading_device *origin = &loading->devices[index];
    struct findings *findings = loading->findings;
    if (!origin->complete || !origin->driver->check_device || !loading->buses[device->bus].complete)
        return;
    size_t before = findings->length, n_tags = device->n_tags;
    device->n_tags = n_sound;
    origin->driver->check_device(&loading->config->buses[device->bus], device, findings);
    device->n_tags = n_tags;
    for (size_t i = before; i < findings->length; i++)
        complete_device_finding(loading, index, &findings->items[i]);
}

static void report_missing_bus(const struct loading *loading, size_t index)
{
    const struct config *config = loading->config;
    const struct section *section = &loading->devices[index].section;
    struct did_you_mean nearest = {.word = config->devices[index].bus_name};
    for (size_t i = 0; i < config->n_buses; i++) {
        if (config->buses[i].name)
            did_you_mean_offer(&nearest, config->buses[i].name);
    }
    if (nearest.best)
        section_report(section, FINDING_ERROR, "bus",
                       "there is no bus \"%s\"; did you mean \"%s\"?", nearest.word, nearest.best);
    else
        section_report(section, FINDING_ERROR, "bus", "there is no bus \"%s\"", nearest.word);
}

static void check_device(struct loading *loading, size_t index)
{
    const struct config_device *device = &loading->config->devices[index];
    if (loading->devices[index].bus_is_guessed && device->bus_name && !loading->incomplete)
        report_missing_bus(loading, index);
    check_tag_names(loading, index); /* before the order of the tags may change */
    if (device->n_tags == 0 && loading->devices[index].section.findings->errors == 0)
        section_report(&loading->devices[index].section, FINDING_WARNING, "tags",
                       "no tags: nothing is read from this device");
    if (device->n_tags > CONFIG_MAX_TAGS)
        section_report(&loading->devices[index].section, FINDING_ERROR, "tags",
                       "%zu tags are too many; the limit is %d", device->n_tags, CONFIG_MAX_TAGS);
    size_t n_sound = sort_out_sound(loading, index);
    ask_driver(loading, index, n_sound);
    for (size_t i = 0; i < n_sound; i++)
        check_tag(&(struct tag_place){loading, index, i}, &device->tags[i]);
}

static void check_bus(struct loading *loading, size_t index)
{
    const struct config_bus *bus = &loading->config->buses[index];
    struct findings *findings = loading->findings;
    size_t before = findings->length;
    if (!loading->buses[index].complete || !bus->driver || !bus->driver->check_bus)
        return;
    bus->driver->check_bus(bus, findings);
    for (size_t i = before; i < findings->length; i++)
        complete_finding(&loading->buses[index].section, &findings->items[i]);
}

static void warn_unused_buses(const struct loading *loading)
{
    const struct config *config = loading->config;
    CLEANUP(memory_free_pointer) bool *used = memory_zeroed(config->n_buses, sizeof(*used));
    for (size_t i = 0; i < config->n_devices; i++) {
        if (config->devices[i].bus < config->n_buses)
            used[config->devices[i].bus] = true;
    }
    for (size_t i = 0; i < config->n_buses; i++) {
        if (!used[i])
            section_report(&loading->buses[i].section, FINDING_WARNING, "name",
                           "no device is on this bus");
    }
}

void loading_check(struct loading *loading)
{
    if (loading->gateway.part.table) { /* the main file could be read */
        check_gateway(loading);
        config_check_uplink(&loading->uplink.section, &loading->uplink.part);
    }
    check_bus_names(loading);
    check_device_names(loading);
    for (size_t i = 0; i < loading->config->n_buses; i++)
        check_bus(loading, i);
    for (size_t i = 0; i < loading->config->n_devices; i++)
        check_device(loading, i);
    if (loading->findings->errors == 0)
        warn_unused_buses(loading);
}
