/*
 * The two files as text, made from the same tables as the examples: every key with its comment,
 * what was answered with its value, the rest commented out with its default. File names in them are
 * relative, so that a folder made with --root is right wherever it is mounted.
 */
#include "agent/cli/init/init_print.h"

#include "agent/base/memory.h"
#include "agent/cli/init/init_answers.h"
#include "agent/cli/init/init_notation.h"
#include "config/print/reference.h"
#include "config/schema/value.h"
#include "drivers/driver.h"
#include "tunnel/config/netd_options.h"

#include <stdlib.h>
#include <string.h>

#define KEYS_MAX 16

/* Values as libconfig writes them, owned. */
struct keys {
    struct config_given given[KEYS_MAX + 1]; /* ends with a key NULL */
    size_t length;
};

static void keys_free(struct keys *keys)
{
    for (size_t i = 0; i < keys->length; i++)
        free((char *)keys->given[i].value);
}

static void init_print_put(struct keys *keys, const char *key, struct strbuf *value)
{
    if (keys->length < KEYS_MAX)
        keys->given[keys->length++] =
            (struct config_given){.key = key, .value = memory_text(strbuf_text(value))};
    strbuf_free(value);
}

/* Nothing for a TEXT that is unset. */
static void init_print_put_text(struct keys *keys, const char *key, const char *text)
{
    struct strbuf value = STRBUF_EMPTY;
    if (!text || !text[0])
        return;
    value_print_text(text, &value);
    init_print_put(keys, key, &value);
}

static void put_number(struct keys *keys, const char *key, unsigned number)
{
    struct strbuf value = STRBUF_EMPTY;
    strbuf_add_u64(&value, number);
    init_print_put(keys, key, &value);
}

static void init_print_put_list(struct keys *keys, const char *key, const struct text_list *list)
{
    struct strbuf value = STRBUF_EMPTY;
    strbuf_add(&value, "[");
    for (size_t i = 0; i < list->length; i++) {
        strbuf_add(&value, i > 0 ? ", " : " ");
        value_print_text(list->items[i], &value);
    }
    strbuf_add(&value, list->length > 0 ? " ]" : "]");
    init_print_put(keys, key, &value);
}

/* Limits without a default: the value that the table recommends. */
static void put_limits(struct keys *keys, const struct option_table *table)
{
    for (size_t i = 0; i < table->n_rows; i++) {
        const struct option *row = &table->rows[i];
        struct strbuf value = STRBUF_EMPTY;
        if (row->type != OPTION_INT || !(row->flags & OPTION_REQUIRED) || !row->example)
            continue;
        value_print_literal(row, row->example, &value);
        init_print_put(keys, row->key, &value);
    }
}

static void init_print_group(const struct option_table *table, const struct keys *keys,
                             struct strbuf *out)
{
    strbuf_addf(out, "\n# %s\n%s: {\n", table->help, table->path);
    config_print_rows(table, keys->given, "  ", out);
    strbuf_add(out, "};\n");
}

/* ---- lines, devices, tags ---- */

/* The keys of an element: with all comments in the first one, without them in the others. */
static void print_keys(const struct option_table *const *tables, const struct keys *keys,
                       bool in_full, const char *indent, struct strbuf *out)
{
    for (size_t i = 0; in_full && tables[i]; i++)
        config_print_rows(tables[i], keys->given, indent, out);
    for (size_t i = 0; !in_full && i < keys->length; i++)
        strbuf_addf(out, "%s%s = %s;\n", indent, keys->given[i].key, keys->given[i].value);
}

static const struct config_driver *driver_called(const char *name)
{
    const struct config_driver *const *drivers = drivers_for_config();
    while (*drivers && strcmp((*drivers)->name, name) != 0)
        drivers++;
    return *drivers;
}

static void put_bus(struct keys *keys, const struct init_bus *bus)
{
    static const char *const parities[] = {"N", "none", "E", "even", "O", "odd", NULL};
    init_print_put_text(keys, "name", bus->name);
    init_print_put_text(keys, "driver", bus->driver);
    if (bus->place_key)
        init_print_put_text(keys, bus->place_key, bus->place);
    if (bus->transport)
        init_print_put_text(keys, "transport", bus->transport);
    if (bus->framing)
        init_print_put_text(keys, "framing", bus->framing);
    if (bus->port)
        put_number(keys, "port", bus->port);
    if (bus->baud)
        put_number(keys, "baud", bus->baud);
    if (!bus->frame[0])
        return;
    for (size_t i = 0; parities[i]; i += 2) {
        if (parities[i][0] == bus->frame[1])
            init_print_put_text(keys, "parity", parities[i + 1]);
    }
    if (bus->frame[0] != '8')
        put_number(keys, "data_bits", (unsigned)(bus->frame[0] - '0'));
    put_number(keys, "stop_bits", (unsigned)(bus->frame[2] - '0'));
}

