/* A loaded configuration: looking things up in it, and freeing it. */
#include "config/schema/config.h"

#include "config/schema/table.h"

#include <stdlib.h>
#include <string.h>

static const struct option_table no_keys = {.path = "", .help = ""};

const struct option_table *config_driver_table(const struct config_driver *driver,
                                               enum driver_group group)
{
    switch (group) {
    case DRIVER_BUS:
        return driver ? &driver->bus : &no_keys;
    case DRIVER_DEVICE:
        return driver ? &driver->device : &no_keys;
    case DRIVER_TAG:
        return driver ? &driver->tag : &no_keys;
    }
    return &no_keys;
}

bool config_tag_has(const struct config_tag *tag, const char *key)
{
    return (tag->present & option_bit(&config_tag_table, key)) != 0;
}

const struct config_bus *config_find_bus(const struct config *config, const char *name)
{
    for (size_t i = 0; name && i < config->n_buses; i++) {
        if (config->buses[i].name && strcmp(config->buses[i].name, name) == 0)
            return &config->buses[i];
    }
    return NULL;
}

const struct config_device *config_find_device(const struct config *config, const char *name)
{
    for (size_t i = 0; name && i < config->n_devices; i++) {
        if (config->devices[i].name && strcmp(config->devices[i].name, name) == 0)
            return &config->devices[i];
    }
    return NULL;
}

static void tag_free(struct config_tag *tag, const struct config_driver *driver)
{
    table_free(config_driver_table(driver, DRIVER_TAG), tag->options);
    free(tag->options);
    table_free(&config_tag_table, tag);
}

static void device_free(const struct config *config, struct config_device *device)
{
    const struct config_driver *driver =
        device->bus < config->n_buses ? config->buses[device->bus].driver : NULL;
    for (size_t i = 0; i < device->n_tags; i++)
        tag_free(&device->tags[i], driver);
    free(device->tags);
    table_free(config_driver_table(driver, DRIVER_DEVICE), device->options);
    free(device->options);
    table_free(&config_device_table, device);
}

void config_drop_devices(struct config *config, size_t bus)
{
    for (size_t i = 0; i < config->n_devices; i++) {
        struct config_device *device = &config->devices[i];
        if (device->bus != bus)
            continue;
        device_free(config, device);
        *device = (struct config_device){.bus = bus};
    }
}

struct config *config_free(struct config *config)
{
    if (!config)
        return NULL;
    for (size_t i = 0; i < config->n_devices; i++)
        device_free(config, &config->devices[i]);
    for (size_t i = 0; i < config->n_buses; i++) {
        struct config_bus *bus = &config->buses[i];
        table_free(config_driver_table(bus->driver, DRIVER_BUS), bus->options);
        free(bus->options);
        table_free(&config_bus_table, bus);
    }
    table_free(&config_gateway_table, &config->gateway);
    table_free(&config_uplink_table, &config->uplink);
    table_free(&config_outbox_table, &config->outbox);
    for (size_t i = 0; i < config->n_files; i++)
        free(config->files[i]);
    free(config->files);
    free(config->buses);
    free(config->devices);
    free(config);
    return NULL;
}
