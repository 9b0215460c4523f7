/* Whether every line still moves. The lines are fakes. */
#include "agent/gateway/liveness.h"

#include "tests/support/test.h"

struct line {
    uint64_t heartbeat;
};

void line_get_health(struct line *line, struct line_health *ret_health)
{
    *ret_health = (struct line_health){.heartbeat = line->heartbeat};
}

static void test_beats(void)
{
    struct line first = {5}, second = {0};
    struct line *const lines[] = {NULL, &first, &second};
    struct liveness *liveness = liveness_new(3);
    size_t stuck = 99;
    CU_ASSERT_TRUE(liveness_ok(liveness, lines, 1000, 100, &stuck)); /* seen for the first time */
    CU_ASSERT_TRUE(liveness_ok(liveness, lines, 1100, 100, &stuck));
    first.heartbeat++;
    CU_ASSERT_EQUAL(stuck, 99);
    CU_ASSERT_FALSE(liveness_ok(liveness, lines, 1101, 100, &stuck));
    CU_ASSERT_EQUAL(stuck, 2);
    second.heartbeat++;
    CU_ASSERT_TRUE(liveness_ok(liveness, lines, 1150, 100, &stuck)); /* it moves again */
    CU_ASSERT_FALSE(liveness_ok(liveness, lines, 1202, 100, &stuck));
    CU_ASSERT_EQUAL(stuck, 1);
    CU_ASSERT_PTR_NULL(liveness_free(liveness));
    CU_ASSERT_PTR_NULL(liveness_free(NULL));
}

TEST_MAIN("liveness", {"a line whose heartbeat stands still is named", test_beats})
