/* The configuration keys that all Modbus drivers share, and what can be wrong with them. */
#include "drivers/modbus/modbus_options.h"

#include "drivers/modbus/modbus_request.h"
#include "drivers/modbus/tag.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#define DEVICE_ROWS(least_unit, most_unit)                                                         \
    {                                                                                              \
        {.key = "unit",                                                                            \
         .type = OPTION_INT,                                                                       \
         .min = (least_unit),                                                                      \
         .max = (most_unit),                                                                       \
         .fallback = "1",                                                                          \
         .reload = RELOAD_LINE,                                                                    \
         .offset = offsetof(struct modbus_device, unit),                                           \
         .help = "The unit identifier (slave address) that the device answers to."},               \
            {.key = "addressing",                                                                  \
             .type = OPTION_ENUM,                                                                  \
             .names = tag_addressing_names,                                                        \
             .fallback = "zero",                                                                   \
             .reload = RELOAD_LINE,                                                                \
             .offset = offsetof(struct modbus_device, addressing),                                 \
             .help = "How addresses of tags are written: zero (as on the wire), one (counted "     \
                     "from 1), or modicon (40101 or 400101: the first digit names the table)."},   \
            {.key = "max_gap",                                                                     \
             .type = OPTION_INT,                                                                   \
             .unit = "registers",                                                                  \
             .min = 0,                                                                             \
             .max = MODBUS_READ_REGISTERS_MAX,                                                     \
             .fallback = "8",                                                                      \
             .reload = RELOAD_LINE,                                                                \
             .offset = offsetof(struct modbus_device, max_gap),                                    \
             .help = "How many unused registers (of coils and discrete inputs: bits) may lie "     \
                     "between two tags that are read with one request."},                          \
            {.key = "max_registers",                                                               \
             .type = OPTION_INT,                                                                   \
             .unit = "registers",                                                                  \
             .min = 1,                                                                             \
             .max = MODBUS_READ_REGISTERS_MAX,                                                     \
             .fallback = "120",                                                                    \
             .reload = RELOAD_LINE,                                                                \
             .offset = offsetof(struct modbus_device, max_registers),                              \
             .help = "How many registers the device delivers with one request; of coils and "      \
                     "discrete inputs it is 16 times as many."},                                   \
    }

const struct option modbus_tcp_device_rows[MODBUS_DEVICE_ROWS] = DEVICE_ROWS(0, 255);
const struct option modbus_rtu_device_rows[MODBUS_DEVICE_ROWS] = DEVICE_ROWS(1, 247);

const struct option modbus_tag_rows[MODBUS_TAG_ROWS] = {
    {.key = "table",
     .type = OPTION_ENUM,
     .names = tag_table_names,
     .fallback = "auto",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct modbus_tag, table),
     .help = "Where the value lies: coil, discrete, input or holding; auto means what the first "
             "digit of a modicon address says, else holding.",
     .example = "holding"},
    {.key = "address",
     .type = OPTION_INT,
     .flags = OPTION_REQUIRED,
     .min = 0,
     .max = 465536,
     .reload = RELOAD_LINE,
     .offset = offsetof(struct modbus_tag, address),
     .help = "The first register or bit of the value, written as the device's `addressing` says, "
             "without leading zeros.",
     .example = "100"},
    {.key = "order",
     .type = OPTION_ENUM,
     .names = tag_order_names,
     .fallback = "ABCD",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct modbus_tag, order),
     .help = "The order of the bytes: ABCD (as is), CDAB (words reversed), BADC (bytes of each "
             "word swapped) or DCBA (both). One register has only bytes to swap, and so has each "
             "register of a string."},
    {.key = "bit",
     .type = OPTION_INT,
     .min = -1,
     .max = 15,
     .fallback = "-1",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct modbus_tag, bit),
     .help = "Takes one bit of a register, 0 the lowest, as a bool; -1 takes the whole register."},
};

/* One tag being checked. */
struct check {
    const struct config_device *device;
    const struct modbus_device *options;
    struct config_tag *tag;
    const struct modbus_tag *where;
    struct findings *findings;
};

/* The full key: by the line alone the loader could not tell tags apart that share one. */
static PRINTF_LIKE(3, 4) void refuse(const struct check *check, const char *key, const char *format,
                                     ...)
{
    char path[256], text[256];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    (void)snprintf(path, sizeof(path), "devices.%s.tags.%s.%s", check->device->name,
                   check->tag->name, key);
    findings_add(check->findings, FINDING_ERROR, check->tag->where, path, "%s", text);
}