/* The line NAME among the answers; false when there is none. They have been parsed before. */
static bool init_print_find_bus(const struct init_answers *answers, const char *name,
                                struct init_bus *ret_bus)
{
    struct problem problem;
    for (size_t i = 0; i < answers->buses.length; i++) {
        if (init_parse_bus(answers->buses.items[i], (unsigned)i, ret_bus, &problem) == 0 &&
            strcmp(ret_bus->name, name) == 0)
            return true;
    }
    return false;
}

static int print_buses(const struct init_answers *answers, struct strbuf *out,
                       struct problem *problem)
{
    strbuf_addf(out, "\n# %s\n%s: (\n", config_bus_table.help, config_bus_table.path);
    for (size_t i = 0; i < answers->buses.length; i++) {
        struct init_bus bus;
        CLEANUP(keys_free) struct keys keys = {.length = 0};
        if (init_parse_bus(answers->buses.items[i], (unsigned)i, &bus, problem) < 0)
            return -1;
        const struct config_driver *driver = driver_called(bus.driver);
        const struct option_table *const tables[] = {&config_bus_table, &driver->bus, NULL};
        put_bus(&keys, &bus);
        strbuf_addf(out, "%s  {\n", i > 0 ? ",\n" : "");
        print_keys(tables, &keys, true, "    ", out);
        strbuf_add(out, "  }");
    }
    strbuf_add(out, answers->buses.length > 0 ? "\n);\n" : ");\n");
    return 0;
}

static void init_print_tag(const struct init_tag *tag, const struct config_driver *driver,
                           bool in_full, struct strbuf *out)
{
    const struct option_table *const tables[] = {&config_tag_table, &driver->tag, NULL};
    CLEANUP(keys_free) struct keys keys = {.length = 0};
    init_print_put_text(&keys, "name", tag->tag);
    init_print_put_text(&keys, "type", tag->type);
    if (tag->has_register) {
        init_print_put_text(&keys, "table", tag->table);
        put_number(&keys, "address", tag->address);
    }
    init_print_put_text(&keys, "order", tag->order);
    strbuf_add(out, "      {\n");
    print_keys(tables, &keys, in_full, "        ", out);
    strbuf_add(out, "      }");
}

static void init_print_device(const struct init_answers *answers, const struct init_tag *first,
                              bool in_full, struct strbuf *out)
{
    struct init_bus bus;
    struct problem problem;
    const struct config_driver *driver =
        driver_called(init_print_find_bus(answers, first->bus, &bus) ? bus.driver : "modbus_tcp");
    const struct option_table *const tables[] = {&config_device_table, &driver->device, NULL};
    CLEANUP(keys_free) struct keys keys = {.length = 0};
    init_print_put_text(&keys, "name", first->device);
    init_print_put_text(&keys, "bus", first->bus);
    if (first->has_register)
        put_number(&keys, "unit", first->unit);
    strbuf_add(out, "  {\n");
    print_keys(tables, &keys, in_full, "    ", out);
    strbuf_add(out, "    tags = (\n");
    bool any = false;
    for (size_t i = 0; i < answers->tags.length; i++) {
        struct init_tag tag;
        if (init_parse_tag(answers->tags.items[i], &tag, &problem) < 0 ||
            strcmp(tag.device, first->device) != 0)
            continue;
        strbuf_add(out, any ? ",\n" : "");
        init_print_tag(&tag, driver, in_full && !any, out);
        any = true;
    }
    if (!any)
        init_print_tag(first, driver, in_full, out); /* the example */
    strbuf_add(out, "\n    );\n  }");
}

/* Whether an earlier tag has the same device; a device is one unit of one line. */
static int came_before(const struct init_answers *answers, size_t index, const struct init_tag *tag,
                       struct problem *problem)
{
    for (size_t i = 0; i < index; i++) {
        struct init_tag other;
        if (init_parse_tag(answers->tags.items[i], &other, problem) < 0 ||
            strcmp(other.device, tag->device) != 0)
            continue;
        if (strcmp(other.bus, tag->bus) != 0 || other.unit != tag->unit)
            return problem_say(problem, "the device \"%s\" cannot be on two units", tag->device);
        return 1;
    }
    return 0;
}

