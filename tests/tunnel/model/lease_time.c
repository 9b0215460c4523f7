/* When leases end, at the edges of what can be asked for. */
#include "tunnel/model/lease_time.h"

#include "tests/support/test.h"

static void test_fit(void)
{
    CU_ASSERT_TRUE(lease_time_is_fit(1, 1));
    CU_ASSERT_TRUE(lease_time_is_fit(3600, 3600));
    CU_ASSERT_TRUE(lease_time_is_fit(LEASE_MAX_S, LEASE_MAX_S));
    CU_ASSERT_FALSE(lease_time_is_fit(3601, 3600));
    CU_ASSERT_FALSE(lease_time_is_fit(0, 3600));
    CU_ASSERT_FALSE(lease_time_is_fit(-1, 3600));
    CU_ASSERT_FALSE(lease_time_is_fit(INT64_MAX, 3600));
    CU_ASSERT_FALSE(lease_time_is_fit(1, 0));
    CU_ASSERT_FALSE(lease_time_is_fit(1, LEASE_MAX_S + 1));
    CU_ASSERT_FALSE(lease_time_is_fit(INT64_MIN, INT64_MIN));
}

static void test_after(void)
{
    CU_ASSERT_EQUAL(lease_time_after(500, 60), 60500);
    CU_ASSERT_EQUAL(lease_time_after(0, 0), 0);
    CU_ASSERT_EQUAL(lease_time_after(LEASE_MAX_NOW_MS - 1, LEASE_MAX_S),
                    LEASE_MAX_NOW_MS - 1 + LEASE_MAX_S * 1000);
}

static void test_extension(void)
{
    CU_ASSERT_TRUE(lease_time_may_become(1000, 1001, 5000));
    CU_ASSERT_TRUE(lease_time_may_become(1000, 5000, 5000));
    CU_ASSERT_FALSE(lease_time_may_become(1000, 5001, 5000));
    CU_ASSERT_FALSE(lease_time_may_become(1000, 1000, 5000));
    CU_ASSERT_FALSE(lease_time_may_become(1000, 999, 5000));
}

static void test_left(void)
{
    CU_ASSERT_EQUAL(lease_time_left(5000, 1000), 4000);
    CU_ASSERT_EQUAL(lease_time_left(5000, 4999), 1);
    CU_ASSERT_EQUAL(lease_time_left(5000, 5000), 0);
    CU_ASSERT_EQUAL(lease_time_left(5000, 5001), 0);
    CU_ASSERT_EQUAL(lease_time_left(0, INT64_MAX), 0);
    CU_ASSERT_EQUAL(lease_time_left(INT64_MAX, 0), INT64_MAX);
}

TEST_MAIN("lease_time", {"what can be granted", test_fit}, {"when it ends", test_after},
          {"an extension reaches further, and not past the limit", test_extension},
          {"what is left of it", test_left})
