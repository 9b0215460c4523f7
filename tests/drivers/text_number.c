/* Numbers and texts that become values of tags. */
#include "drivers/text_number.h"

#include "tests/support/test.h"

#include <locale.h>
#include <math.h>
#include <string.h>

static union slot slots[8];

static const union slot *put(const struct config_tag *tag, double raw)
{
    struct batch batch = {slots, 8, 0};
    batch_begin(&batch, 0);
    text_number_put(&batch, 3, tag, raw);
    CU_ASSERT_EQUAL(batch.used, 2);
    CU_ASSERT_EQUAL(slots[1].sample.tag, 3);
    return &slots[1];
}

static const union slot *put_text(const struct config_tag *tag, const char *text)
{
    struct batch batch = {slots, 8, 0};
    batch_begin(&batch, 0);
    text_number_put_text(&batch, 0, tag, text, strlen(text));
    CU_ASSERT_EQUAL(batch.used, 2);
    return &slots[1];
}

static struct config_tag plain(int type)
{
    return (struct config_tag){.type = type, .scale = 1, .decimals = -1};
}

static const struct {
    int type;
    double fits[2], too_much[2];
} ranges[] = {
    {VALUE_BOOL, {0, 1}, {-1, 2}},
    {VALUE_INT16, {-32768, 32767}, {-32769, 32768}},
    {VALUE_UINT16, {0, 65535}, {-1, 65536}},
    {VALUE_INT32, {-2147483648.0, 2147483647}, {-2147483649.0, 2147483648.0}},
    {VALUE_UINT32, {0, 4294967295.0}, {-1, 4294967296.0}},
    {VALUE_INT64, {-0x1p63, 0x1p62}, {-0x1.0000000000001p63, 0x1p63}},
    {VALUE_UINT64, {0, 0x1p63}, {-1, 0x1p64}},
    {VALUE_FLOAT32, {-3.4e38, 3.4e38}, {-3.5e38, 3.5e38}},
    {VALUE_FLOAT64, {-1e308, 1e308}, {-INFINITY, INFINITY}},
};

static void test_ranges(void)
{
    for (size_t i = 0; i < ARRAY_LENGTH(ranges); i++) {
        const struct config_tag tag = plain(ranges[i].type);
        for (int k = 0; k < 2; k++) {
            CU_ASSERT_EQUAL(put(&tag, ranges[i].fits[k])->sample.quality, QUALITY_GOOD);
            CU_ASSERT_EQUAL(put(&tag, ranges[i].too_much[k])->sample.quality, QUALITY_OUT_OF_RANGE);
        }
        CU_ASSERT_EQUAL(put(&tag, NAN)->sample.quality, QUALITY_NOT_A_NUMBER);
    }
}

static void test_kinds(void)
{
    struct config_tag tag = plain(VALUE_INT16);
    CU_ASSERT_EQUAL(put(&tag, -7)->sample.kind, SAMPLE_I64);
    CU_ASSERT_EQUAL(slots[1].sample.value.i64, -7);
    CU_ASSERT_EQUAL(put(&tag, 0.5)->sample.quality, QUALITY_OUT_OF_RANGE); /* never rounded away */
    tag = plain(VALUE_UINT32);
    CU_ASSERT_EQUAL(put(&tag, 7)->sample.kind, SAMPLE_U64);
    tag = plain(VALUE_BOOL);
    CU_ASSERT_EQUAL(put(&tag, 1)->sample.kind, SAMPLE_BOOL);
    CU_ASSERT_TRUE(slots[1].sample.value.truth);
    tag = plain(VALUE_FLOAT32);
    CU_ASSERT_EQUAL(put(&tag, 12.34)->sample.kind, SAMPLE_F64);
    CU_ASSERT_EQUAL(slots[1].sample.value.f64, 12.34);
}

static void test_scaling(void)
{
    struct config_tag tag = plain(VALUE_INT16);
    tag.scale = 0.1;
    tag.offset = -40;
    tag.decimals = 1;
    CU_ASSERT_EQUAL(put(&tag, 615)->sample.value.f64, 21.5);
    CU_ASSERT_EQUAL(slots[1].sample.kind, SAMPLE_F64);
    CU_ASSERT_EQUAL(put(&tag, 40000)->sample.quality, QUALITY_OUT_OF_RANGE); /* the raw value */
    tag = plain(VALUE_FLOAT64);
    tag.decimals = 2;
    CU_ASSERT_EQUAL(put(&tag, 3.14159)->sample.value.f64, 3.14);
    CU_ASSERT_FALSE(signbit(put(&tag, -0.001)->sample.value.f64));
    CU_ASSERT_EQUAL(put(&tag, 1e300)->sample.value.f64, 1e300);
    tag.scale = 10;
    CU_ASSERT_EQUAL(put(&tag, 1e308)->sample.quality, QUALITY_NOT_A_NUMBER); /* not finite */
}

