/*
 * The configuration keys that all Modbus drivers share, those of a device and of a tag, and what
 * can be wrong with them. Constants and pure functions; any thread.
 */
#ifndef SALLYPORT_DRIVERS_MODBUS_MODBUS_OPTIONS_H
#define SALLYPORT_DRIVERS_MODBUS_MODBUS_OPTIONS_H

#include "config/schema/config.h"
#include "drivers/modbus/framing.h"
#include "drivers/modbus/read_plan.h"

/* A device on a Modbus bus. */
struct modbus_device {
    int64_t unit;
    int addressing;        /* enum tag_addressing */
    int64_t max_gap;       /* unused registers, or bits, that a merged read may carry along */
    int64_t max_registers; /* of one request; 16 times as many bits */
};

/* One of its tags. */
struct modbus_tag {
    int table; /* enum tag_table */
    int64_t address;
    int order;   /* enum tag_order */
    int64_t bit; /* -1: the whole register */
};

/* The keys. Those of a device differ between TCP and RTU only in the bounds of `unit`. */
#define MODBUS_DEVICE_ROWS 4
#define MODBUS_TAG_ROWS 4
extern const struct option modbus_tcp_device_rows[MODBUS_DEVICE_ROWS];
extern const struct option modbus_rtu_device_rows[MODBUS_DEVICE_ROWS];
extern const struct option modbus_tag_rows[MODBUS_TAG_ROWS];

/* The row of the key `framing`, whose value, an index into framings_all, is MEMBER of TABLE. */
#define MODBUS_FRAMING_ROW(table, member, framing_default)                                         \
    {                                                                                              \
        .key = "framing", .type = OPTION_ENUM, .names = framing_names,                             \
        .fallback = (framing_default), .reload = RELOAD_LINE, .offset = offsetof(table, member),   \
        .help = "How requests are packed: tcp (Modbus TCP: a header with a number), rtu (binary "  \
                "with a checksum), or ascii (text). Over the network rtu and ascii are what "      \
                "serial servers in transparent mode pass on."                                      \
    }

/* config_driver.check_device, as far as it is the same for all kinds of wire. */
void modbus_check_device(const struct config_bus *bus, struct config_device *device,
                         struct findings *findings);

/* Merging as configured. */
struct read_plan_limits modbus_limits(const struct modbus_device *device);

/* What a checked tag needs. TAG_NUMBER is kept in the item. */
struct read_plan_item modbus_item(const struct modbus_device *device, const struct config_tag *tag,
                                  uint16_t tag_number);

#endif