/* A commented example of a device on each line, for a configuration that has no device yet. */
static void init_print_example_device(const struct init_answers *answers, struct strbuf *out)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    struct init_tag tag = {.device = "boiler",
                           .tag = "temperature",
                           .bus = "plc1",
                           .has_register = true,
                           .unit = 1,
                           .address = 100,
                           .table = "holding",
                           .type = "float32"};
    struct init_bus bus;
    struct problem problem;
    if (answers->buses.length > 0 &&
        init_parse_bus(answers->buses.items[0], 0, &bus, &problem) == 0)
        memcpy(tag.bus, bus.name, sizeof(tag.bus));
    init_print_device(answers, &tag, false, &text);
    strbuf_add(out, "  # Write here what is to be read, such as:\n");
    for (char *save = NULL, *line = strtok_r(text.data, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save))
        strbuf_addf(out, "  #%s\n", line);
}

static int print_devices(const struct init_answers *answers, struct strbuf *out,
                         struct problem *problem)
{
    bool any = false;
    strbuf_addf(out, "\n# %s\n%s: (\n", config_device_table.help, config_device_table.path);
    for (size_t i = 0; i < answers->tags.length; i++) {
        struct init_tag tag;
        if (init_parse_tag(answers->tags.items[i], &tag, problem) < 0)
            return -1;
        int before = came_before(answers, i, &tag, problem);
        if (before < 0)
            return -1;
        if (before)
            continue;
        strbuf_add(out, any ? ",\n" : "");
        init_print_device(answers, &tag, !any, out);
        any = true;
    }
    if (!any)
        init_print_example_device(answers, out);
    strbuf_add(out, any ? "\n);\n" : ");\n");
    return 0;
}

int init_print_agent_file(const struct init_answers *answers, struct strbuf *out,
                          struct problem *ret_problem)
{
    const struct init_uplink *uplink = &answers->uplink;
    CLEANUP(keys_free) struct keys gateway = {.length = 0}, keys = {.length = 0};
    const struct keys none = {.length = 0};
    strbuf_add(out, "# The configuration of sallyportd, written by `sallyport init`. A line that "
                    "begins with #KEY shows\n# the default, or an example where there is none. "
                    "`sallyport check` finds mistakes,\n# `sallyport explain KEY` says more.\n");
    init_print_put_text(&gateway, "id", answers->gateway.id);
    init_print_put_text(&gateway, "site", answers->gateway.site);
    init_print_group(&config_gateway_table, &gateway, out);
    init_print_put_list(&keys, "servers", &uplink->servers);
    init_print_put_text(&keys, "ca", answers->ca_is_system ? "system" : "tls/ca.pem");
    if (uplink->certificate_pem) {
        init_print_put_text(&keys, "certificate", "tls/gateway.pem");
        init_print_put_text(&keys, "key", "tls/gateway.key");
    }
    init_print_put_text(&keys, "username", uplink->username);
    if (uplink->password)
        init_print_put_text(&keys, "password_file", "tls/mqtt-password");
    init_print_put_text(&keys, "client_id", uplink->client_id);
    init_print_put_text(&keys, "prefix", uplink->prefix);
    init_print_group(&config_uplink_table, &keys, out);
    init_print_group(&config_outbox_table, &none, out);
    if (print_buses(answers, out, ret_problem) < 0)
        return -1;
    return print_devices(answers, out, ret_problem);
}

/* ---- netd's file ---- */

static const struct option_table *netd_table(const char *path)
{
    size_t i = 0;
    while (strcmp(netd_option_tables[i]->path, path) != 0)
        i++;
    return netd_option_tables[i];
}

static void print_exception(const struct init_answers *answers, struct strbuf *out)
{
    const struct option_table *table = netd_table("firewall.exceptions");
    CLEANUP(keys_free) struct keys keys = {.length = 0};
    if (!answers->ssh_from)
        return;
    init_print_put_text(&keys, "interface", answers->ssh_interface);
    init_print_put_text(&keys, "source", answers->ssh_from);
    init_print_put_text(&keys, "protocol", "tcp");
    put_number(&keys, "port", answers->ssh_port);
    strbuf_addf(out,
                "  # %s\n  # THIS WEAKENS THE LOCKDOWN: SSH stays open to this address. Remove\n  "
                "# the exception when you have another way in; the status says \"excepted\" "
                "until then.\n  exceptions = (\n    {\n",
                table->help);
    config_print_rows(table, keys.given, "      ", out);
    strbuf_add(out, "    }\n  );\n");
}

