/* Address notations, and registers to values. Pure. */
#include "drivers/modbus/tag.h"

#include "agent/base/min_max.h"
#include "drivers/modbus/modbus_request.h"

#include <math.h>
#include <string.h>

#define WORDS_REVERSED 1 /* bits of enum tag_order */
#define BYTES_SWAPPED 2

const char *const tag_addressing_names[] = {"zero", "one", "modicon", NULL};
const char *const tag_table_names[] = {"auto", "coil", "discrete", "input", "holding", NULL};
const char *const tag_order_names[] = {"ABCD", "CDAB", "BADC", "DCBA", NULL};

/* The number spaces of Modicon controllers, five digits and six. */
static const struct {
    int32_t first, last;
    uint8_t table;
} modicon_ranges[] = {
    {1, 9999, MODBUS_COIL},
    {10001, 19999, MODBUS_DISCRETE},
    {100001, 165536, MODBUS_DISCRETE},
    {30001, 39999, MODBUS_INPUT},
    {300001, 365536, MODBUS_INPUT},
    {40001, 49999, MODBUS_HOLDING},
    {400001, 465536, MODBUS_HOLDING},
};

static enum tag_place_problem locate_modicon(enum tag_table table, int64_t number,
                                             uint8_t *ret_table, uint16_t *ret_address)
{
    for (size_t i = 0; i < ARRAY_LENGTH(modicon_ranges); i++) {
        if (number < modicon_ranges[i].first || number > modicon_ranges[i].last)
            continue;
        if (table != TAG_TABLE_AUTO && table - 1U != modicon_ranges[i].table)
            return TAG_PLACE_CONTRADICTION;
        *ret_table = modicon_ranges[i].table;
        *ret_address = (uint16_t)(number - modicon_ranges[i].first);
        return TAG_PLACE_FINE;
    }
    return number < 1 ? TAG_PLACE_BELOW : TAG_PLACE_NOT_MODICON;
}

enum tag_place_problem tag_locate(enum tag_addressing addressing, enum tag_table table,
                                  int64_t address, uint8_t *ret_table, uint16_t *ret_address)
{
    if (addressing == ADDRESSING_MODICON)
        return locate_modicon(table, address, ret_table, ret_address);
    if (addressing == ADDRESSING_ONE)
        address--;
    if (address < 0)
        return TAG_PLACE_BELOW;
    if (address > UINT16_MAX)
        return TAG_PLACE_BEYOND;
    *ret_table = table == TAG_TABLE_AUTO ? MODBUS_HOLDING : (uint8_t)(table - 1);
    *ret_address = (uint16_t)address;
    return TAG_PLACE_FINE;
}

unsigned tag_registers(enum value_type type, int64_t text_bytes)
{
    switch (type) {
    case VALUE_BOOL:
    case VALUE_INT16:
    case VALUE_UINT16:
        return 1;
    case VALUE_INT32:
    case VALUE_UINT32:
    case VALUE_FLOAT32:
        return 2;
    case VALUE_INT64:
    case VALUE_UINT64:
    case VALUE_FLOAT64:
        return 4;
    case VALUE_STRING:
        break;
    }
    return text_bytes < 1 ? 1 : (unsigned)(text_bytes + 1) / 2;
}

struct tag_codec tag_codec_make(const struct config_tag *tag, enum tag_order order, int64_t bit)
{
    struct tag_codec codec = {
        .type = (uint8_t)tag->type,
        .order = (uint8_t)order,
        .bit = (int8_t)bit,
        .scale = tag->scale,
        .offset = tag->offset,
        .rounding = tag->decimals < 0 ? 0 : pow(10, (double)tag->decimals),
    };
    codec.bytes = tag->type == VALUE_STRING ? (uint16_t)tag->length
                                            : (uint16_t)(2 * tag_registers(codec.type, 0));
    bool is_float = tag->type == VALUE_FLOAT32 || tag->type == VALUE_FLOAT64;
    codec.exact = tag->scale == 1 && tag->offset == 0 && (!is_float || tag->decimals < 0);
    return codec;
}

