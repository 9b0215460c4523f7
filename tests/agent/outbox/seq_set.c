/* A set of sequence numbers as runs. */
#include "agent/outbox/seq_set.h"

#include "tests/support/test.h"

static void test_runs(void)
{
    static struct seq_set runs;
    for (uint64_t seq = 100; seq < 200; seq++)
        CU_ASSERT_TRUE(seq_set_add(&runs, seq));
    CU_ASSERT_EQUAL(runs.n, 1);
    CU_ASSERT_TRUE(seq_set_add(&runs, 99));  /* before */
    CU_ASSERT_TRUE(seq_set_add(&runs, 150)); /* within */
    CU_ASSERT_EQUAL(runs.n, 1);
    CU_ASSERT_EQUAL(seq_set_count(&runs), 101);
    CU_ASSERT_FALSE(seq_set_contains(&runs, 98));
    CU_ASSERT_TRUE(seq_set_contains(&runs, 99));
    CU_ASSERT_TRUE(seq_set_contains(&runs, 199));
    CU_ASSERT_FALSE(seq_set_contains(&runs, 200));
    for (uint64_t i = 1; i < SEQ_SET_MAX; i++)
        CU_ASSERT_TRUE(seq_set_add(&runs, i * 1000));
    CU_ASSERT_FALSE(seq_set_add(&runs, 5)); /* full: but what adjoins still fits */
    CU_ASSERT_TRUE(seq_set_add(&runs, 1001));
    seq_set_remove_oldest(&runs);
    CU_ASSERT_FALSE(seq_set_contains(&runs, 150));
    CU_ASSERT_TRUE(seq_set_add(&runs, 5));
    seq_set_reset(&runs);
    CU_ASSERT_EQUAL(seq_set_count(&runs), 0);
    seq_set_remove_oldest(&runs); /* nothing to remove */
    CU_ASSERT_EQUAL(runs.n, 0);
}

TEST_MAIN("seq_set", {"numbers are kept as runs, within bounds", test_runs})