static void print_firewall(const struct init_answers *answers, struct strbuf *out)
{
    const struct option_table *table = netd_table("firewall");
    CLEANUP(keys_free) struct keys keys = {.length = 0};
    init_print_put_list(&keys, "wan", &answers->wan);
    init_print_put_list(&keys, "plant", &answers->plant);
    strbuf_addf(out, "\n# %s\nfirewall: {\n", table->help);
    config_print_rows(table, keys.given, "  ", out);
    print_exception(answers, out);
    strbuf_add(out, "};\n");
}

static void print_tunnel(const struct init_answers *answers, struct strbuf *out)
{
    const struct option_table *table = netd_table("tunnel"), *hub = netd_table("tunnel.hub");
    const struct option_table *services = netd_table("tunnel.services");
    CLEANUP(keys_free) struct keys keys = {.length = 0}, hub_keys = {.length = 0};
    CLEANUP(keys_free) struct keys ssh = {.length = 0};
    CLEANUP(memory_free_pointer)
    char *gateway = memory_printf("%s/%s", answers->gateway.site, answers->gateway.id);
    init_print_put_text(&keys, "gateway", gateway);
    init_print_put_text(&keys, "address", answers->tunnel.address);
    init_print_put_text(&keys, "private_key_file", "netd/wireguard.key");
    init_print_put_list(&keys, "sources", &answers->tunnel.sources);
    put_limits(&keys, table);
    init_print_put_text(&hub_keys, "public_key", answers->hub.public_key);
    init_print_put_text(&hub_keys, "endpoint", answers->hub.endpoint);
    init_print_put_text(&hub_keys, "address", answers->hub.address);
    if (answers->hub.preshared_key)
        init_print_put_text(&hub_keys, "preshared_key_file", "netd/preshared.key");
    init_print_put_text(&ssh, "name", "ssh");
    init_print_put_text(&ssh, "protocol", "tcp");
    put_number(&ssh, "port", 22);
    strbuf_addf(out, "\n# %s\ntunnel: {\n", table->help);
    config_print_rows(table, keys.given, "  ", out);
    strbuf_addf(out, "\n  # %s\n  hub = {\n", hub->help);
    config_print_rows(hub, hub_keys.given, "    ", out);
    strbuf_add(out, "  };\n\n  # What a session may open, and nothing else.\n  services = (\n"
                    "    {\n");
    config_print_rows(services, ssh.given, "      ", out);
    strbuf_add(out, "    }\n  );\n};\n");
}

void init_print_netd_file(const struct init_answers *answers, struct strbuf *out)
{
    const struct init_signers *signers = &answers->signers;
    CLEANUP(keys_free) struct keys access = {.length = 0};
    const struct keys none = {.length = 0};
    strbuf_add(out, "# The configuration of sallyport-netd, written by `sallyport init`. Only root "
                    "may\n# write it. A line that begins with "
                    "#KEY shows the default.\n# `sallyport-netd -t` finds mistakes, `sallyport "
                    "explain KEY` says more.\n");
    if (signers->allowed_signers)
        init_print_put_text(&access, "allowed_signers", "allowed_signers");
    if (signers->revoked_keys && signers->revoked_keys[0])
        init_print_put_text(&access, "revoked_keys", "revoked_keys");
    print_firewall(answers, out);
    init_print_group(netd_table("paths"), &none, out);
    init_print_group(netd_table("access"), &access, out);
    if (answers->has_tunnel)
        print_tunnel(answers, out);
    else
        strbuf_add(out, "\n# There is no group `tunnel`: no maintenance tunnel can be opened. "
                        "`sallyport explain tunnel`\n# lists its keys.\n");
}

void init_print_reach(const struct reach_needs *needs, struct strbuf *out)
{
    const struct option_table *table = netd_table("agent.may_reach");
    strbuf_addf(out, "\n# %s\n", table->help);
    for (size_t i = 0; i < table->n_rows; i++)
        strbuf_addf(out, "# %s: %s\n", table->rows[i].key, table->rows[i].help);
    reach_print_group(needs, true, out);
}
