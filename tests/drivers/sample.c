/* Samples and batches. */
#include "drivers/sample.h"

#include "tests/support/test.h"

#include <math.h>
#include <string.h>

static union slot slots[64];

static struct batch fresh(void)
{
    struct batch batch = {.slots = slots, .capacity = 64, .used = 0};
    batch_begin(&batch, 7);
    return batch;
}

static void expect_text(const char *in, size_t length, const char *out)
{
    struct batch batch = fresh();
    batch_put_text(&batch, 3, in, length);
    batch_put_bool(&batch, 4, true);
    batch_end(&batch, 5);
    CU_ASSERT_EQUAL(slots[1].sample.length, strlen(out));
    CU_ASSERT_EQUAL(memcmp(sample_text(&slots[1]), out, strlen(out)), 0);
    const union slot *next = &slots[1] + sample_slots(&slots[1]);
    CU_ASSERT_EQUAL(next->sample.tag, 4);
    CU_ASSERT_EQUAL(next->sample.kind, SAMPLE_BOOL);
    CU_ASSERT_PTR_EQUAL(next + 1, slots + batch.used);
}

static void test_text(void)
{
    expect_text("", 0, "");
    expect_text("PM5110", 6, "PM5110");
    expect_text("exactly sixteen.", 16, "exactly sixteen.");
    expect_text("seventeen letters", 17, "seventeen letters");
    expect_text("padded\0\0\0", 9, "padded");
    expect_text("line\r\n", 6, "line");
    expect_text("20 \xc2\xb0"
                "C",
                6,
                "20 \xc2\xb0"
                "C"); /* UTF-8 stays */
    expect_text("20 \xb0"
                "C",
                5,
                "20 \xc2\xb0"
                "C");                                    /* Latin-1 is converted */
    expect_text("\xed\xa0\x80", 3, "\xc3\xad\xc2\xa0?"); /* a surrogate is not UTF-8 */
    expect_text("\xff\x80", 2, "\xc3\xbf?");
}

static void test_text_limit(void)
{
    char longest[400];
    memset(longest, 'x', sizeof(longest));
    struct batch batch = fresh();
    batch_put_text(&batch, 0, longest, sizeof(longest));
    CU_ASSERT_EQUAL(slots[1].sample.length, SAMPLE_TEXT_MAX);
    memset(longest, '\xe9', sizeof(longest)); /* doubles in UTF-8; cut between characters */
    batch = fresh();
    batch_put_text(&batch, 0, longest, sizeof(longest));
    CU_ASSERT_EQUAL(slots[1].sample.length, 254);
}

static void test_not_finite(void)
{
    struct batch batch = fresh();
    batch_put_f64(&batch, 0, NAN);
    batch_put_f64(&batch, 1, -INFINITY);
    batch_put_f64(&batch, 2, 1.5);
    CU_ASSERT_EQUAL(slots[1].sample.quality, QUALITY_NOT_A_NUMBER);
    CU_ASSERT_EQUAL(slots[2].sample.quality, QUALITY_NOT_A_NUMBER);
    CU_ASSERT_EQUAL(slots[3].sample.quality, QUALITY_GOOD);
    CU_ASSERT_EQUAL(slots[3].sample.value.f64, 1.5);
}

static void test_names(void)
{
    char buffer[24];
    TEST_TEXT_EQUAL(quality_name(QUALITY_EXCEPTION, 2, buffer), "exception-2");
    TEST_TEXT_EQUAL(quality_name(QUALITY_EXCEPTION, 255, buffer), "exception-255");
    TEST_TEXT_EQUAL(quality_name(QUALITY_BAD_REPLY, 0, buffer), "bad-reply");
    TEST_TEXT_EQUAL(quality_name(QUALITY_TRIPPED, 0, buffer), "tripped");
}

TEST_MAIN("sample", {"texts are kept as UTF-8 up to the first control character", test_text},
          {"a text never outgrows its limit or splits a character", test_text_limit},
          {"a value that is no number is never passed on as one", test_not_finite},
          {"qualities have the names of the payload", test_names})
