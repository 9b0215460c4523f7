/*
 * `sallyport read`: registers or coils, now. Through the running agent where it owns the line, so
 * that two programs never send on one wire; directly otherwise.
 */
#include "agent/base/memory.h"
#include "agent/cli/agent_client.h"
#include "agent/cli/cli.h"
#include "agent/cli/options.h"
#include "agent/cli/plant_line.h"
#include "agent/payload/json_text.h"
#include "drivers/modbus/modbus_request.h"
#include "drivers/modbus/tag.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct read_reading {
    const char *bus;
    long long unit, address, count;
    size_t table, type, order; /* of modbus_table, value_type, tag_order */
    struct modbus_call call;
};

/* The index of TEXT in the NULL-terminated NAMES; false after a message that lists them. */
static bool choose(const char *option, const char *text, const char *const *names, size_t *ret)
{
    CLEANUP(strbuf_free) struct strbuf list = STRBUF_EMPTY;
    for (size_t i = 0; names[i]; i++) {
        if (text && strcmp(text, names[i]) == 0) {
            *ret = i;
            return true;
        }
        strbuf_addf(&list, "%s%s", i > 0 ? ", " : "", names[i]);
    }
    (void)cli_fail(CLI_USAGE, "read", "%s: one of %s", option, strbuf_text(&list));
    return false;
}

static bool is_bits(const struct read_reading *reading)
{
    return modbus_table_is_bits((uint8_t)reading->table);
}

/* Registers of one value; a text has `count` registers and is one value. */
static unsigned width_of(const struct read_reading *reading)
{
    if (is_bits(reading) || reading->type == VALUE_BOOL || reading->type == VALUE_STRING)
        return 1;
    return tag_registers((enum value_type)reading->type, 0);
}

static bool read_make_request(struct read_reading *reading)
{
    if (is_bits(reading) != (reading->type == VALUE_BOOL)) {
        (void)cli_fail(CLI_USAGE, "read", "--type: a %s holds %s",
                       modbus_table_names[reading->table],
                       is_bits(reading) ? "bool only" : "registers, not bool");
        return false;
    }
    long long total = reading->count * width_of(reading);
    long long most = is_bits(reading) ? MODBUS_READ_BITS_MAX : MODBUS_READ_REGISTERS_MAX;
    if (total > most || reading->address + total > 65536) {
        (void)cli_fail(CLI_USAGE, "read",
                       "--count: %lld %s from address %lld are too many: at most "
                       "%lld in one request, none beyond address 65535",
                       total, is_bits(reading) ? "bits" : "registers", reading->address, most);
        return false;
    }
    reading->call.request =
        modbus_read_request((uint8_t)reading->unit, (enum modbus_table)reading->table,
                            (uint16_t)reading->address, (uint16_t)total);
    return true;
}

static bool read_parse(const struct cli_context *context, int argc, char **argv,
                       struct read_reading *reading)
{
    const char *table = NULL, *type = NULL, *order = "ABCD";
    const struct cli_option options[] = {
        {.name = "--unit", .number = &reading->unit, .min = 0, .max = 255},
        {.name = "--address", .number = &reading->address, .min = 0, .max = 65535},
        {.name = "--count", .number = &reading->count, .min = 1, .max = 2000},
        {.name = "--table", .text = &table},
        {.name = "--type", .text = &type},
        {.name = "--order", .text = &order},
        {.name = NULL},
    };
    if (cli_options(argc, argv, options) != 2 || reading->unit < 0 || reading->address < 0 ||
        !table) {
        (void)cli_usage(context);
        return false;
    }
    reading->bus = argv[1];
    if (!choose("--table", table, modbus_table_names, &reading->table))
        return false;
    if (!type)
        type = value_type_names[is_bits(reading) ? VALUE_BOOL : VALUE_UINT16];
    return choose("--type", type, value_type_names, &reading->type) &&
           choose("--order", order, tag_order_names, &reading->order) && read_make_request(reading);
}

/* Returns an enum cli_exit after a message on failure. */
static int read_now(struct plant_line *line, struct read_reading *reading)
{
    struct driver_error error;
    enum outcome outcome = plant_ask(line, &reading->call, &error);
    if (outcome == OUTCOME_OK && reading->call.reply.exception)
        return cli_fail(CLI_FAILED, "read", "line %s unit %lld: exception-%u", reading->bus,
                        reading->unit, reading->call.reply.exception);
    if (outcome != OUTCOME_OK)
        return cli_fail(CLI_FAILED, "read", "line %s unit %lld: %s", reading->bus, reading->unit,
                        error.text);
    return CLI_DONE;
}

