/* How many lines of the journal strangers get, and what becomes of the rest. */
#include "tunnel/command/journal_quota.h"

#include "tests/support/test.h"

static unsigned take(struct journal_quota *allowance, int64_t now_ms, unsigned times)
{
    unsigned taken = 0;
    for (unsigned i = 0; i < times; i++) {
        CLEANUP(strbuf_free) struct strbuf detail = STRBUF_EMPTY;
        taken += journal_quota_take(allowance, now_ms, &detail);
    }
    return taken;
}

static void test_burst(void)
{
    struct journal_quota allowance;
    journal_quota_init(&allowance, 1000);
    CU_ASSERT_EQUAL(take(&allowance, 1000, 100), JOURNAL_QUOTA_BURST);
    CU_ASSERT_EQUAL(take(&allowance, 1000 + JOURNAL_QUOTA_PAUSE_MS - 1, 100), 0);
    CU_ASSERT_EQUAL(take(&allowance, 1000 + JOURNAL_QUOTA_PAUSE_MS, 100), 1);
    CU_ASSERT_EQUAL(take(&allowance, 1000 + 4 * (int64_t)JOURNAL_QUOTA_PAUSE_MS - 1, 100), 2);
}

/* A year of quiet is worth no more than one burst, and a day of noise a line in five minutes. */
static void test_long(void)
{
    const int64_t year_ms = INT64_C(365) * 86400000, day_ms = 86400000;
    struct journal_quota allowance;
    unsigned taken = 0;
    journal_quota_init(&allowance, 0);
    CU_ASSERT_EQUAL(take(&allowance, year_ms, 1000), JOURNAL_QUOTA_BURST);
    for (int64_t now_ms = year_ms; now_ms < year_ms + day_ms; now_ms += 7000)
        taken += take(&allowance, now_ms, 3);
    CU_ASSERT_TRUE(taken >= day_ms / JOURNAL_QUOTA_PAUSE_MS - 1 &&
                   taken <= day_ms / JOURNAL_QUOTA_PAUSE_MS);
}

static void test_count(void)
{
    CLEANUP(strbuf_free) struct strbuf detail = STRBUF_EMPTY;
    struct journal_quota allowance;
    journal_quota_init(&allowance, 0);
    CU_ASSERT_TRUE(journal_quota_take(&allowance, 0, &detail));
    TEST_TEXT_EQUAL(strbuf_text(&detail), "");
    (void)take(&allowance, 0, JOURNAL_QUOTA_BURST + 6);
    strbuf_add(&detail, "by=unknown");
    CU_ASSERT_TRUE(journal_quota_take(&allowance, JOURNAL_QUOTA_PAUSE_MS, &detail));
    TEST_TEXT_EQUAL(strbuf_text(&detail), "by=unknown unrecorded=7");
    CU_ASSERT_FALSE(journal_quota_take(&allowance, JOURNAL_QUOTA_PAUSE_MS, &detail));
}

TEST_MAIN("allowance", {"a burst, and then one at a time", test_burst},
          {"room does not pile up, and noise does not add up", test_long},
          {"what was left out is told", test_count})
