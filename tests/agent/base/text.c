/* Texts in fields of a fixed size. */
#include "agent/base/text.h"

#include "tests/support/test.h"

#include <string.h>

static void test_put(void)
{
    char field[8];
    memset(field, 'x', sizeof(field));
    text_put(field, sizeof(field), "a\nb");
    CU_ASSERT_EQUAL(memcmp(field, "a?b\0\0\0\0", 8), 0);
    text_put(field, sizeof(field), "123456\xc3\xb6");
    TEST_TEXT_EQUAL(field, "123456");
    text_put(field, sizeof(field), "12345\xc3\xb6");
    TEST_TEXT_EQUAL(field, "12345\xc3\xb6");
    text_put(field, sizeof(field),
             "gr\xc3\xb6\xc3\x9f"
             "er");
    TEST_TEXT_EQUAL(field, "gr\xc3\xb6\xc3\x9f"
                           "e");
    text_put(field, sizeof(field), "");
    CU_ASSERT_EQUAL(memcmp(field, "\0\0\0\0\0\0\0", 8), 0);
}

TEST_MAIN("text", {"a text that is put into a field is cut between characters", test_put})
