/* Numbers that stay: nothing that goes on gets another one, nothing new gets one that was in use.
 */
#include "agent/flow/numbering.h"

#include "agent/base/macros.h"
#include "tests/support/test.h"

#include <stdlib.h>

static void test_first(void)
{
    CLEANUP(numbering_free) struct numbering numbering;
    numbering_begin(&numbering, 3);
    CU_ASSERT_EQUAL(numbering.numbers[2], 2);
    CU_ASSERT_EQUAL(numbering_index(&numbering, 2), 2);
    CU_ASSERT_EQUAL(numbering_index(&numbering, 3), NUMBERING_NONE);
    CU_ASSERT_EQUAL(numbering_index(&numbering, NUMBERING_NONE), NUMBERING_NONE);
}

static void test_kept_and_new(void)
{
    CLEANUP(numbering_free) struct numbering first;
    CLEANUP(numbering_free) struct numbering next;
    static const uint16_t kept[] = {2, NUMBERING_NONE, 0};
    numbering_begin(&first, 3);
    numbering_next(&first, kept, 3, &next);
    CU_ASSERT_EQUAL(next.numbers[0], 2);
    CU_ASSERT_EQUAL(next.numbers[1], 3); /* not 1: a late report of the old 1 must not be its */
    CU_ASSERT_EQUAL(next.numbers[2], 0);
    CU_ASSERT_EQUAL(numbering_index(&next, 2), 0);
    CU_ASSERT_EQUAL(numbering_index(&next, 3), 1);
    CU_ASSERT_EQUAL(numbering_index(&next, 1), NUMBERING_NONE);
}

static void test_empty(void)
{
    CLEANUP(numbering_free) struct numbering first;
    CLEANUP(numbering_free) struct numbering none;
    CLEANUP(numbering_free) struct numbering again;
    static const uint16_t fresh[] = {NUMBERING_NONE};
    numbering_begin(&first, 1);
    numbering_next(&first, NULL, 0, &none);
    CU_ASSERT_EQUAL(numbering_index(&none, 0), NUMBERING_NONE);
    numbering_next(&none, fresh, 1, &again);
    CU_ASSERT_EQUAL(again.numbers[0], 0);
}

/* Ten thousand changes drawn at random: the rules hold, and the numbers stay small. */
static void test_many(void)
{
    enum { MOST = 40 };
    unsigned seed = 7;
    struct numbering old;
    numbering_begin(&old, 20);
    size_t wrong = 0;
    for (int round = 0; round < 10000; round++) {
        uint16_t kept[MOST];
        size_t length = (size_t)rand_r(&seed) % MOST, next_old = 0;
        for (size_t i = 0; i < length; i++) {
            next_old += (size_t)rand_r(&seed) % 3;
            kept[i] = next_old < old.n_numbers ? (uint16_t)next_old : NUMBERING_NONE;
            next_old++;
        }
        struct numbering next;
        numbering_next(&old, kept, length, &next);
        for (size_t i = 0; i < length; i++) {
            uint16_t number = next.numbers[i];
            wrong += numbering_index(&next, number) != i;
            if (kept[i] != NUMBERING_NONE)
                wrong += number != old.numbers[kept[i]];
            else
                wrong += numbering_index(&old, number) != NUMBERING_NONE;
            wrong += number >= 2 * MOST;
        }
        numbering_free(&old);
        old = next;
    }
    numbering_free(&old);
    CU_ASSERT_EQUAL(wrong, 0);
}

TEST_MAIN("numbering", {"at first each index is its number", test_first},
          {"what is kept keeps its number, what is new gets an unused one", test_kept_and_new},
          {"everything goes, something comes", test_empty}, {"ten thousand changes", test_many})
