/* Address notations, and registers to values. */
#include "drivers/modbus/tag.h"

#include "drivers/modbus/modbus_request.h"
#include "tests/support/test.h"

#include <math.h>
#include <string.h>

static union slot slots[40];

static const union slot *decode(const struct config_tag *tag, enum tag_order order, int64_t bit,
                                const char *wire)
{
    struct batch batch = {.slots = slots, .capacity = 40};
    batch_begin(&batch, 0);
    struct tag_codec codec = tag_codec_make(tag, order, bit);
    tag_decode(&codec, (const uint8_t *)wire, &batch, 9);
    batch_end(&batch, 0);
    CU_ASSERT_EQUAL(slots[1].sample.tag, 9);
    CU_ASSERT_EQUAL(sample_slots(&slots[1]), slots[0].header.n_slots);
    return &slots[1];
}

static struct config_tag plain(enum value_type type)
{
    return (struct config_tag){.type = (int)type, .scale = 1, .decimals = -1};
}

/* The same value in all four orders, as wire bytes. */
struct orders {
    enum value_type type;
    const char *wire[4];
    enum sample_kind kind;
    int64_t i64;
    uint64_t u64;
    double f64;
};

static const struct orders vectors[] = {
    {VALUE_INT16, {"\xFF\xFE", "\xFF\xFE", "\xFE\xFF", "\xFE\xFF"}, SAMPLE_I64, -2, 0, 0},
    {VALUE_UINT16, {"\xAB\xCD", "\xAB\xCD", "\xCD\xAB", "\xCD\xAB"}, SAMPLE_U64, 0, 0xABCD, 0},
    {VALUE_INT32,
     {"\x80\x00\x00\x01", "\x00\x01\x80\x00", "\x00\x80\x01\x00", "\x01\x00\x00\x80"},
     SAMPLE_I64,
     -2147483647,
     0,
     0},
    {VALUE_UINT32,
     {"\x89\xAB\xCD\xEF", "\xCD\xEF\x89\xAB", "\xAB\x89\xEF\xCD", "\xEF\xCD\xAB\x89"},
     SAMPLE_U64,
     0,
     0x89ABCDEF,
     0},
    {VALUE_INT64,
     {"\xFE\xDC\xBA\x98\x76\x54\x32\x10", "\x32\x10\x76\x54\xBA\x98\xFE\xDC",
      "\xDC\xFE\x98\xBA\x54\x76\x10\x32", "\x10\x32\x54\x76\x98\xBA\xDC\xFE"},
     SAMPLE_I64,
     -81985529216486896,
     0,
     0},
    {VALUE_UINT64,
     {"\xFE\xDC\xBA\x98\x76\x54\x32\x10", "\x32\x10\x76\x54\xBA\x98\xFE\xDC",
      "\xDC\xFE\x98\xBA\x54\x76\x10\x32", "\x10\x32\x54\x76\x98\xBA\xDC\xFE"},
     SAMPLE_U64,
     0,
     18364758544493064720ULL,
     0},
    {VALUE_FLOAT32, /* 123.5 */
     {"\x42\xF7\x00\x00", "\x00\x00\x42\xF7", "\xF7\x42\x00\x00", "\x00\x00\xF7\x42"},
     SAMPLE_F64,
     0,
     0,
     123.5},
    {VALUE_FLOAT64, /* -1234.5678 */
     {"\xC0\x93\x4A\x45\x6D\x5C\xFA\xAD", "\xFA\xAD\x6D\x5C\x4A\x45\xC0\x93",
      "\x93\xC0\x45\x4A\x5C\x6D\xAD\xFA", "\xAD\xFA\x5C\x6D\x45\x4A\x93\xC0"},
     SAMPLE_F64,
     0,
     0,
     -1234.5678},
};

static void test_orders(void)
{
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        const struct orders *vector = &vectors[i];
        struct config_tag tag = plain(vector->type);
        for (int order = ORDER_ABCD; order <= ORDER_DCBA; order++) {
            const union slot *got = decode(&tag, (enum tag_order)order, -1, vector->wire[order]);
            CU_ASSERT_EQUAL(got->sample.kind, vector->kind);
            if (vector->kind == SAMPLE_I64)
                CU_ASSERT_EQUAL(got->sample.value.i64, vector->i64)
            else if (vector->kind == SAMPLE_U64)
                CU_ASSERT_EQUAL(got->sample.value.u64, vector->u64)
            else
                CU_ASSERT_EQUAL(got->sample.value.f64, vector->f64);
        }
    }
}

