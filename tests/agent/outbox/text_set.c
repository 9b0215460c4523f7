/* Texts that come again and again are kept once. */
#include "agent/outbox/text_set.h"

#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

static void test_kept_once(void)
{
    struct text_set set = {.texts = NULL};
    const char *first[1000];
    char text[32];
    for (uint32_t i = 0; i < 1000; i++) {
        (void)snprintf(text, sizeof(text), "data/device-%u", i);
        first[i] = text_set_keep(&set, text, strlen(text));
        TEST_TEXT_EQUAL(first[i], text);
    }
    for (uint32_t i = 0; i < 1000; i++) { /* the table has grown meanwhile */
        (void)snprintf(text, sizeof(text), "data/device-%u", i);
        CU_ASSERT_PTR_EQUAL(text_set_keep(&set, text, strlen(text)), first[i]);
    }
    CU_ASSERT_EQUAL(set.n, 1000);
    text_set_free(&set);
}

static void test_by_length(void)
{
    struct text_set set = {.texts = NULL};
    const char *one = text_set_keep(&set, "data/device-1", 13);
    CU_ASSERT_PTR_EQUAL(text_set_keep(&set, "data/device-12", 13), one);
    CU_ASSERT_PTR_NOT_EQUAL(text_set_keep(&set, "data/device-12", 14), one);
    TEST_TEXT_EQUAL(text_set_keep(&set, "", 0), "");
    CU_ASSERT_EQUAL(set.n, 3);
    text_set_free(&set);
}

TEST_MAIN("text_set", {"the same text is the same copy", test_kept_once},
          {"what counts is the length, not the NUL", test_by_length})
