/*
 * Loads sallyport.conf and conf.d: reads all buses of all files first, because the driver of its
 * bus decides which keys a device may have, then the devices, then checks what belongs together.
 */
#include "config/load/load.h"

#include "agent/base/memory.h"
#include "config/load/check.h"
#include "config/load/load_tags.h"
#include "config/load/loading.h"
#include "config/schema/did_you_mean.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_FILES 1000 /* in conf.d */

static void open_source(struct loading *loading, const char *path)
{
    struct source *source = NULL;
    if (source_open(path, CONFIG_MAX_BYTES, loading->findings, &source) < 0)
        loading->incomplete = true;
    loading->sources =
        memory_resize(loading->sources, loading->n_sources + 1, sizeof(struct source *));
    loading->sources[loading->n_sources++] = source;
}

static int is_conf(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return entry->d_name[0] != '.' && length > 5 &&
           strcmp(entry->d_name + length - 5, ".conf") == 0;
}

static int load_by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name); /* alphasort() would follow the locale */
}

static void open_folder(struct loading *loading, const char *main_file)
{
    size_t folder_length = (size_t)(strrchr(main_file, '/') - main_file);
    CLEANUP(memory_free_pointer)
    char *folder = memory_printf("%.*s/conf.d", (int)folder_length, main_file);
    struct dirent **entries = NULL;
    int length = scandir(folder, &entries, is_conf, load_by_name);
    if (length < 0 && errno != ENOENT) {
        findings_add(loading->findings, FINDING_ERROR, (struct where){folder, 0}, "",
                     "cannot be read: %s", strerror(errno));
        loading->incomplete = true;
    }
    if (length > MAX_FILES)
        findings_add(loading->findings, FINDING_ERROR, (struct where){folder, 0}, "",
                     "%d files are too many; the limit is %d", length, MAX_FILES);
    for (int i = 0; i < length; i++) {
        if (i < MAX_FILES)
            open_source(loading, loading_add_file(
                                     loading, memory_printf("%s/%s", folder, entries[i]->d_name)));
        free(entries[i]);
    }
    free(entries);
}

static void load_read_group(struct loading_group *group, const struct section *root,
                            const struct option_table *table, void *values)
{
    group->part = (struct part){.table = table, .values = values};
    section_child(root, table->path, &group->section);
    section_read(&group->section, &group->part, 1, NULL);
}

static const char *const main_groups[] = {"gateway", "uplink", "outbox", "buses", "devices", NULL};

static void read_main(struct loading *loading)
{
    struct section root;
    struct config *config = loading->config;
    if (!loading->sources[0])
        return;
    source_root(loading->sources[0], loading->findings, &root);
    if (section_length(&root) == 0) {
        findings_add(loading->findings, FINDING_ERROR, root.where, "",
                     "the file is empty; `sallyport init` writes a first one");
        return;
    }
    section_expect(&root, main_groups);
    load_read_group(&loading->gateway, &root, &config_gateway_table, &config->gateway);
    load_read_group(&loading->uplink, &root, &config_uplink_table, &config->uplink);
    load_read_group(&loading->outbox, &root, &config_outbox_table, &config->outbox);
    for (size_t i = 0; i < config_uplink_table.n_rows; i++)
        config->uplink_lines[i] =
            section_where(&loading->uplink.section, config_uplink_table.rows[i].key).line;
    if (!config->uplink.client_id && config->gateway.id)
        config->uplink.client_id = memory_text(config->gateway.id);
}

/* A file of conf.d may only add to the lists. */
static void expect_lists(struct loading *loading, const struct section *root)
{
    static const char *const groups[] = {"gateway", "uplink", "outbox"};
    section_expect(root, main_groups);
    for (size_t i = 0; i < ARRAY_LENGTH(groups); i++) {
        struct where where = section_where(root, groups[i]);
        struct section child;
        struct findings ignored = FINDINGS_EMPTY;
        struct section quiet = *root;
        quiet.findings = &ignored;
        if (section_child(&quiet, groups[i], &child) || child.unusable)
            findings_add(loading->findings, FINDING_ERROR, where, groups[i],
                         "belongs into the main file; a file of conf.d holds `buses` and "
                         "`devices` only");
        findings_free(&ignored);
    }
}

static const struct config_driver *find_driver(const struct loading *loading, const char *name)
{
    for (size_t i = 0; name && loading->drivers[i]; i++) {
        if (strcmp(loading->drivers[i]->name, name) == 0)
            return loading->drivers[i];
    }
    return NULL;
}

/* Returns the driver that is probably meant, so that the other keys can be checked; or NULL. */
static const struct config_driver *report_unknown_driver(const struct loading *loading,
                                                         const struct section *section,
                                                         const char *name)
{
    struct did_you_mean nearest = {.word = name};
    CLEANUP(strbuf_free) struct strbuf all = STRBUF_EMPTY;
    for (size_t i = 0; loading->drivers[i]; i++) {
        did_you_mean_offer(&nearest, loading->drivers[i]->name);
        strbuf_addf(&all, "%s\"%s\"", i ? ", " : "", loading->drivers[i]->name);
    }
    if (nearest.best)
        section_report(section, FINDING_ERROR, "driver",
                       "there is no driver \"%.64s\"; did you mean \"%s\"?", name, nearest.best);
    else
        section_report(section, FINDING_ERROR, "driver", "there is no driver \"%.64s\"; known: %s",
                       name, strbuf_text(&all));
    return find_driver(loading, nearest.best);
}

