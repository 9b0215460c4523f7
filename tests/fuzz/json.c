/*
 * Samples to JSON and back: whatever a plant sends, the message is well-formed, jansson reads the
 * same values from it, and nothing of a text escapes its quotes.
 */
#include "agent/payload/dialect_table.h"

#include <assert.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#define SAMPLES_MAX 32

static const struct config config = {
    .gateway = {.id = (char *)"gw", .site = (char *)"plant-7"},
    .uplink = {.format = FORMAT_JSON, .prefix = (char *)"sallyport"}};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *data;
    size_t left;
};

static uint64_t take(struct input *input, size_t bytes)
{
    uint64_t value = 0;
    for (; bytes > 0 && input->left > 0; bytes--, input->left--)
        value = value << 8 | *input->data++;
    return value;
}

static void put_text(struct batch *batch, uint16_t tag, struct input *input)
{
    char text[SAMPLE_TEXT_MAX];
    size_t length = take(input, 1) % sizeof(text);
    if (length > input->left)
        length = input->left;
    memcpy(text, input->data, length);
    (void)take(input, length > 8 ? 8 : length);
    input->data += length > 8 ? length - 8 : 0;
    input->left -= length > 8 ? length - 8 : 0;
    batch_put_text(batch, tag, text, length);
}

static void put_one(struct batch *batch, uint16_t tag, struct input *input)
{
    double number;
    uint64_t bits;
    switch (take(input, 1) % 6) {
    case 0:
        batch_put_bool(batch, tag, take(input, 1) & 1);
        return;
    case 1:
        batch_put_i64(batch, tag, (int64_t)take(input, 8));
        return;
    case 2:
        batch_put_u64(batch, tag, take(input, 8));
        return;
    case 3:
        bits = take(input, 8);
        memcpy(&number, &bits, sizeof(number));
        batch_put_f64(batch, tag, number);
        return;
    case 4:
        put_text(batch, tag, input);
        return;
    default:
        batch_put_bad(batch, tag, 1 + (enum quality)(take(input, 1) % QUALITY_TRIPPED),
                      (uint8_t)take(input, 1));
        return;
    }
}

static void judge(const union slot *sample, const json_t *value, const json_t *error)
{
    char name[24];
    if (sample->sample.quality != QUALITY_GOOD) {
        assert(!value && error);
        assert(strcmp(json_string_value(error), quality_name((enum quality)sample->sample.quality,
                                                             sample->sample.code, name)) == 0);
        return;
    }
    assert(value && !error);
    switch ((enum sample_kind)sample->sample.kind) {
    case SAMPLE_BOOL:
        assert(json_is_true(value) == sample->sample.value.truth);
        break;
    case SAMPLE_I64:
        assert(json_integer_value(value) == sample->sample.value.i64);
        break;
    case SAMPLE_U64: /* jansson has no larger integers; the test of dialect_json sees their digits
                      */
        assert(json_integer_value(value) == (json_int_t)sample->sample.value.u64);
        break;
    case SAMPLE_F64:
        assert(json_number_value(value) == sample->sample.value.f64);
        break;
    case SAMPLE_TEXT:
        assert(json_string_length(value) == sample->sample.length);
        assert(memcmp(json_string_value(value), sample_text(sample), sample->sample.length) == 0);
        break;
    case SAMPLE_NONE:
        assert(false); /* a good sample has a value */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static union slot slots[SAMPLES_MAX * 18 + 1];
    static char names[SAMPLES_MAX][8];
    static struct config_tag tags[SAMPLES_MAX];
    static struct strbuf body;
    static struct dialect_message message;
    static struct dialect *dialect;
    struct input input = {data, size};
    struct batch batch = {.slots = slots, .capacity = sizeof(slots) / sizeof(slots[0])};
    uint16_t n_tags = 0;
    bool huge = false;
    batch_begin(&batch, 0);
    for (; input.left > 0 && n_tags < SAMPLES_MAX; n_tags++) {
        (void)snprintf(names[n_tags], sizeof(names[0]), "t%u", n_tags);
        tags[n_tags].name = names[n_tags];
        size_t at = batch.used;
        put_one(&batch, n_tags, &input);
        huge |= slots[at].sample.kind == SAMPLE_U64 && slots[at].sample.value.u64 > INT64_MAX;
    }
    batch_end(&batch, INT64_C(1795343987123));
    const struct config_device device = {.name = "d", .tags = tags, .n_tags = n_tags};
    if (!dialect)
        dialect = dialect_new(&config);
    strbuf_reset(&body);
    assert(dialect->type->data(dialect, &device, slots, batch.used, NULL, &body) == n_tags);
    const struct outbox_message stored = {.seq = 7,
                                          .topic = "data/d",
                                          .historical = n_tags % 2,
                                          .body = body.data,
                                          .body_length = body.length};
    dialect->type->envelope(dialect, "9f2c61aa", &stored, &message);
    json_t *document =
        json_loadb(message.payload.data, message.payload.length, JSON_ALLOW_NUL, NULL);
    assert(document || huge);
    const union slot *at = slots + 1;
    for (uint16_t tag = 0; document && tag < n_tags; tag++, at += sample_slots(at))
        judge(at, json_object_get(json_object_get(document, "values"), names[tag]),
              json_object_get(json_object_get(document, "errors"), names[tag]));
    json_decref(document);
    return 0;
}
