/* When a file that cannot be read counts as lost. */
#include "agent/outbox/place.h"

#include "agent/outbox/sql.h"
#include "tests/support/test.h"

#include <errno.h>

#define NEVER_UNREAD                                                                               \
    {                                                                                              \
        .since_ms = INT64_MAX                                                                      \
    }

/* Tries every STEP_MS from FROM_MS until BELOW_MS; returns when it was lost, or -1. */
static int64_t tried_unread(struct place *place, int64_t from_ms, int64_t below_ms, int64_t step_ms)
{
    for (int64_t now_ms = from_ms; now_ms < below_ms; now_ms += step_ms) {
        if (place_is_lost(place, PLACE_READ, -SQL_EREAD, now_ms))
            return now_ms;
    }
    return -1;
}

static void test_damaged(void)
{
    struct place place = {.unread = {NEVER_UNREAD, NEVER_UNREAD}};
    CU_ASSERT_TRUE(place_is_lost(&place, PLACE_READ, -EBADMSG, 1000));
    CU_ASSERT_TRUE(place_is_lost(&place, PLACE_READ, -EBADMSG, 0));
    CU_ASSERT_FALSE(place_is_lost(&place, PLACE_READ, -EIO, 1000));
    CU_ASSERT_FALSE(place_is_lost(&place, PLACE_READ, 0, 1000));
}

static void test_patience(void)
{
    struct place place = {.unread = {NEVER_UNREAD, NEVER_UNREAD}};
    CU_ASSERT_EQUAL(tried_unread(&place, 1000, 100000, 1000), 61000);
}

static void test_read_meanwhile(void)
{
    struct place place = {.unread = {NEVER_UNREAD, NEVER_UNREAD}};
    CU_ASSERT_EQUAL(tried_unread(&place, 1000, 60000, 1000), -1);
    CU_ASSERT_FALSE(place_is_lost(&place, PLACE_READ, 0, 60000));
    CU_ASSERT_EQUAL(tried_unread(&place, 61000, 200000, 1000), 121000);
}

/* Two moments in which it could not be read, and in between nobody wanted to. */
static void test_not_tried(void)
{
    struct place place = {.unread = {NEVER_UNREAD, NEVER_UNREAD}};
    CU_ASSERT_EQUAL(tried_unread(&place, 1000, 5000, 1000), -1);
    CU_ASSERT_EQUAL(tried_unread(&place, 3600000, 3605000, 1000), -1);
    CU_ASSERT_FALSE(place_is_lost(&place, PLACE_COMMIT, -SQL_EREAD, 3605000));
}

static void test_start(void)
{
    struct place place = {.unread = {NEVER_UNREAD, NEVER_UNREAD}};
    CU_ASSERT_FALSE(place_is_lost(&place, PLACE_COMMIT, -SQL_EREAD, 0));
}

TEST_MAIN("place", {"content that was read and is wrong", test_damaged},
          {"a minute of tries that all failed", test_patience},
          {"not when one of them succeeded", test_read_meanwhile},
          {"nor when nobody tried in between", test_not_tried},
          {"never at the start, which waits by itself", test_start})
