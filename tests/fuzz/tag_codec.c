/*
 * Tags of any kind with any registers: each gives exactly one sample that fits its type, and an
 * address is either refused or lies within its table.
 */
#include "drivers/modbus/modbus_request.h"
#include "drivers/modbus/tag.h"

#include <assert.h>
#include <math.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    uint8_t type, order, bit, decimals, length;
    uint8_t addressing, table;
    int32_t address;
    double scale, offset;
    uint8_t wire[250];
};

static void check_place(const struct input *input)
{
    uint8_t table = 99;
    uint16_t address;
    enum tag_table wanted = (enum tag_table)(input->table % 5);
    enum tag_place_problem problem = tag_locate((enum tag_addressing)(input->addressing % 3),
                                                wanted, input->address, &table, &address);
    assert((problem == TAG_PLACE_FINE) == (table <= MODBUS_HOLDING));
    if (problem == TAG_PLACE_FINE && wanted != TAG_TABLE_AUTO)
        assert(table == (uint8_t)wanted - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input;
    memset(&input, 0, sizeof(input));
    memcpy(&input, data, size < sizeof(input) ? size : sizeof(input));
    check_place(&input);
    struct config_tag tag = {.type = input.type % 10,
                             .scale = isfinite(input.scale) ? input.scale : 1,
                             .offset = isfinite(input.offset) ? input.offset : 0,
                             .decimals = input.decimals % 16 - 1,
                             .length = 1 + input.length % 250};
    int64_t bit = tag.type == VALUE_BOOL ? input.bit % 17 - 1 : -1;
    struct tag_codec codec = tag_codec_make(&tag, (enum tag_order)(input.order % 4), bit);
    union slot slots[64];
    struct batch batch = {.slots = slots, .capacity = batch_slots(1, SAMPLE_TEXT_MAX)};
    batch_begin(&batch, 0);
    tag_decode(&codec, input.wire, &batch, 5);
    batch_end(&batch, 0);
    assert(batch.used == 1 + sample_slots(&slots[1]) && slots[1].sample.tag == 5);
    if (slots[1].sample.kind == SAMPLE_F64)
        assert(isfinite(slots[1].sample.value.f64));
    if (slots[1].sample.quality == QUALITY_GOOD)
        assert((slots[1].sample.kind == SAMPLE_TEXT) == (tag.type == VALUE_STRING));
    return 0;
}