/* The registers as one number, the first word highest once the order is mended. */
static uint64_t gather(const uint8_t *wire, size_t n_words, unsigned order)
{
    uint64_t value = 0;
    for (size_t i = 0; i < n_words; i++) {
        const uint8_t *word = wire + 2 * (order & WORDS_REVERSED ? n_words - 1 - i : i);
        unsigned swap = order & BYTES_SWAPPED ? 1 : 0;
        value = value << 16 | (uint64_t)word[swap] << 8 | word[1 - swap];
    }
    return value;
}

static double scaled(const struct tag_codec *codec, double raw)
{
    double value = raw * codec->scale + codec->offset;
    double shifted = value * codec->rounding;
    if (codec->rounding > 0 && fabs(shifted) < 0x1p53) /* beyond, there are no decimals to drop */
        value = round(shifted) / codec->rounding;
    return value + 0.0; /* no negative zero */
}

static void put_signed(const struct tag_codec *codec, int64_t raw, struct batch *batch,
                       uint16_t tag)
{
    if (codec->exact)
        batch_put_i64(batch, tag, raw);
    else
        batch_put_f64(batch, tag, scaled(codec, (double)raw));
}

static void put_unsigned(const struct tag_codec *codec, uint64_t raw, struct batch *batch,
                         uint16_t tag)
{
    if (codec->exact)
        batch_put_u64(batch, tag, raw);
    else
        batch_put_f64(batch, tag, scaled(codec, (double)raw));
}

static void put_float(const struct tag_codec *codec, double raw, struct batch *batch, uint16_t tag)
{
    batch_put_f64(batch, tag, codec->exact ? raw : scaled(codec, raw));
}

static double as_float32(uint64_t bits)
{
    uint32_t half = (uint32_t)bits;
    float value;
    memcpy(&value, &half, sizeof(value));
    return value;
}

static double as_float64(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static void tag_put_text(const struct tag_codec *codec, const uint8_t *wire, struct batch *batch,
                         uint16_t tag)
{
    char text[SAMPLE_TEXT_MAX + 1];
    unsigned swap = codec->order & BYTES_SWAPPED ? 1 : 0;
    size_t length = min_size(codec->bytes, sizeof(text));
    for (size_t i = 0; i < length; i++)
        text[i] = (char)wire[i ^ swap];
    const char *end = memchr(text, '\0', length);
    if (end)
        length = (size_t)(end - text);
    while (length > 0 && text[length - 1] == ' ')
        length--;
    batch_put_text(batch, tag, text, length);
}

void tag_decode(const struct tag_codec *codec, const uint8_t *wire, struct batch *batch,
                uint16_t tag)
{
    unsigned order = codec->order;
    switch ((enum value_type)codec->type) {
    case VALUE_BOOL: {
        uint64_t mask = codec->bit < 0 ? 0xFFFF : UINT64_C(1) << codec->bit;
        batch_put_bool(batch, tag, (gather(wire, 1, order) & mask) != 0);
        return;
    }
    case VALUE_INT16:
        put_signed(codec, (int16_t)gather(wire, 1, order), batch, tag);
        return;
    case VALUE_UINT16:
        put_unsigned(codec, gather(wire, 1, order), batch, tag);
        return;
    case VALUE_INT32:
        put_signed(codec, (int32_t)gather(wire, 2, order), batch, tag);
        return;
    case VALUE_UINT32:
        put_unsigned(codec, gather(wire, 2, order), batch, tag);
        return;
    case VALUE_INT64:
        put_signed(codec, (int64_t)gather(wire, 4, order), batch, tag);
        return;
    case VALUE_UINT64:
        put_unsigned(codec, gather(wire, 4, order), batch, tag);
        return;
    case VALUE_FLOAT32:
        put_float(codec, as_float32(gather(wire, 2, order)), batch, tag);
        return;
    case VALUE_FLOAT64:
        put_float(codec, as_float64(gather(wire, 4, order)), batch, tag);
        return;
    case VALUE_STRING:
        tag_put_text(codec, wire, batch, tag);
        return;
    }
}
