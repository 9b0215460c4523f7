/* Well-formed UTF-8 against an encoder, and what a text may show to a person. */
#include "agent/base/utf8.h"
#include "agent/base/macros.h"
#include "agent/base/text.h"
#include "tests/support/test.h"

#include <stdint.h>
#include <string.h>

/* RFC 3629, section 3, written out as it stands there. */
static size_t encode(uint32_t code, char *out)
{
    size_t size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint32_t marks[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
    for (size_t i = size; i-- > 1; code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(marks[size] | code);
    return size;
}

static void test_every_character(void)
{
    size_t wrong = 0;
    for (uint32_t code = 0; code <= 0x10ffff; code++) {
        char text[4] = {0};
        size_t size = encode(code, text);
        size_t expected = code >= 0xd800 && code <= 0xdfff ? 0 : size;
        wrong += utf8_size(text, 4) != expected;
        wrong += utf8_size(text, size) != expected;
        wrong += utf8_size(text, size - 1) != 0;
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

/* Of all texts of three bytes and a NUL, exactly the encoded characters are well-formed. */
static void test_every_three_bytes(void)
{
    size_t wrong = 0;
    for (uint32_t bytes = 0; bytes < 1U << 24; bytes++) {
        char text[4] = {(char)(bytes >> 16), (char)(bytes >> 8), (char)bytes, 0}, again[4] = {0};
        const unsigned char *at = (const unsigned char *)text;
        size_t size = utf8_size(text, 3);
        uint32_t code = size == 1   ? at[0]
                        : size == 2 ? (at[0] & 0x1fU) << 6 | (at[1] & 0x3fU)
                                    : (at[0] & 0xfU) << 12 | (at[1] & 0x3fU) << 6 | (at[2] & 0x3fU);
        wrong += size > 3 || (size && (encode(code, again) != size || memcmp(again, text, size)));
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static void test_printable(void)
{
    CU_ASSERT_EQUAL(text_printable("a"), 1);
    CU_ASSERT_EQUAL(text_printable("\xc3\xa9"), 2);
    CU_ASSERT_EQUAL(text_printable("\xe2\x82\xac"), 3);
    CU_ASSERT_EQUAL(text_printable("\xf0\x9f\x94\xa7"), 4);
    static const char *const refused[] = {
        "",         "\n",           "\x7f",         "\xc2\x85",
        "\xc2\x9b", "\xe2\x80\xa8", "\xe2\x80\xae", "\xe2\x81\xa6",
        "\x80",     "\xed\xa0\x80", "\xc0\xaf",     "\xf4\x90\x80\x80"};
    for (size_t i = 0; i < ARRAY_LENGTH(refused); i++)
        CU_ASSERT_EQUAL(text_printable(refused[i]), 0);
}

static void test_texts(void)
{
    CU_ASSERT_TRUE(text_is_utf8("caf\xc3\xa9\n"));
    CU_ASSERT_FALSE(text_is_utf8("caf\xc3"));
    CU_ASSERT_TRUE(text_has_control("a\tb"));
    CU_ASSERT_FALSE(text_has_control("caf\xc3\xa9"));
}

TEST_MAIN("utf8", {"every character has its size, whole and cut", test_every_character},
          {"no three bytes are taken for another character", test_every_three_bytes},
          {"what is printable", test_printable}, {"whole texts", test_texts})
