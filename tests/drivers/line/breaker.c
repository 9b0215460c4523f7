/* The circuit breaker of one unit, on a clock of our own. */
#include "drivers/line/breaker.h"

#include "tests/support/test.h"

#define S INT64_C(1000000000)

static void test_trips_after_three(void)
{
    struct breaker breaker = {.state = UNIT_UNKNOWN};
    CU_ASSERT_FALSE(breaker_fail(&breaker, 0, 0));
    CU_ASSERT_EQUAL(breaker.state, UNIT_FAILING);
    CU_ASSERT_FALSE(breaker_fail(&breaker, 0, 0));
    CU_ASSERT_EQUAL(breaker.state, UNIT_FAILING);
    CU_ASSERT_TRUE(breaker_fail(&breaker, 0, 0));
    CU_ASSERT_EQUAL(breaker.state, UNIT_TRIPPED);
    CU_ASSERT_EQUAL(breaker.failures, 3);
    CU_ASSERT_FALSE(breaker_fail(&breaker, 0, 0)); /* it opened only once */
}

static void test_in_a_row(void)
{
    struct breaker breaker = {.state = UNIT_UNKNOWN};
    for (int i = 0; i < 10; i++) {
        CU_ASSERT_FALSE(breaker_fail(&breaker, 0, 0));
        CU_ASSERT_FALSE(breaker_fail(&breaker, 0, 0));
        CU_ASSERT_FALSE(breaker_succeed(&breaker)); /* nothing to recover from */
        CU_ASSERT_EQUAL(breaker.state, UNIT_OK);
    }
}

static void trip(struct breaker *breaker, int64_t now_ns, uint32_t random)
{
    for (int i = 0; i < BREAKER_TRIPS_AFTER; i++)
        (void)breaker_fail(breaker, now_ns, random);
}

static void test_probe_distances(void)
{
    static const int64_t expected_s[] = {5, 10, 20, 40, 80, 160, 240, 240};
    struct breaker breaker = {.state = UNIT_UNKNOWN};
    trip(&breaker, 1000 * S, 0);
    for (size_t i = 0; i < 8; i++) {
        CU_ASSERT_EQUAL(breaker.probe_at_ns, (1000 + expected_s[i]) * S);
        (void)breaker_fail(&breaker, 1000 * S, 0);
    }
}

static void test_jitter(void)
{
    struct breaker low = {.state = UNIT_UNKNOWN}, high = low;
    trip(&low, 0, 0);
    trip(&high, 0, UINT32_MAX);
    for (int i = 0; i < 20; i++) {
        CU_ASSERT_TRUE(high.probe_at_ns - low.probe_at_ns >= low.probe_at_ns / 5);
        CU_ASSERT_TRUE(low.probe_at_ns >= 5 * S);
        CU_ASSERT_TRUE(high.probe_at_ns <= 300 * S);
        (void)breaker_fail(&low, 0, 0);
        (void)breaker_fail(&high, 0, UINT32_MAX);
    }
    CU_ASSERT_EQUAL(high.probe_at_ns, 300 * S);
}

static void test_recovers(void)
{
    struct breaker breaker = {.state = UNIT_UNKNOWN};
    trip(&breaker, 0, 0);
    (void)breaker_fail(&breaker, 0, 0);
    CU_ASSERT_TRUE(breaker_succeed(&breaker));
    CU_ASSERT_EQUAL(breaker.state, UNIT_OK);
    CU_ASSERT_EQUAL(breaker.failures, 0);
    trip(&breaker, 0, 0); /* the distances begin anew */
    CU_ASSERT_EQUAL(breaker.probe_at_ns, 5 * S);
}

TEST_MAIN("breaker", {"opens at the third failure, once", test_trips_after_three},
          {"two failures and an answer never open it", test_in_a_row},
          {"probes from 5 s on at doubled distances, at most 5 min", test_probe_distances},
          {"units that died together are not probed together", test_jitter},
          {"one answer closes it", test_recovers})
