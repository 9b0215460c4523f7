/* The JSON writer, judged by jansson where it can. */
#include "agent/payload/json_text.h"

#include "tests/support/test.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void test_nesting(void)
{
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    struct json_text json = JSON_TEXT(&out);
    json_text_open_object(&json, NULL);
    json_text_open_object(&json, "empty");
    json_text_close_object(&json);
    json_text_open_array(&json, "list");
    json_text_i64(&json, NULL, -1);
    json_text_open_array(&json, NULL);
    json_text_close_array(&json);
    json_text_open_object(&json, NULL);
    json_text_null(&json, "n");
    json_text_bool(&json, "t", true);
    json_text_close_object(&json);
    json_text_bool(&json, NULL, false);
    json_text_close_array(&json);
    json_text_u64(&json, "most", UINT64_MAX);
    json_text_i64(&json, "least", INT64_MIN);
    json_text_fixed(&json, "f", 2.0 / 3, 3);
    json_text_fixed(&json, "g", 12, 1);
    json_text_close_object(&json);
    TEST_TEXT_EQUAL(strbuf_text(&out),
                    "{\"empty\":{},\"list\":[-1,[],{\"n\":null,\"t\":true},false],"
                    "\"most\":18446744073709551615,\"least\":-9223372036854775808,"
                    "\"f\":0.667,\"g\":12.0}");
}

static void test_parts(void)
{
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    struct json_text json = JSON_TEXT(&out);
    json_text_open_object(&json, NULL);
    json_text_i64(&json, "a", 1);
    json_text_key(&json, "b"); /* and another writer writes a document */
    json_text_open_object(&json, NULL);
    json_text_close_object(&json);
    json_text_key(&json, "c");
    json_text_insert(&json, "[1,2]", 5);
    json_text_insert(&json, "\"d\":3", 5);
    json_text_i64(&json, "e", 4);
    json_text_close_object(&json);
    TEST_TEXT_EQUAL(strbuf_text(&out), "{\"a\":1,\"b\":{},\"c\":[1,2],\"d\":3,\"e\":4}");
}

static void expect_text(const char *text, size_t length, const char *expected)
{
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    struct json_text json = JSON_TEXT(&out);
    json_text_open_array(&json, NULL);
    json_text_bytes(&json, NULL, text, length);
    json_text_close_array(&json);
    TEST_TEXT_EQUAL(strbuf_text(&out), expected);
    json_t *parsed = json_loadb(out.data, out.length, JSON_ALLOW_NUL, NULL);
    CU_ASSERT_PTR_NOT_NULL(parsed);
    json_decref(parsed);
}

static void test_texts(void)
{
    expect_text("", 0, "[\"\"]");
    expect_text("plain", 5, "[\"plain\"]");
    expect_text("\"\\", 2, "[\"\\\"\\\\\"]");
    expect_text("a\0b\x1f\x7f", 5, "[\"a\\u0000b\\u001f\\u007f\"]");
    /* What a terminal obeys or a person cannot see; a reader of JSON gets the same text. */
    expect_text("5\xc2\x9b\xe2\x80\xae\xef\xbb\xbf", 9, "[\"5\\u009b\\u202e\\ufeff\"]");
    expect_text("\ttab\n", 5, "[\"\\u0009tab\\u000a\"]");
    expect_text("\xc2\xb0 \xe2\x82\xac \xf0\x9f\x8c\xb1", 11,
                "[\"\xc2\xb0 \xe2\x82\xac \xf0\x9f\x8c\xb1\"]");
    expect_text("x\xff\xc2", 3, "[\"x\xef\xbf\xbd\xef\xbf\xbd\"]");
    expect_text("\xed\xa0\x80", 3, "[\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"]");
}

/* Whatever byte is wherever in a text of whatever length: jansson reads it back. */
static void test_places(void)
{
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    for (size_t at = 0; at < 20; at++) {
        for (int byte = 0; byte < 0x80; byte++) {
            char text[20];
            memset(text, 'x', sizeof(text));
            text[at] = (char)byte;
            struct json_text json = JSON_TEXT(&out);
            strbuf_reset(&out);
            json_text_bytes(&json, NULL, text, sizeof(text));
            json_t *parsed =
                json_loadb(out.data, out.length, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
            CU_ASSERT_EQUAL_FATAL(json_string_length(parsed), sizeof(text));
            CU_ASSERT_EQUAL(memcmp(json_string_value(parsed), text, sizeof(text)), 0);
            CU_ASSERT_EQUAL(strchr(strbuf_text(&out), 0x7f),
                            NULL); /* escaped, though it need not be */
            json_decref(parsed);
        }
    }
}

/* A key is escaped like any text: what it is made of is not for the writer to trust. */
static void test_keys(void)
{
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    struct json_text json = JSON_TEXT(&out);
    json_text_open_object(&json, NULL);
    json_text_string(&json, "a\"b", "c");
    json_text_close_object(&json);
    TEST_TEXT_EQUAL(strbuf_text(&out), "{\"a\\\"b\":\"c\"}");
}

static void expect_double(double value, const char *text)
{
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    struct json_text json = JSON_TEXT(&out);
    json_text_double(&json, NULL, value);
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
        struct json_text json = JSON_TEXT(&out);
        strbuf_reset(&out);
        json_text_double(&json, NULL, value);
        CU_ASSERT_EQUAL_FATAL(strtod(strbuf_text(&out), NULL), value);
    }
}

TEST_MAIN("json_text", {"commas follow the nesting", test_nesting},
          {"documents are put together from parts", test_parts},
          {"texts are escaped, whatever bytes are in them", test_texts},
          {"wherever a byte is in a text", test_places}, {"so are keys", test_keys},
          {"numbers are short decimals", test_doubles},
          {"every finite number reads back as itself", test_doubles_read_back})
