/* The JSON payloads, judged by jansson. */
#include "agent/payload/encode.h"

#include "tests/support/test.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static union slot slots[256];
static struct config_tag tags[] = {{.name = "temperature"}, {.name = "running"}, {.name = "total"},
                                   {.name = "model"},       {.name = "alarm"},   {.name = "lost"}};
static const struct config_device device = {.name = "boiler", .tags = tags, .n_tags = 6};

static size_t make_batch(void)
{
    struct batch batch = {.slots = slots, .capacity = 256, .used = 0};
    batch_begin(&batch, 0);
    batch_put_f64(&batch, 0, 21.5);
    batch_put_bool(&batch, 1, true);
    batch_put_u64(&batch, 2, UINT64_MAX);
    batch_put_text(&batch, 3, "PM \"51\\10\" \xc2\xb0", 13);
    batch_put_bad(&batch, 4, QUALITY_EXCEPTION, 2);
    batch_put_bad(&batch, 5, QUALITY_TIMEOUT, 0);
    batch_end(&batch, INT64_C(1795343987123));
    return batch.used;
}

static void test_data(void)
{
    CLEANUP(strbuf_free) struct strbuf body = STRBUF_EMPTY;
    CLEANUP(strbuf_free) struct strbuf message = STRBUF_EMPTY;
    size_t n_slots = make_batch();
    CU_ASSERT_EQUAL(encoder_json.data(&device, slots, n_slots, NULL, &body), 6);
    encoder_json.envelope("9f2c61aa", 1234, false, body.data, body.length, &message);
    TEST_TEXT_EQUAL(strbuf_text(&message),
                    "{\"stream\":\"9f2c61aa\",\"seq\":1234,\"timestamp\":1795343987123,\"values\":{"
                    "\"temperature\":21.5,\"running\":true,\"total\":18446744073709551615,"
                    "\"model\":\"PM \\\"51\\\\10\\\" \xc2\xb0\"},"
                    "\"errors\":{\"alarm\":\"exception-2\",\"lost\":\"timeout\"}}");
    json_t *parsed = json_loads(strbuf_text(&message), JSON_DECODE_INT_AS_REAL, NULL);
    CU_ASSERT_PTR_NOT_NULL(parsed);
    json_decref(parsed);
}

static void test_historical(void)
{
    CLEANUP(strbuf_free) struct strbuf message = STRBUF_EMPTY;
    encoder_json.envelope("00000001", 7, true, "\"timestamp\":1}", 14, &message);
    TEST_TEXT_EQUAL(strbuf_text(&message), "{\"stream\":\"00000001\",\"seq\":7,"
                                           "\"historical\":true,\"timestamp\":1}");
}

static void test_picked(void)
{
    CLEANUP(strbuf_free) struct strbuf body = STRBUF_EMPTY;
    bool picked[6] = {[2] = true, [5] = true};
    size_t n_slots = make_batch();
    CU_ASSERT_EQUAL(encoder_json.data(&device, slots, n_slots, picked, &body), 2);
    TEST_TEXT_EQUAL(strbuf_text(&body), "\"timestamp\":1795343987123,\"values\":{\"total\":"
                                        "18446744073709551615},\"errors\":{\"lost\":\"timeout\"}}");
    memset(picked, 0, sizeof(picked));
    CU_ASSERT_EQUAL(encoder_json.data(&device, slots, n_slots, picked, &body), 0);
}

static void test_event(void)
{
    CLEANUP(strbuf_free) struct strbuf body = STRBUF_EMPTY;
    const struct event_field fields[] = {{.key = "first", .number = -5},
                                         {.key = "reason", .text = "tab\tbad\xff byte\x7f"}};
    encoder_json.event("gap", 99, fields, 2, &body);
    TEST_TEXT_EQUAL(strbuf_text(&body), "\"timestamp\":99,\"event\":\"gap\",\"first\":-5,"
                                        "\"reason\":\"tab\\u0009bad\xef\xbf\xbd byte\\u007f\"}");
}

static void expect_double(double value, const char *text)
{
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    json_add_double(&out, value);
    TEST_TEXT_EQUAL(strbuf_text(&out), text);
}

static void test_doubles(void)
{
    expect_double(0, "0");
    expect_double(-0.5, "-0.5");
    expect_double(21.5, "21.5");
    expect_double(100, "100");
    expect_double(0.1, "0.1");
    expect_double(3 * 0.1, "0.30000000000000004");
    expect_double((double)0.1f, "0.10000000149011612");
    expect_double(123456789.000001, "123456789.000001");
    expect_double(1e-9, "0.000000001");
    expect_double(1e300, "1e+300");
    expect_double(5e-324, "4.94065645841247e-324");
    expect_double(9007199254740993.0, "9007199254740992");
}

static void test_doubles_read_back(void)
{
    unsigned short state[3] = {1, 2, 3};
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = (uint64_t)(uint32_t)jrand48(state) << 32 | (uint32_t)jrand48(state);
        double value;
        memcpy(&value, &bits, sizeof(value));
        if (i % 2) /* plant-like: a whole number times a power of ten */
            value = (double)(int32_t)bits * pow(10, -(double)(bits >> 32 & 7));
        if (!isfinite(value))
            continue;
        strbuf_reset(&out);
        json_add_double(&out, value);
        CU_ASSERT_EQUAL_FATAL(strtod(strbuf_text(&out), NULL), value);
    }
}

TEST_MAIN("encode", {"a poll becomes one message with values and errors", test_data},
          {"what was stored through an outage says so", test_historical},
          {"only what was picked goes out", test_picked},
          {"events carry their details, whatever bytes are in them", test_event},
          {"numbers are short decimals", test_doubles},
          {"every finite number reads back as itself", test_doubles_read_back})