/* Returns whether the place was found. */
static bool check_place(const struct check *check, uint8_t *ret_table, uint16_t *ret_address)
{
    enum tag_addressing addressing = (enum tag_addressing)check->options->addressing;
    long long address = (long long)check->where->address;
    switch (tag_locate(addressing, (enum tag_table)check->where->table, check->where->address,
                       ret_table, ret_address)) {
    case TAG_PLACE_FINE:
        return true;
    case TAG_PLACE_BELOW:
        refuse(check, "address", "%lld: with addressing \"%s\" the first address is 1", address,
               tag_addressing_names[addressing]);
        return false;
    case TAG_PLACE_BEYOND:
        refuse(check, "address",
               "%lld: the last address is %d; a number like 40101 needs addressing \"modicon\"",
               address, addressing == ADDRESSING_ONE ? 65536 : 65535);
        return false;
    case TAG_PLACE_NOT_MODICON:
        refuse(
            check, "address",
            "%lld is not a modicon address: 1 to 9999 are coils, 10001 to 19999 discrete inputs, "
            "30001 to 39999 input registers, 40001 to 49999 holding registers, or six digits "
            "such as 400001 to 465536",
            address);
        return false;
    case TAG_PLACE_CONTRADICTION:
        refuse(check, "table",
               "\"%s\" contradicts address %lld, whose number names another table; leave out "
               "`table`, or use addressing \"one\" and the number without that digit",
               tag_table_names[check->where->table], address);
        return false;
    }
    return false;
}

/* Sets the default type, which depends on the place, and refuses types that cannot be there. */
static void check_type(const struct check *check, uint8_t table)
{
    struct config_tag *tag = check->tag;
    bool is_bit = modbus_table_is_bits(table) || check->where->bit >= 0;
    if (!config_tag_has(tag, "type"))
        tag->type = is_bit ? VALUE_BOOL : VALUE_UINT16;
    if (modbus_table_is_bits(table) && check->where->bit >= 0)
        refuse(check, "bit", "a %s is one bit already; leave out `bit`", modbus_table_names[table]);
    else if (is_bit && tag->type != VALUE_BOOL)
        refuse(check, "type", "%s: a single bit can only be a bool; leave out `type`",
               value_type_names[tag->type]);
    bool orderless = tag->type == VALUE_BOOL && check->where->bit < 0;
    if (orderless && check->where->order != ORDER_ABCD)
        refuse(check, "order", "a bool has no order of bytes; leave out `order`");
}

static void check_extent(const struct check *check, uint8_t table, uint16_t address)
{
    const struct config_tag *tag = check->tag;
    unsigned registers = tag_registers((enum value_type)tag->type, tag->length);
    if (modbus_table_is_bits(table))
        return;
    if (address + registers > 65536)
        refuse(check, "address", "the value takes %u registers and ends after the last address",
               registers);
    if (registers > check->options->max_registers)
        refuse(check, tag->type == VALUE_STRING ? "length" : "type",
               "the value takes %u registers, but max_registers of the device is %lld", registers,
               (long long)check->options->max_registers);
}

static void modbus_options_check_tag(const struct check *check)
{
    uint8_t table;
    uint16_t address;
    if (!check_place(check, &table, &address))
        return;
    check_type(check, table);
    check_extent(check, table, address);
    if (check->tag->writable && (table == MODBUS_DISCRETE || table == MODBUS_INPUT))
        refuse(check, "writable", "the %s table can only be read", modbus_table_names[table]);
}

void modbus_check_device(const struct config_bus *bus, struct config_device *device,
                         struct findings *findings)
{
    (void)bus;
    struct check check = {.device = device, .options = device->options, .findings = findings};
    for (size_t i = 0; i < device->n_tags; i++) {
        check.tag = &device->tags[i];
        check.where = check.tag->options;
        modbus_options_check_tag(&check);
    }
}

struct read_plan_limits modbus_limits(const struct modbus_device *device)
{
    return (struct read_plan_limits){
        .max_gap = (uint16_t)device->max_gap,
        .max_registers = (uint16_t)device->max_registers,
        .max_bits = (uint16_t)(16 * device->max_registers), /* at most MODBUS_READ_BITS_MAX */
    };
}

struct read_plan_item modbus_item(const struct modbus_device *device, const struct config_tag *tag,
                                  uint16_t tag_number)
{
    const struct modbus_tag *where = tag->options;
    struct read_plan_item item = {.tag = tag_number, .count = 1};
    enum tag_place_problem problem =
        tag_locate((enum tag_addressing)device->addressing, (enum tag_table)where->table,
                   where->address, &item.table, &item.address);
    assert(problem == TAG_PLACE_FINE); /* checked */
    if (!modbus_table_is_bits(item.table))
        item.count = (uint16_t)tag_registers((enum value_type)tag->type, tag->length);
    return item;
}