static void read_bus(struct loading *loading, const struct section *section)
{
    struct config *config = loading->config;
    const char *name = section_peek(section, "driver");
    const struct config_driver *driver = find_driver(loading, name);
    config->buses = memory_resize(config->buses, config->n_buses + 1, sizeof(*config->buses));
    loading->buses = memory_resize(loading->buses, config->n_buses + 1, sizeof(*loading->buses));
    if (!driver && name)
        driver = report_unknown_driver(loading, section, name);
    struct config_bus *bus = &config->buses[config->n_buses];
    *bus = (struct config_bus){.driver = driver, .where = section->where};
    if (driver)
        bus->options = table_new(&driver->bus);
    struct part parts[] = {
        {.table = &config_bus_table, .values = bus},
        {.table = config_driver_table(driver, DRIVER_BUS), .values = bus->options},
    };
    CLEANUP(memory_free_pointer)
    const char **others = loading_other_keys(loading, driver, DRIVER_BUS, NULL);
    section_read(section, parts, ARRAY_LENGTH(parts), others);
    loading->buses[config->n_buses] = (struct loading_bus){
        .section = *section,
        .complete = part_is_complete(&parts[0]) && part_is_complete(&parts[1]),
    };
    config->n_buses++;
}

/* The bus that a device names; its findings come from check.c. Returns n_buses for none. */
static size_t load_find_bus(const struct config *config, const char *name)
{
    const struct config_bus *bus = config_find_bus(config, name);
    return bus ? (size_t)(bus - config->buses) : config->n_buses;
}

/*
 * The bus that is probably meant by NAME, so that the keys of the device can be checked; n_buses
 * for none. Not while a file could not be parsed, because it may contain the bus.
 */
static size_t guess_bus(const struct loading *loading, const char *name)
{
    const struct config *config = loading->config;
    struct did_you_mean nearest = {.word = name};
    for (size_t i = 0; name && !loading->incomplete && i < config->n_buses; i++) {
        if (config->buses[i].name)
            did_you_mean_offer(&nearest, config->buses[i].name);
    }
    return load_find_bus(config, nearest.best);
}

static void read_device(struct loading *loading, const struct section *section)
{
    struct config *config = loading->config;
    const char *bus_name = section_peek(section, "bus");
    size_t index = config->n_devices, bus = load_find_bus(config, bus_name);
    bool guessed = bus == config->n_buses;
    if (guessed)
        bus = guess_bus(loading, bus_name);
    const struct config_driver *driver = bus < config->n_buses ? config->buses[bus].driver : NULL;
    config->devices = memory_resize(config->devices, index + 1, sizeof(*config->devices));
    loading->devices = memory_resize(loading->devices, index + 1, sizeof(*loading->devices));
    struct config_device *device = &config->devices[index];
    *device = (struct config_device){.bus = bus, .where = section->where};
    device->options = driver ? table_new(&driver->device) : NULL;
    struct part parts[] = {
        {.table = &config_device_table, .values = device},
        {.table = config_driver_table(driver, DRIVER_DEVICE), .values = device->options},
    };
    CLEANUP(memory_free_pointer)
    const char **others = loading_other_keys(loading, driver, DRIVER_DEVICE, "tags");
    section_read(section, parts, ARRAY_LENGTH(parts), others);
    loading->devices[index] = (struct loading_device){
        .section = *section,
        .driver = driver,
        .bus_is_guessed = guessed,
        .complete = driver && part_is_complete(&parts[0]) && part_is_complete(&parts[1]),
    };
    config->n_devices++;
    loading_read_tags(loading, index);
}

/* Calls READ for each element of the list NAME of every file, until there are LIMIT of them. */
static void read_lists(struct loading *loading, const char *name, size_t limit,
                       void (*read)(struct loading *, const struct section *))
{
    size_t left = limit;
    for (size_t i = 0; i < loading->n_sources; i++) {
        struct section root, element;
        if (!loading->sources[i])
            continue;
        source_root(loading->sources[i], loading->findings, &root);
        size_t length = section_list(&root, name, left);
        for (size_t j = 0; j < length; j++) {
            if (section_element(&root, name, j, &element))
                read(loading, &element);
        }
        left -= length;
    }
}

static void load_everything(struct loading *loading, const char *main_file)
{
    open_source(loading, main_file);
    open_folder(loading, main_file);
    read_main(loading);
    for (size_t i = 1; i < loading->n_sources; i++) {
        struct section root;
        if (!loading->sources[i])
            continue;
        source_root(loading->sources[i], loading->findings, &root);
        expect_lists(loading, &root);
    }
    read_lists(loading, config_bus_table.path, CONFIG_MAX_BUSES, read_bus);
    read_lists(loading, config_device_table.path, CONFIG_MAX_DEVICES, read_device);
    loading_check(loading);
}

static void loading_free(struct loading *loading)
{
    for (size_t i = 0; i < loading->n_sources; i++)
        source_close(loading->sources[i]);
    for (size_t i = 0; i < loading->config->n_devices; i++)
        free(loading->devices[i].tags);
    free(loading->sources);
    free(loading->buses);
    free(loading->devices);
}

int config_load(const char *path, const struct config_driver *const *drivers,
                struct findings *findings, struct config **ret_config)
{
    CLEANUP(memory_free_pointer) char *here = path[0] == '/' ? NULL : getcwd(NULL, 0);
    struct loading loading = {.drivers = drivers,
                              .findings = findings,
                              .config = memory_zeroed(1, sizeof(*loading.config))};
    size_t errors = findings->errors;
    const char *main_file = loading_add_file(
        &loading,
        path[0] == '/' ? memory_text(path) : memory_printf("%s/%s", here ? here : ".", path));
    load_everything(&loading, main_file);
    loading_free(&loading);
    if (findings->errors > errors) {
        config_free(loading.config);
        return -EINVAL;
    }
    *ret_config = loading.config;
    return 0;
}
