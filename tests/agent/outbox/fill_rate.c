/* How long the room lasts. */
#include "agent/outbox/fill_rate.h"

#include "tests/support/test.h"

static void test_unknown_at_first(void)
{
    struct fill_rate rate = {.started = false};
    CU_ASSERT(fill_rate_hours(&rate, 1000) < 0);
    fill_rate_fold(&rate, 5000, 1000); /* what was before is not counted: its time is not known */
    fill_rate_fold(&rate, 6000, 6000);
    CU_ASSERT(fill_rate_hours(&rate, 1000) < 0); /* five seconds are too few */
    fill_rate_fold(&rate, 6000, 20000);
    CU_ASSERT(fill_rate_hours(&rate, 1000) > 0);
}

static void test_even_rate(void)
{
    struct fill_rate rate = {.started = false};
    for (int64_t second = 0; second <= 3600; second++)
        fill_rate_fold(&rate, (uint64_t)second * 1000, second * 1000);
    double hours = fill_rate_hours(&rate, 7200000); /* 1000 bytes a second: two hours */
    CU_ASSERT(hours > 1.99 && hours < 2.01);
    CU_ASSERT(fill_rate_hours(&rate, 0) == 0);
}

static void test_forgets(void)
{
    struct fill_rate rate = {.started = false};
    uint64_t total = 0;
    for (int64_t second = 0; second <= 7200; second++) {
        total += second < 3600 ? 100000 : 1000;
        fill_rate_fold(&rate, total, second * 1000);
    }
    double hours = fill_rate_hours(&rate, 3600000);
    CU_ASSERT(hours > 0.7 && hours < 1.01); /* an hour after the rush it hardly counts */
    for (int64_t second = 7201; second <= 40000; second++)
        fill_rate_fold(&rate, total, second * 1000);
    CU_ASSERT(fill_rate_hours(&rate, 3600000) < 0); /* nothing comes any more */
}

TEST_MAIN("fill_rate", {"unknown in the first ten seconds", test_unknown_at_first},
          {"an even rate", test_even_rate}, {"what was long ago is forgotten", test_forgets})
