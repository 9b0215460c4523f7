/* Where the agent wants to connect to by its own configuration. */
#include "agent/cli/reach.h"

#include "agent/base/memory.h"
#include "config/load/broker_url.h"
#include "config/load/proxy_url.h"
#include "config/schema/option.h"
#include "tunnel/model/address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool reach_is_loopback(const char *host)
{
    struct ip_network address, loopback4, loopback6;
    if (strcasecmp(host, "localhost") == 0)
        return true;
    return ip_network_parse(host, &address) == 0 &&
           ip_network_parse("127.0.0.0/8", &loopback4) == 0 &&
           ip_network_parse("::1", &loopback6) == 0 &&
           (ip_network_contains(&loopback4, &address) || ip_network_contains(&loopback6, &address));
}

/* ---- Collecting ---- */

static struct reach_need *add_need(struct reach_needs *needs, const char *host, uint16_t port)
{
    needs->items = memory_resize(needs->items, needs->length + 1, sizeof(*needs->items));
    struct reach_need *need = &needs->items[needs->length++];
    *need = (struct reach_need){.port = port};
    (void)snprintf(need->host, sizeof(need->host), "%s", host);
    return need;
}

static void add_uplink(const struct config *config, const char *key, const char *host,
                       uint16_t port, struct reach_needs *needs)
{
    const struct option *row = option_find(&config_uplink_table, key);
    struct reach_need *need = add_need(needs, host, port);
    need->where =
        (struct where){config->files[0], config->uplink_lines[row - config_uplink_table.rows]};
    (void)snprintf(need->key, sizeof(need->key), "uplink.%s", key);
}

static void add_brokers(const struct config *config, struct reach_needs *needs)
{
    for (size_t i = 0; i < config->uplink.servers.length; i++) {
        struct broker_url server;
        struct problem ignored;
        if (broker_url_parse(config->uplink.servers.items[i], &server, &ignored) == 0)
            add_uplink(config, "servers", server.host, server.port, needs);
    }
}

/* The member of OPTIONS, a driver's struct, that KEY is stored in; NULL: there is no such key. */
static const void *member(const struct config_bus *bus, const char *key, enum option_type type)
{
    const struct option *row = option_find(&bus->driver->bus, key);
    return row && row->type == type ? (const char *)bus->options + row->offset : NULL;
}

/* Any driver with the keys `host` and `port` connects there; `transport` may say over UDP. */
static void add_bus(const struct config_bus *bus, struct reach_needs *needs)
{
    char *const *host = member(bus, "host", OPTION_TEXT);
    const int64_t *port = member(bus, "port", OPTION_INT);
    const int *transport = member(bus, "transport", OPTION_ENUM);
    const struct option *row = option_find(&bus->driver->bus, "transport");
    if (!host || !*host || !port)
        return;
    struct reach_need *need = add_need(needs, *host, (uint16_t)*port);
    need->is_udp = transport && strcmp(row->names[*transport], "udp") == 0;
    need->is_plant = true;
    need->where = bus->where;
    (void)snprintf(need->key, sizeof(need->key), "buses.%s.host", bus->name);
}

void reach_needs_make(const struct config *config, struct reach_needs *ret_needs)
{
    struct proxy_url proxy;
    struct problem ignored;
    struct reach_needs needs = {NULL, 0};
    if (!config->uplink.proxy)
        add_brokers(config, &needs);
    else if (proxy_url_parse(config->uplink.proxy, &proxy, &ignored) == 0)
        add_uplink(config, "proxy", proxy.host, proxy.port, &needs);
    for (size_t i = 0; i < config->n_buses; i++)
        add_bus(&config->buses[i], &needs);
    *ret_needs = needs;
}

void reach_needs_free(struct reach_needs *needs)
{
    free(needs->items);
    *needs = (struct reach_needs){NULL, 0};
}

/* ---- Printing ---- */

static bool came_before(const struct reach_needs *needs, size_t at)
{
    const struct reach_need *need = &needs->items[at];
    for (size_t i = 0; i < at; i++) {
        const struct reach_need *other = &needs->items[i];
        if (strcasecmp(other->host, need->host) == 0 && other->port == need->port &&
            other->is_udp == need->is_udp && other->is_plant == need->is_plant)
            return true;
    }
    return false;
}

static bool is_address(const char *host)
{
    struct ip_network address;
    return ip_network_parse(host, &address) == 0;
}

void reach_print_group(const struct reach_needs *needs, bool in_lines, struct strbuf *out)
{
    const char *separator = "";
    strbuf_addf(out, "agent: {%smay_reach = (", in_lines ? "\n  " : " ");
    for (size_t i = 0; i < needs->length; i++) {
        const struct reach_need *need = &needs->items[i];
        if (came_before(needs, i))
            continue;
        bool needs_side =
            need->is_plant && !is_address(need->host) && !reach_is_loopback(need->host);
        strbuf_addf(out, "%s%s{ destination = \"%s\";%s port = %u;%s }", separator,
                    in_lines ? "\n    " : " ", need->host,
                    need->is_udp ? " protocol = \"udp\";" : "", need->port,
                    needs_side ? " side = \"plant\";" : "");
        separator = ",";
    }
    strbuf_add(out, in_lines ? "\n  );\n};\n" : " ); };");
}