/* Decodes value number INDEX. */
static void read_add_value(const struct read_reading *reading, size_t index, struct json_text *json)
{
    const uint16_t *values = reading->call.reply.values;
    if (is_bits(reading)) {
        json_text_bool(json, NULL, values[index]);
        return;
    }
    uint8_t wire[250];
    union slot slots[40];
    char name[24];
    struct batch batch = {.slots = slots, .capacity = ARRAY_LENGTH(slots)};
    unsigned width =
        reading->type == VALUE_STRING ? reading->call.request.count : width_of(reading);
    for (size_t i = 0; i < width; i++) {
        wire[2 * i] = (uint8_t)(values[index * width + i] >> 8);
        wire[2 * i + 1] = (uint8_t)values[index * width + i];
    }
    const struct config_tag tag = {
        .type = (int)reading->type, .scale = 1, .decimals = -1, .length = 2 * (int64_t)width};
    const struct tag_codec codec = tag_codec_make(&tag, (enum tag_order)reading->order, -1);
    batch_begin(&batch, 0);
    tag_decode(&codec, wire, &batch, 0);
    if (slots[1].sample.quality == QUALITY_GOOD)
        json_text_sample(json, NULL, &slots[1]);
    else
        json_text_string(
            json, NULL,
            quality_name((enum quality)slots[1].sample.quality, slots[1].sample.code, name));
}

static size_t count_values(const struct read_reading *reading)
{
    return reading->type == VALUE_STRING ? 1 : (size_t)reading->count;
}

static void write_json(const struct read_reading *reading, struct strbuf *out)
{
    struct json_text json = JSON_TEXT(out);
    json_text_open_object(&json, NULL);
    json_text_string(&json, "bus", reading->bus);
    json_text_i64(&json, "unit", reading->unit);
    json_text_string(&json, "table", modbus_table_names[reading->table]);
    json_text_i64(&json, "address", reading->address);
    json_text_string(&json, "type", value_type_names[reading->type]);
    json_text_open_array(&json, "values");
    for (size_t i = 0; i < count_values(reading); i++)
        read_add_value(reading, i, &json);
    json_text_close_array(&json);
    json_text_close_object(&json);
    strbuf_add_char(out, '\n');
}

/* A line for each value. */
static void read_write_lines(const struct read_reading *reading, struct strbuf *out)
{
    for (size_t i = 0; i < count_values(reading); i++) {
        struct json_text value = JSON_TEXT(out);
        strbuf_addf(out, "%-6lld ", reading->address + (long long)(i * width_of(reading)));
        read_add_value(reading, i, &value);
        strbuf_add_char(out, '\n');
    }
}

static void read_print(const struct cli_context *context, const struct read_reading *reading)
{
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    (context->json ? write_json : read_write_lines)(reading, &out);
    cli_print(stdout, "%s", strbuf_text(&out));
}

static int read_run(const struct cli_context *context, const struct config *config,
                    struct read_reading *reading)
{
    CLEANUP(plant_close) struct plant_line line = {.agent = -1};
    const struct config_bus *bus = config_find_bus(config, reading->bus);
    if (!bus)
        return cli_fail(CLI_FAILED, "read", "%s has no line \"%s\"", context->agent_file,
                        reading->bus);
    int code = plant_open("read", config, bus, &line);
    if (code == CLI_DONE)
        code = read_now(&line, reading);
    if (code == CLI_DONE)
        read_print(context, reading);
    return code;
}

static int run_read(const struct cli_context *context, int argc, char **argv)
{
    struct read_reading reading = {.unit = -1, .address = -1, .count = 1};
    if (!read_parse(context, argc, argv, &reading))
        return CLI_USAGE;
    struct config *config = agent_load_config(context);
    if (!config)
        return CLI_FAILED;
    int code = read_run(context, config, &reading);
    config_free(config);
    return code;
}

const struct cli_command command_read = {
    .name = "read",
    .usage = "LINE --unit N --table coil|discrete|input|holding --address N [--count N] [--type T] "
             "[--order O]",
    .help = "reads registers or coils, through the running agent if it owns the line",
    .run = run_read,
};
