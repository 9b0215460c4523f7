/*
 * The driver `modbus_rtu`: up to 247 units on one pair of wires at a serial port. RTU is what
 * nearly all of them speak, some old ones ASCII. What happens on the line is modbus_line.c; this
 * file has the keys.
 */
#include "drivers/driver.h"
#include "drivers/modbus/modbus_line.h"
#include "drivers/modbus/modbus_options.h"
#include "drivers/serial/serial_options.h"
#include "drivers/transport/transport_serial.h"

struct modbus_rtu_bus {
    struct serial_options serial;
    int framing; /* index into framings_all */
    int64_t timeout_ms, turnaround_ms;
};

static int modbus_rtu_create(const struct driver_host *host, void **ret_line)
{
    const struct modbus_rtu_bus *options = host->bus->options;
    struct transport *transport =
        transport_serial_new(&options->serial, options->turnaround_ms, host->stop);
    *ret_line =
        modbus_line_new(framings_all[options->framing], transport, options->timeout_ms, host->turn);
    return 0;
}

static void modbus_rtu_check_bus(const struct config_bus *bus, struct findings *findings)
{
    const struct modbus_rtu_bus *options = bus->options;
    serial_options_check(bus, &options->serial, findings);
    if (options->serial.data_bits != 8 && !framings_all[options->framing]->is_text)
        findings_add(findings, FINDING_WARNING, bus->where, "data_bits",
                     "Modbus RTU needs 8; with 7 the highest bit of every byte is lost");
}

static const struct option bus_rows[] = {
    SERIAL_OPTION_ROWS(struct modbus_rtu_bus, serial, "/dev/ttyS1", "19200", "even"),
    MODBUS_FRAMING_ROW(struct modbus_rtu_bus, framing, "rtu"),
    {.key = "timeout_ms",
     .type = OPTION_INT,
     .unit = "ms",
     .min = 10,
     .max = 60000,
     .fallback = "1000",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct modbus_rtu_bus, timeout_ms),
     .help = "How long a unit may take to begin its reply."},
    {.key = "turnaround_ms",
     .type = OPTION_INT,
     .unit = "ms",
     .min = 0,
     .max = 10000,
     .fallback = "20",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct modbus_rtu_bus, turnaround_ms),
     .help = "The least pause after a request that was not answered. The 3.5 characters of "
             "silence before every request are kept in any case."},
};

extern const struct driver modbus_rtu_driver;
const struct driver modbus_rtu_driver = {
    .config = {.name = "modbus_rtu",
               .help = "Modbus on a serial port, with one or more units.",
               .bus = {.path = "buses.modbus_rtu",
                       .help = "A serial line with Modbus units.",
                       .rows = bus_rows,
                       .n_rows = ARRAY_LENGTH(bus_rows),
                       .size = sizeof(struct modbus_rtu_bus)},
               .device = {.path = "devices.modbus_rtu",
                          .help = "A device on a modbus_rtu bus.",
                          .rows = modbus_rtu_device_rows,
                          .n_rows = MODBUS_DEVICE_ROWS,
                          .size = sizeof(struct modbus_device)},
               .tag = {.path = "devices.tags.modbus_rtu",
                       .help = "A tag of a device on a modbus_rtu bus.",
                       .rows = modbus_tag_rows,
                       .n_rows = MODBUS_TAG_ROWS,
                       .size = sizeof(struct modbus_tag)},
               .check_device = modbus_check_device,
               .check_bus = modbus_rtu_check_bus},
    .create = modbus_rtu_create,
    MODBUS_LINE_FUNCTIONS,
};
