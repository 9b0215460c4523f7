/*
 * The driver `modbus_tcp`: the units at one host and port. Modbus TCP over a TCP connection is what
 * most devices speak; UDP and the other framings are for gateways and serial servers. What happens
 * on the line is modbus_line.c; this file has the keys.
 *
 * No Modbus library has a part in the frames. libmodbus puts transaction 0 into every raw request,
 * so that a late reply could not be told from the right one; its receive accepts a reply from
 * another unit, and waits with select(), which ends the process when a descriptor is numbered 1024
 * or more.
 */
#include "drivers/driver.h"
#include "drivers/modbus/modbus_line.h"
#include "drivers/modbus/modbus_options.h"
#include "drivers/transport/transport_tcp.h"
#include "drivers/transport/transport_udp.h"

#include <stdio.h>

enum carrier { CARRIER_TCP, CARRIER_UDP };
static const char *const carrier_names[] = {"tcp", "udp", NULL};

struct modbus_tcp_bus {
    char *host;
    int64_t port, timeout_ms;
    int framing;   /* index into framings_all */
    int transport; /* enum carrier */
};

static int modbus_tcp_create(const struct driver_host *host, void **ret_line)
{
    const struct modbus_tcp_bus *options = host->bus->options;
    struct transport *(*transport_new)(const char *, uint16_t, int64_t, const atomic_bool *) =
        options->transport == CARRIER_UDP ? transport_udp_new : transport_tcp_new;
    struct transport *transport =
        transport_new(options->host, (uint16_t)options->port, options->timeout_ms, host->stop);
    *ret_line =
        modbus_line_new(framings_all[options->framing], transport, options->timeout_ms, host->turn);
    return 0;
}

/* Some gateways want these numbers, most devices answer to any; rarely are they meant. */
static void modbus_tcp_check_device(const struct config_bus *bus, struct config_device *device,
                                    struct findings *findings)
{
    const struct modbus_device *options = device->options;
    if (options->unit == 0 || options->unit > 247) {
        char key[128]; /* in full: a tag may be on the same line */
        (void)snprintf(key, sizeof(key), "devices.%s.unit", device->name);
        findings_add(findings, FINDING_WARNING, device->where, key,
                     "%lld is not a unit number (1 to 247); some devices want it, and a reply "
                     "with another unit is not accepted",
                     (long long)options->unit);
    }
    modbus_check_device(bus, device, findings);
}

static const struct option bus_rows[] = {
    {.key = "host",
     .type = OPTION_TEXT,
     .flags = OPTION_REQUIRED,
     .min = 1,
     .max = 253,
     .reload = RELOAD_LINE,
     .offset = offsetof(struct modbus_tcp_bus, host),
     .help = "Name or address (IPv4 or IPv6) of the device or gateway.",
     .example = "192.168.10.5"},
    {.key = "port",
     .type = OPTION_INT,
     .min = 1,
     .max = 65535,
     .fallback = "502",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct modbus_tcp_bus, port),
     .help = "TCP or UDP port."},
    {.key = "transport",
     .type = OPTION_ENUM,
     .names = carrier_names,
     .fallback = "tcp",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct modbus_tcp_bus, transport),
     .help = "What carries the requests: a tcp connection, or udp datagrams."},
    MODBUS_FRAMING_ROW(struct modbus_tcp_bus, framing, "tcp"),
    {.key = "timeout_ms",
     .type = OPTION_INT,
     .unit = "ms",
     .min = 10,
     .max = 60000,
     .fallback = "1000",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct modbus_tcp_bus, timeout_ms),
     .help = "How long to wait for a reply, and for a connection."},
};

extern const struct driver modbus_tcp_driver;
const struct driver modbus_tcp_driver = {
    .config = {.name = "modbus_tcp",
               .help =
                   "Modbus over the network: to a device, or to a gateway or serial server with "
                   "several units.",
               .bus = {.path = "buses.modbus_tcp",
                       .help = "A connection to a Modbus device, gateway or serial server.",
                       .rows = bus_rows,
                       .n_rows = ARRAY_LENGTH(bus_rows),
                       .size = sizeof(struct modbus_tcp_bus)},
               .device = {.path = "devices.modbus_tcp",
                          .help = "A device that is reached through a modbus_tcp bus.",
                          .rows = modbus_tcp_device_rows,
                          .n_rows = MODBUS_DEVICE_ROWS,
                          .size = sizeof(struct modbus_device)},
               .tag = {.path = "devices.tags.modbus_tcp",
                       .help = "A tag of a device on a modbus_tcp bus.",
                       .rows = modbus_tag_rows,
                       .n_rows = MODBUS_TAG_ROWS,
                       .size = sizeof(struct modbus_tag)},
               .check_device = modbus_tcp_check_device},
    .create = modbus_tcp_create,
    MODBUS_LINE_FUNCTIONS,
};
