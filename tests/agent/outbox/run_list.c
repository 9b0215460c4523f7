/* A set of numbers as runs, against a plain array of flags. */
#include "agent/outbox/run_list.h"
#include "tests/support/test.h"

#include <string.h>

#define NUMBERS 200

static uint32_t run_list_random(uint32_t limit)
{
    static uint32_t state = 4711;
    state = state * 1664525U + 1013904223U;
    return (state >> 8) % limit;
}

static void expect_same(const struct run_list *list, const bool *flags)
{
    uint64_t before = 0;
    for (size_t i = 0; i < list->n; i++) {
        CU_ASSERT(list->runs[i].first <= list->runs[i].last);
        CU_ASSERT(i == 0 || list->runs[i].first > before + 1); /* else they would be one */
        before = list->runs[i].last;
    }
    for (uint64_t seq = 1; seq < NUMBERS; seq++)
        CU_ASSERT_EQUAL(run_list_first(list, seq, seq + 1) == seq, flags[seq]);
}

static void test_as_flags(void)
{
    struct run_list list = {.version = 0};
    bool flags[NUMBERS] = {false};
    for (int i = 0; i < 20000; i++) {
        uint64_t first = 1 + run_list_random(NUMBERS - 1), last = first + run_list_random(20);
        bool add = run_list_random(2) == 0;
        last = last < NUMBERS ? last : NUMBERS - 1;
        if (add)
            run_list_add(&list, first, last);
        else
            run_list_remove(&list, first, last);
        for (uint64_t seq = first; seq <= last; seq++)
            flags[seq] = add;
        if (i % 10 == 0)
            expect_same(&list, flags);
    }
    struct run_list copy = {.version = 0};
    run_list_copy(&copy, &list);
    expect_same(&copy, flags);
    CU_ASSERT_EQUAL(copy.version, list.version);
    run_list_free(&copy);
    run_list_free(&list);
}

static void test_first(void)
{
    struct run_list list = {.version = 0};
    CU_ASSERT_EQUAL(run_list_first(&list, 1, 50), 50);
    run_list_add(&list, 10, 12);
    run_list_add(&list, 20, 20);
    CU_ASSERT_EQUAL(run_list_first(&list, 1, 50), 10);
    CU_ASSERT_EQUAL(run_list_first(&list, 11, 50), 11);
    CU_ASSERT_EQUAL(run_list_first(&list, 13, 50), 20);
    CU_ASSERT_EQUAL(run_list_first(&list, 13, 15), 15);
    CU_ASSERT_EQUAL(run_list_first(&list, 21, 50), 50);
    run_list_reset(&list);
    CU_ASSERT_EQUAL(run_list_first(&list, 1, 50), 50);
    run_list_free(&list);
}

/* Bounded: what was added stays in it, although other numbers join. */
static void test_bounded(void)
{
    struct run_list list = {.version = 0};
    for (uint64_t i = 1; i <= RUN_LIST_MAX + 100; i++)
        run_list_add(&list, i * 3, i * 3);
    CU_ASSERT_EQUAL(list.n, RUN_LIST_MAX);
    for (uint64_t i = 1; i <= RUN_LIST_MAX + 100; i += 7)
        CU_ASSERT_EQUAL(run_list_first(&list, i * 3, SIZE_MAX), i * 3);
    run_list_free(&list);
}

TEST_MAIN("run_list", {"as a plain array of flags", test_as_flags},
          {"the first number", test_first}, {"bounded: none is forgotten", test_bounded})
