/* How many lines of the journal strangers get, and what becomes of the rest. */
#include "tunnel/journal/journal_quota.h"

#include "tests/support/test.h"

static unsigned take(struct journal_quota *quota, int64_t now_ms, unsigned times)
{
    unsigned taken = 0;
    for (unsigned i = 0; i < times; i++) {
        struct event event;
        event_init(&event, EVENT_EGRESS_CHANGED, 0);
        taken += journal_quota_take(quota, now_ms, &event);
    }
    return taken;
}

static void test_burst(void)
{
    struct journal_quota quota;
    journal_quota_init(&quota, 1000);
    CU_ASSERT_EQUAL(take(&quota, 1000, 100), JOURNAL_QUOTA_BURST);
    CU_ASSERT_EQUAL(take(&quota, 1000 + JOURNAL_QUOTA_PAUSE_MS - 1, 100), 0);
    CU_ASSERT_EQUAL(take(&quota, 1000 + JOURNAL_QUOTA_PAUSE_MS, 100), 1);
    CU_ASSERT_EQUAL(take(&quota, 1000 + 4 * (int64_t)JOURNAL_QUOTA_PAUSE_MS - 1, 100), 2);
}

/* A year of quiet is worth no more than one burst, and a day of noise a line in five minutes. */
static void test_long(void)
{
    const int64_t year_ms = INT64_C(365) * 86400000, day_ms = 86400000;
    struct journal_quota quota;
    unsigned taken = 0;
    journal_quota_init(&quota, 0);
    CU_ASSERT_EQUAL(take(&quota, year_ms, 1000), JOURNAL_QUOTA_BURST);
    for (int64_t now_ms = year_ms; now_ms < year_ms + day_ms; now_ms += 7000)
        taken += take(&quota, now_ms, 3);
    CU_ASSERT_TRUE(taken >= day_ms / JOURNAL_QUOTA_PAUSE_MS - 1 &&
                   taken <= day_ms / JOURNAL_QUOTA_PAUSE_MS);
}

static void test_count(void)
{
    struct event event;
    struct journal_quota quota;
    journal_quota_init(&quota, 0);
    event_init(&event, EVENT_EGRESS_CHANGED, 0);
    CU_ASSERT_TRUE(journal_quota_take(&quota, 0, &event));
    CU_ASSERT_EQUAL(event.n_members, 0);
    (void)take(&quota, 0, JOURNAL_QUOTA_BURST + 6);
    CU_ASSERT_TRUE(journal_quota_take(&quota, JOURNAL_QUOTA_PAUSE_MS, &event));
    CU_ASSERT_EQUAL_FATAL(event.n_members, 1);
    CU_ASSERT_EQUAL(event_find(&event, MEMBER_UNRECORDED)->number, 7);
    CU_ASSERT_FALSE(journal_quota_take(&quota, JOURNAL_QUOTA_PAUSE_MS, &event));
}

TEST_MAIN("journal_quota", {"a burst, and then one at a time", test_burst},
          {"room does not pile up, and noise does not add up", test_long},
          {"what was left out is told", test_count})
