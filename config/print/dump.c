/* The configuration as it was understood: one loadable file, defaults filled in. */
#include "config/print/dump.h"

#include "config/schema/config.h"
#include "config/schema/table.h"

static void dump_print_group(const struct option_table *table, const void *values,
                             struct strbuf *out)
{
    strbuf_addf(out, "%s: {\n", table->path);
    table_print(table, values, "  ", NULL, out);
    strbuf_add(out, "};\n");
}

static void dump_print_tag(const struct config_tag *tag, const struct config_driver *driver,
                           struct strbuf *out)
{
    bool number = tag->type != VALUE_BOOL && tag->type != VALUE_STRING;
    strbuf_add(out, "      {\n");
    table_print(&config_tag_table, tag, "        ", number ? NULL : config_number_keys, out);
    table_print(&driver->tag, tag->options, "        ", NULL, out);
    strbuf_add(out, "      }");
}

static void dump_print_device(const struct config_device *device,
                              const struct config_driver *driver, struct strbuf *out)
{
    static const char *const merged[] = {"tags_file", NULL}; /* its tags follow with the others */
    strbuf_add(out, "  {\n");
    table_print(&config_device_table, device, "    ", merged, out);
    table_print(&driver->device, device->options, "    ", NULL, out);
    strbuf_add(out, "    tags = (\n");
    for (size_t i = 0; i < device->n_tags; i++) {
        dump_print_tag(&device->tags[i], driver, out);
        strbuf_add(out, i + 1 < device->n_tags ? ",\n" : "\n");
    }
    strbuf_add(out, "    );\n  }");
}

static void print_bus(const struct config_bus *bus, struct strbuf *out)
{
    strbuf_add(out, "  {\n");
    table_print(&config_bus_table, bus, "    ", NULL, out);
    table_print(&bus->driver->bus, bus->options, "    ", NULL, out);
    strbuf_add(out, "  }");
}

void config_dump(const struct config *config, struct strbuf *out)
{
    dump_print_group(&config_gateway_table, &config->gateway, out);
    dump_print_group(&config_uplink_table, &config->uplink, out);
    dump_print_group(&config_outbox_table, &config->outbox, out);
    strbuf_addf(out, "%s: (\n", config_bus_table.path);
    for (size_t i = 0; i < config->n_buses; i++) {
        print_bus(&config->buses[i], out);
        strbuf_add(out, i + 1 < config->n_buses ? ",\n" : "\n");
    }
    strbuf_addf(out, ");\n%s: (\n", config_device_table.path);
    for (size_t i = 0; i < config->n_devices; i++) {
        const struct config_device *device = &config->devices[i];
        dump_print_device(device, config->buses[device->bus].driver, out);
        strbuf_add(out, i + 1 < config->n_devices ? ",\n" : "\n");
    }
    strbuf_add(out, ");\n");
}