static void test_bits(void)
{
    struct config_tag tag = plain(VALUE_BOOL);
    for (int bit = 0; bit < 16; bit++) {
        uint16_t word = (uint16_t)(1U << bit);
        char wire[2] = {(char)(word >> 8), (char)word}, swapped[2] = {wire[1], wire[0]};
        char others[2] = {(char)~wire[0], (char)~wire[1]};
        CU_ASSERT_TRUE(decode(&tag, ORDER_ABCD, bit, wire)->sample.value.truth);
        CU_ASSERT_EQUAL(slots[1].sample.kind, SAMPLE_BOOL);
        CU_ASSERT_TRUE(decode(&tag, ORDER_BADC, bit, swapped)->sample.value.truth);
        CU_ASSERT_FALSE(decode(&tag, ORDER_ABCD, bit, others)->sample.value.truth);
    }
    CU_ASSERT_TRUE(decode(&tag, ORDER_ABCD, -1, "\x10\x00")->sample.value.truth);
    CU_ASSERT_TRUE(decode(&tag, ORDER_ABCD, -1, "\x00\x01")->sample.value.truth);
    CU_ASSERT_FALSE(decode(&tag, ORDER_ABCD, -1, "\x00\x00")->sample.value.truth);
}

static double scaled(enum value_type type, const char *wire, double scale, double offset,
                     int64_t decimals)
{
    struct config_tag tag = plain(type);
    tag.scale = scale;
    tag.offset = offset;
    tag.decimals = decimals;
    const union slot *got = decode(&tag, ORDER_ABCD, -1, wire);
    CU_ASSERT_EQUAL(got->sample.kind, SAMPLE_F64);
    return got->sample.value.f64;
}

static void test_scaling(void)
{
    CU_ASSERT_EQUAL(scaled(VALUE_INT16, "\x00\xD7", 0.1, 0, 1), 21.5);
    CU_ASSERT_EQUAL(scaled(VALUE_INT16, "\xFF\x29", 0.1, 0, 1), -21.5);
    CU_ASSERT_EQUAL(scaled(VALUE_UINT16, "\x00\x64", 2, -40, -1), 160);
    CU_ASSERT_EQUAL(scaled(VALUE_UINT16, "\xFF\xFF", 1, 0.5, -1), 65535.5);
    CU_ASSERT_EQUAL(scaled(VALUE_UINT32, "\xFF\xFF\xFF\xFF", 0.001, 0, 3), 4294967.295);
    CU_ASSERT_EQUAL(scaled(VALUE_INT32, "\xFF\xFF\xFF\xFF", 0.25, 0, -1), -0.25);
    CU_ASSERT_EQUAL(scaled(VALUE_UINT64, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 2, 0, -1), 0x1p65);
    CU_ASSERT_EQUAL(scaled(VALUE_INT64, "\x80\x00\x00\x00\x00\x00\x00\x00", 1, 1, 2), -0x1p63);
    CU_ASSERT_EQUAL(scaled(VALUE_FLOAT32, "\x40\x49\x0F\xDB", 1, 0, 2), 3.14);
    CU_ASSERT_EQUAL(scaled(VALUE_FLOAT64, "\x40\x09\x21\xFB\x54\x44\x2D\x18", -1, 0, 4), -3.1416);
    CU_ASSERT_EQUAL(scaled(VALUE_INT16, "\x00\x05", 0.1, 0, 0), 1); /* halves away from zero */
    CU_ASSERT_EQUAL(scaled(VALUE_INT16, "\xFF\xFB", 0.1, 0, 0), -1);
    CU_ASSERT_FALSE(signbit(scaled(VALUE_INT16, "\xFF\xFC", 0.1, 0, 0))); /* -0.4 is 0, not -0 */
    CU_ASSERT_EQUAL(scaled(VALUE_FLOAT64, "\x7F\xEF\xFF\xFF\xFF\xFF\xFF\xFF", 1, 0, 6),
                    0x1.fffffffffffffp1023);
}