static const struct {
    const char *text;
    double value;
} good_texts[] = {
    {"12.34", 12.34},
    {"+  12.34", 12.34},
    {" - 7 ", -7},
    {"1 234.5", 1234.5},
    {".5", 0.5},
    {"5.", 5},
    {"1e3", 1000},
    {"-2.5E-2", -0.025},
    {"0.1", 0.1},
    {"1e-400", 0},
    {"007", 7},
    {"\t3", 3},
    {"1e0000000003", 1000},
    {"123456789012345678901234567890", 123456789012345678901234567890.0},
};

static const char *const bad_texts[] = {"",     " ",   "abc",  "1,5",   "1.2.3", "--1",
                                        "1e",   "e5",  ".",    "+",     "nan",   "inf",
                                        "0x10", "1e+", "12kg", "1 2 x", "1-2",   "\xb2"};

static void test_texts(void)
{
    const struct config_tag tag = plain(VALUE_FLOAT64);
    for (size_t i = 0; i < ARRAY_LENGTH(good_texts); i++) {
        const union slot *sample = put_text(&tag, good_texts[i].text);
        CU_ASSERT_EQUAL(sample->sample.quality, QUALITY_GOOD);
        CU_ASSERT_EQUAL(sample->sample.value.f64, good_texts[i].value);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(bad_texts); i++)
        CU_ASSERT_EQUAL(put_text(&tag, bad_texts[i])->sample.quality, QUALITY_NOT_A_NUMBER);
    char endless[500];
    memset(endless, '9', sizeof(endless));
    endless[sizeof(endless) - 1] = 0;
    CU_ASSERT_EQUAL(put_text(&tag, endless)->sample.quality, QUALITY_NOT_A_NUMBER);
    CU_ASSERT_EQUAL(put_text(&tag, "1e999")->sample.quality, QUALITY_OUT_OF_RANGE);
    CU_ASSERT_EQUAL(put_text(&tag, "1e99999999999999999999")->sample.quality, QUALITY_OUT_OF_RANGE);
}

static void test_all_digits(void)
{
    struct config_tag tag = plain(VALUE_INT64);
    CU_ASSERT_EQUAL(put_text(&tag, "-9223372036854775808")->sample.value.i64, INT64_MIN);
    CU_ASSERT_EQUAL(put_text(&tag, "9007199254740993")->sample.value.i64, 9007199254740993);
    CU_ASSERT_EQUAL(put_text(&tag, "9223372036854775808")->sample.quality, QUALITY_OUT_OF_RANGE);
    CU_ASSERT_EQUAL(put_text(&tag, "12.0")->sample.value.i64, 12);
    CU_ASSERT_EQUAL(put_text(&tag, "12.5")->sample.quality, QUALITY_OUT_OF_RANGE);
    tag = plain(VALUE_UINT64);
    CU_ASSERT_EQUAL(put_text(&tag, "18446744073709551615")->sample.value.u64, UINT64_MAX);
    CU_ASSERT_EQUAL(put_text(&tag, "18446744073709551616")->sample.quality, QUALITY_OUT_OF_RANGE);
    CU_ASSERT_EQUAL(put_text(&tag, "-1")->sample.quality, QUALITY_OUT_OF_RANGE);
    CU_ASSERT_EQUAL(put_text(&tag, "-0")->sample.value.u64, 0);
}

/* Proves something where a locale with a decimal comma is installed. */
static void test_locale(void)
{
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "fr_FR"};
    for (size_t i = 0; i < ARRAY_LENGTH(names) && !setlocale(LC_NUMERIC, names[i]); i++)
        continue;
    const struct config_tag tag = plain(VALUE_FLOAT64);
    CU_ASSERT_EQUAL(put_text(&tag, "12.5")->sample.value.f64, 12.5);
    CU_ASSERT_EQUAL(put_text(&tag, "12,5")->sample.quality, QUALITY_NOT_A_NUMBER);
    setlocale(LC_NUMERIC, "C");
}

TEST_MAIN("number", {"each type has its range", test_ranges},
          {"each type has its kind of value", test_kinds},
          {"scale, offset, decimals", test_scaling},
          {"texts that are numbers, and that are none", test_texts},
          {"64 bits keep all their digits", test_all_digits},
          {"the locale does not matter", test_locale})
