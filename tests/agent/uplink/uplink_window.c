/* What is in flight on the session to the broker. */
#include "agent/uplink/uplink_window.h"

#include "tests/support/test.h"

static void test_window(void)
{
    struct uplink_window window;
    uint64_t tag = 0;
    uplink_window_init(&window, 3);
    CU_ASSERT_EQUAL(uplink_window_oldest_ns(&window), INT64_MAX);
    for (int i = 1; i <= 3; i++) {
        CU_ASSERT_FALSE(uplink_window_is_full(&window));
        uplink_window_add(&window, 10 + i, 100 + (uint64_t)i, 1000 + i);
    }
    CU_ASSERT_TRUE(uplink_window_is_full(&window));
    CU_ASSERT_EQUAL(uplink_window_oldest_ns(&window), 1001);
    CU_ASSERT_FALSE(uplink_window_acknowledge(&window, 99, &tag)); /* a stranger */
    CU_ASSERT_EQUAL(tag, 0);
    CU_ASSERT_TRUE(uplink_window_acknowledge(&window, 12, &tag)); /* out of order */
    CU_ASSERT_EQUAL(tag, 102);
    CU_ASSERT_EQUAL(window.in_flight, 2);
    CU_ASSERT_TRUE(uplink_window_is_full(&window)); /* the first still holds its place */
    CU_ASSERT_FALSE(uplink_window_acknowledge(&window, 12, &tag)); /* twice */
    CU_ASSERT_TRUE(uplink_window_acknowledge(&window, 11, &tag));
    CU_ASSERT_EQUAL(tag, 101);
    CU_ASSERT_EQUAL(uplink_window_oldest_ns(&window), 1003);
    uplink_window_add(&window, 12, 104, 1004); /* a token is used again; around the end */
    uplink_window_add(&window, 15, 105, 1005);
    CU_ASSERT_TRUE(uplink_window_is_full(&window));
    CU_ASSERT_TRUE(uplink_window_acknowledge(&window, 12, &tag));
    CU_ASSERT_EQUAL(tag, 104);
    uplink_window_clear(&window);
    CU_ASSERT_EQUAL(window.in_flight, 0);
    CU_ASSERT_FALSE(uplink_window_acknowledge(&window, 13, &tag));
    CU_ASSERT_EQUAL(uplink_window_oldest_ns(&window), INT64_MAX);
    uplink_window_free(&window);
    uplink_window_free(&window); /* an empty one */
}

/* Messages at QoS 0 have no name of their own: they are written in the order of sending. */
static void test_nameless(void)
{
    struct uplink_window window;
    uint64_t tag = 0;
    uplink_window_init(&window, 4);
    uplink_window_add(&window, 0, 1, 10);
    uplink_window_add(&window, 7, 2, 11);
    uplink_window_add(&window, 0, 3, 12);
    CU_ASSERT_TRUE(uplink_window_acknowledge(&window, 0, &tag));
    CU_ASSERT_EQUAL(tag, 1);
    CU_ASSERT_TRUE(uplink_window_acknowledge(&window, 0, &tag));
    CU_ASSERT_EQUAL(tag, 3);
    CU_ASSERT_FALSE(uplink_window_acknowledge(&window, 0, &tag));
    CU_ASSERT_EQUAL(uplink_window_oldest_ns(&window), 11);
    CU_ASSERT_TRUE(uplink_window_acknowledge(&window, 7, &tag));
    CU_ASSERT_EQUAL(tag, 2);
    CU_ASSERT_EQUAL(window.span, 0);
    uplink_window_free(&window);
}

TEST_MAIN("uplink_window", {"in order, out of order, around the end", test_window},
          {"messages without a token of their own", test_nameless})