static void test_exact(void)
{
    struct config_tag tag = plain(VALUE_INT64);
    tag.decimals = 2; /* whole numbers have none to drop */
    const union slot *got = decode(&tag, ORDER_ABCD, -1, "\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF");
    CU_ASSERT_EQUAL(got->sample.kind, SAMPLE_I64);
    CU_ASSERT_EQUAL(got->sample.value.i64, INT64_MAX);
    tag = plain(VALUE_UINT64);
    got = decode(&tag, ORDER_ABCD, -1, "\x00\x20\x00\x00\x00\x00\x00\x01");
    CU_ASSERT_EQUAL(got->sample.value.u64, 9007199254740993); /* no double has this value */
    tag = plain(VALUE_FLOAT32);
    got = decode(&tag, ORDER_ABCD, -1, "\x3D\xCC\xCC\xCD");
    CU_ASSERT_EQUAL(got->sample.value.f64, (double)0.1F);
}

static void test_not_numbers(void)
{
    static const struct {
        enum value_type type;
        const char *wire;
    } cases[] = {
        {VALUE_FLOAT32, "\x7F\xC0\x00\x00"}, /* NaN */
        {VALUE_FLOAT32, "\x7F\x80\x00\x00"}, /* infinity */
        {VALUE_FLOAT32, "\xFF\x80\x00\x00"},
        {VALUE_FLOAT64, "\x7F\xF0\x00\x00\x00\x00\x00\x01"}, /* signalling NaN */
        {VALUE_FLOAT64, "\xFF\xF0\x00\x00\x00\x00\x00\x00"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct config_tag tag = plain(cases[i].type);
        CU_ASSERT_EQUAL(decode(&tag, ORDER_ABCD, -1, cases[i].wire)->sample.quality,
                        QUALITY_NOT_A_NUMBER);
        tag.decimals = 3;
        CU_ASSERT_EQUAL(decode(&tag, ORDER_ABCD, -1, cases[i].wire)->sample.quality,
                        QUALITY_NOT_A_NUMBER);
    }
    struct config_tag tag = plain(VALUE_FLOAT64);
    tag.scale = 1e300; /* overflows */
    CU_ASSERT_EQUAL(
        decode(&tag, ORDER_ABCD, -1, "\x7F\x00\x00\x00\x00\x00\x00\x00")->sample.quality,
        QUALITY_NOT_A_NUMBER);
}

static void expect_text(int64_t length, enum tag_order order, const char *wire, const char *text)
{
    struct config_tag tag = plain(VALUE_STRING);
    tag.length = length;
    const union slot *got = decode(&tag, order, -1, wire);
    CU_ASSERT_EQUAL(got->sample.kind, SAMPLE_TEXT);
    CU_ASSERT_EQUAL_FATAL(got->sample.length, strlen(text));
    CU_ASSERT_EQUAL(memcmp(sample_text(got), text, strlen(text)), 0);
}

static void test_texts(void)
{
    expect_text(6, ORDER_ABCD, "PM5110", "PM5110");
    expect_text(6, ORDER_CDAB, "PM5110", "PM5110"); /* a text's words are never reversed */
    expect_text(6, ORDER_BADC, "MP1501", "PM5110");
    expect_text(6, ORDER_DCBA, "MP1501", "PM5110");
    expect_text(5, ORDER_ABCD, "PM5110", "PM511"); /* an odd length leaves half a register */
    expect_text(5, ORDER_BADC, "MP1501", "PM511");
    expect_text(8, ORDER_ABCD, "PM5\0\0\0xx", "PM5");
    expect_text(8, ORDER_ABCD, " PM 5   ", " PM 5");
    expect_text(8, ORDER_ABCD, "PM5  \0\0\0", "PM5");
    expect_text(4, ORDER_ABCD, "    ", "");
}

static void test_registers(void)
{
    static const unsigned expected[] = {1, 1, 1, 2, 2, 4, 4, 2, 4};
    for (int type = VALUE_BOOL; type < VALUE_STRING; type++)
        CU_ASSERT_EQUAL(tag_registers((enum value_type)type, 0), expected[type]);
    CU_ASSERT_EQUAL(tag_registers(VALUE_STRING, 1), 1);
    CU_ASSERT_EQUAL(tag_registers(VALUE_STRING, 16), 8);
    CU_ASSERT_EQUAL(tag_registers(VALUE_STRING, 17), 9);
}

static void test_addresses(void)
{
    static const struct {
        enum tag_addressing addressing;
        enum tag_table table;
        int64_t address;
        enum tag_place_problem problem;
        uint8_t ret_table;
        uint16_t ret_address;
    } cases[] = {
        {ADDRESSING_ZERO, TAG_TABLE_AUTO, 0, TAG_PLACE_FINE, MODBUS_HOLDING, 0},
        {ADDRESSING_ZERO, TAG_TABLE_COIL, 3, TAG_PLACE_FINE, MODBUS_COIL, 3},
        {ADDRESSING_ZERO, TAG_TABLE_INPUT, 65535, TAG_PLACE_FINE, MODBUS_INPUT, 65535},
        {ADDRESSING_ZERO, TAG_TABLE_INPUT, 65536, TAG_PLACE_BEYOND, 0, 0},
        {ADDRESSING_ZERO, TAG_TABLE_HOLDING, 40001, TAG_PLACE_FINE, MODBUS_HOLDING, 40001},
        {ADDRESSING_ONE, TAG_TABLE_DISCRETE, 1, TAG_PLACE_FINE, MODBUS_DISCRETE, 0},
        {ADDRESSING_ONE, TAG_TABLE_AUTO, 65536, TAG_PLACE_FINE, MODBUS_HOLDING, 65535},
        {ADDRESSING_ONE, TAG_TABLE_AUTO, 65537, TAG_PLACE_BEYOND, 0, 0},
        {ADDRESSING_ONE, TAG_TABLE_AUTO, 0, TAG_PLACE_BELOW, 0, 0},
        {ADDRESSING_MODICON, TAG_TABLE_AUTO, 0, TAG_PLACE_BELOW, 0, 0},
        {ADDRESSING_MODICON, TAG_TABLE_AUTO, 1, TAG_PLACE_FINE, MODBUS_COIL, 0},
        {ADDRESSING_MODICON, TAG_TABLE_AUTO, 9999, TAG_PLACE_FINE, MODBUS_COIL, 9998},
        {ADDRESSING_MODICON, TAG_TABLE_AUTO, 10000, TAG_PLACE_NOT_MODICON, 0, 0},
        {ADDRESSING_MODICON, TAG_TABLE_AUTO, 10001, TAG_PLACE_FINE, MODBUS_DISCRETE, 0},
        {ADDRESSING_MODICON, TAG_TABLE_AUTO, 165536, TAG_PLACE_FINE, MODBUS_DISCRETE, 65535},
        {ADDRESSING_MODICON, TAG_TABLE_AUTO, 20001, TAG_PLACE_NOT_MODICON, 0, 0},
        {ADDRESSING_MODICON, TAG_TABLE_AUTO, 30001, TAG_PLACE_FINE, MODBUS_INPUT, 0},
        {ADDRESSING_MODICON, TAG_TABLE_AUTO, 365537, TAG_PLACE_NOT_MODICON, 0, 0},
        {ADDRESSING_MODICON, TAG_TABLE_AUTO, 40101, TAG_PLACE_FINE, MODBUS_HOLDING, 100},
        {ADDRESSING_MODICON, TAG_TABLE_AUTO, 400101, TAG_PLACE_FINE, MODBUS_HOLDING, 100},
        {ADDRESSING_MODICON, TAG_TABLE_HOLDING, 465536, TAG_PLACE_FINE, MODBUS_HOLDING, 65535},
        {ADDRESSING_MODICON, TAG_TABLE_INPUT, 40101, TAG_PLACE_CONTRADICTION, 0, 0},
        {ADDRESSING_MODICON, TAG_TABLE_HOLDING, 5, TAG_PLACE_CONTRADICTION, 0, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t table = 0;
        uint16_t address = 0;
        CU_ASSERT_EQUAL(
            tag_locate(cases[i].addressing, cases[i].table, cases[i].address, &table, &address),
            cases[i].problem);
        CU_ASSERT_EQUAL(table, cases[i].ret_table);
        CU_ASSERT_EQUAL(address, cases[i].ret_address);
    }
}

TEST_MAIN("tag", {"every type is read right in every order of bytes", test_orders},
          {"each bit of a register is found, in both orders", test_bits},
          {"values are scaled, offset and rounded", test_scaling},
          {"a value without scaling keeps all its digits", test_exact},
          {"what is no number is never passed on as one", test_not_numbers},
          {"texts are read from either half first, without their padding", test_texts},
          {"each type takes its registers", test_registers},
          {"addresses are understood in all three notations", test_addresses})
