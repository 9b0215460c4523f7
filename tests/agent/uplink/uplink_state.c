/* The transition table, the back-off and the window of the session to the broker. */
#include "agent/uplink/uplink_state.h"

#include "tests/support/test.h"

#include <errno.h>

#define MIN 1000
#define MAX 60000

static struct uplink_state fresh(size_t n_servers)
{
    struct uplink_state state;
    uplink_state_init(&state, n_servers, MIN, MAX);
    return state;
}

/* Steps with the largest random number; returns the wait, 0 when the new phase has none. */
static int64_t go(struct uplink_state *state, enum uplink_input input, enum uplink_phase expected)
{
    int64_t wait_ms = 0;
    CU_ASSERT_EQUAL(uplink_state_step(state, input, UINT32_MAX, &wait_ms), 0);
    CU_ASSERT_EQUAL(state->phase, expected);
    return wait_ms;
}

static void refused(struct uplink_state *state, enum uplink_input input)
{
    struct uplink_state before = *state;
    int64_t wait_ms = -7;
    CU_ASSERT_EQUAL(uplink_state_step(state, input, 1, &wait_ms), -EPROTO);
    CU_ASSERT_EQUAL(state->phase, before.phase);
    CU_ASSERT_EQUAL(state->server, before.server);
    CU_ASSERT_EQUAL(state->backoff_round, before.backoff_round);
    CU_ASSERT_EQUAL(wait_ms, -7);
}

static void test_life(void)
{
    struct uplink_state state = fresh(1);
    CU_ASSERT_EQUAL(state.phase, UPLINK_IDLE);
    go(&state, UPLINK_START, UPLINK_CONNECTING);
    go(&state, UPLINK_CONNECTED, UPLINK_UP);
    go(&state, UPLINK_BROKEN, UPLINK_CLOSING);
    CU_ASSERT_TRUE(go(&state, UPLINK_CLOSED, UPLINK_WAITING) > 0);
    go(&state, UPLINK_TIMER, UPLINK_CONNECTING);
    go(&state, UPLINK_CONNECTED, UPLINK_UP);
    CU_ASSERT_TRUE(go(&state, UPLINK_LOST, UPLINK_WAITING) > 0);
}

static void test_impossible(void)
{
    struct uplink_state state = fresh(2);
    static const enum uplink_input when_idle[] = {UPLINK_TIMER, UPLINK_CONNECTED, UPLINK_FAILED,
                                                  UPLINK_LOST,  UPLINK_BROKEN,    UPLINK_CLOSED,
                                                  UPLINK_PROVEN};
    for (size_t i = 0; i < sizeof(when_idle) / sizeof(when_idle[0]); i++)
        refused(&state, when_idle[i]);
    go(&state, UPLINK_START, UPLINK_CONNECTING);
    refused(&state, UPLINK_START);
    refused(&state, UPLINK_TIMER);
    refused(&state, UPLINK_CLOSED);
    refused(&state, UPLINK_PROVEN);
    go(&state, UPLINK_CONNECTED, UPLINK_UP);
    refused(&state, UPLINK_CONNECTED); /* a late one of an old attempt */
    refused(&state, UPLINK_FAILED);
    refused(&state, UPLINK_CLOSED);
    refused(&state, UPLINK_TIMER);
    go(&state, UPLINK_BROKEN, UPLINK_CLOSING);
    refused(&state, UPLINK_BROKEN);
    refused(&state, UPLINK_CONNECTED);
    refused(&state, UPLINK_TIMER);
    go(&state, UPLINK_LOST, UPLINK_WAITING); /* lost while closing is closed */
    refused(&state, UPLINK_CLOSED);          /* the other of the two comes too late */
    refused(&state, UPLINK_LOST);
    refused(&state, UPLINK_START);
}

static void test_stop(void)
{
    struct uplink_state state = fresh(1);
    go(&state, UPLINK_STOP, UPLINK_IDLE); /* never started */

    state = fresh(1);
    go(&state, UPLINK_START, UPLINK_CONNECTING);
    go(&state, UPLINK_STOP, UPLINK_CONNECTING); /* an attempt cannot be called off */
    go(&state, UPLINK_CONNECTED, UPLINK_CLOSING);
    go(&state, UPLINK_CLOSED, UPLINK_IDLE);
    refused(&state, UPLINK_START);

    state = fresh(1);
    go(&state, UPLINK_START, UPLINK_CONNECTING);
    go(&state, UPLINK_STOP, UPLINK_CONNECTING);
    go(&state, UPLINK_FAILED, UPLINK_IDLE);

    state = fresh(1);
    go(&state, UPLINK_START, UPLINK_CONNECTING);
    go(&state, UPLINK_CONNECTED, UPLINK_UP);
    go(&state, UPLINK_STOP, UPLINK_CLOSING);
    go(&state, UPLINK_LOST, UPLINK_IDLE);

    state = fresh(1);
    go(&state, UPLINK_START, UPLINK_CONNECTING);
    go(&state, UPLINK_CONNECTED, UPLINK_UP);
    go(&state, UPLINK_BROKEN, UPLINK_CLOSING);
    go(&state, UPLINK_STOP, UPLINK_CLOSING);
    go(&state, UPLINK_CLOSED, UPLINK_IDLE);

    state = fresh(1);
    go(&state, UPLINK_START, UPLINK_CONNECTING);
    go(&state, UPLINK_FAILED, UPLINK_WAITING);
    go(&state, UPLINK_STOP, UPLINK_IDLE);
}

static void test_rotation(void)
{
    struct uplink_state state = fresh(3);
    go(&state, UPLINK_START, UPLINK_CONNECTING);
    CU_ASSERT_EQUAL(state.server, 0);
    CU_ASSERT_EQUAL(go(&state, UPLINK_FAILED, UPLINK_WAITING), MIN); /* others are left */
    CU_ASSERT_EQUAL(state.server, 1);
    go(&state, UPLINK_TIMER, UPLINK_CONNECTING);
    CU_ASSERT_EQUAL(go(&state, UPLINK_FAILED, UPLINK_WAITING), MIN);
    CU_ASSERT_EQUAL(state.server, 2);
    go(&state, UPLINK_TIMER, UPLINK_CONNECTING);
    CU_ASSERT_TRUE(go(&state, UPLINK_FAILED, UPLINK_WAITING) > MIN); /* the round is over */
    CU_ASSERT_EQUAL(state.server, 0);
    go(&state, UPLINK_TIMER, UPLINK_CONNECTING);
    CU_ASSERT_EQUAL(go(&state, UPLINK_FAILED, UPLINK_WAITING), MIN);
    go(&state, UPLINK_TIMER, UPLINK_CONNECTING);
    go(&state, UPLINK_CONNECTED, UPLINK_UP);
    CU_ASSERT_EQUAL(state.server, 1);
    go(&state, UPLINK_LOST, UPLINK_WAITING);
    CU_ASSERT_EQUAL(state.server, 1); /* the last good one first */
    go(&state, UPLINK_TIMER, UPLINK_CONNECTING);
    CU_ASSERT_EQUAL(go(&state, UPLINK_BROKEN, UPLINK_CLOSING), 0); /* it denied the subscription */
    CU_ASSERT_EQUAL(go(&state, UPLINK_CLOSED, UPLINK_WAITING), MIN);
    CU_ASSERT_EQUAL(state.server, 2);
    go(&state, UPLINK_TIMER, UPLINK_CONNECTING);
    CU_ASSERT_EQUAL(go(&state, UPLINK_LOST, UPLINK_WAITING), MIN); /* dropped us after the login */
    CU_ASSERT_EQUAL(state.server, 0);
}

static int64_t wait_after_failure(struct uplink_state *state, uint32_t random)
{
    int64_t wait_ms = 0;
    CU_ASSERT_EQUAL(uplink_state_step(state, UPLINK_FAILED, random, &wait_ms), 0);
    CU_ASSERT_EQUAL(uplink_state_step(state, UPLINK_TIMER, random, &wait_ms), 0);
    return wait_ms;
}

static void test_backoff(void)
{
    static const int64_t ceilings[] = {2000, 4000, 8000, 16000, 32000, 60000, 60000};
    struct uplink_state least = fresh(1), half = fresh(1), most = fresh(1);
    go(&least, UPLINK_START, UPLINK_CONNECTING);
    go(&half, UPLINK_START, UPLINK_CONNECTING);
    go(&most, UPLINK_START, UPLINK_CONNECTING);
    for (size_t i = 0; i < sizeof(ceilings) / sizeof(ceilings[0]); i++) {
        CU_ASSERT_EQUAL(wait_after_failure(&least, 0), MIN); /* full jitter: the whole range */
        CU_ASSERT_EQUAL(wait_after_failure(&half, UINT32_C(1) << 31), (MIN + ceilings[i]) / 2);
        CU_ASSERT_EQUAL(wait_after_failure(&most, UINT32_MAX), ceilings[i] - 1);
    }
    for (int i = 0; i < 200; i++) /* years later */
        CU_ASSERT_EQUAL(wait_after_failure(&most, UINT32_MAX), MAX - 1);
}

static void test_proof(void)
{
    struct uplink_state state = fresh(1);
    go(&state, UPLINK_START, UPLINK_CONNECTING);
    int64_t before_ms = 0;
    for (int i = 0; i < 4; i++) { /* taken and dropped, again and again: not hammered */
        go(&state, UPLINK_CONNECTED, UPLINK_UP);
        int64_t wait_ms = go(&state, UPLINK_LOST, UPLINK_WAITING);
        CU_ASSERT_TRUE(wait_ms > before_ms);
        before_ms = wait_ms;
        go(&state, UPLINK_TIMER, UPLINK_CONNECTING);
    }
    go(&state, UPLINK_CONNECTED, UPLINK_UP);
    go(&state, UPLINK_PROVEN, UPLINK_UP);
    CU_ASSERT_EQUAL(go(&state, UPLINK_LOST, UPLINK_WAITING), 2 * MIN - 1);
}

static void test_odd_bounds(void)
{
    struct uplink_state state;
    uplink_state_init(&state, 1, 5000, 1000); /* the larger wins */
    go(&state, UPLINK_START, UPLINK_CONNECTING);
    CU_ASSERT_EQUAL(go(&state, UPLINK_FAILED, UPLINK_WAITING), 5000);
    uplink_state_init(&state, 1, 1, INT64_MAX / 4);
    go(&state, UPLINK_START, UPLINK_CONNECTING);
    for (int i = 0; i < 100; i++) {
        int64_t wait_ms = wait_after_failure(&state, UINT32_MAX);
        CU_ASSERT_TRUE(wait_ms >= 1 && wait_ms <= INT64_MAX / 4);
    }
}

static void test_window(void)
{
    struct uplink_flight flights[3];
    struct uplink_window window;
    uint64_t tag = 0;
    uplink_window_init(&window, flights, 3);
    CU_ASSERT_EQUAL(uplink_window_oldest_ns(&window), INT64_MAX);
    for (int i = 1; i <= 3; i++) {
        CU_ASSERT_FALSE(uplink_window_is_full(&window));
        uplink_window_add(&window, 10 + i, (uint64_t)(100 + i), 1000 + i);
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
}

static void test_names(void)
{
    TEST_TEXT_EQUAL(uplink_phase_name(UPLINK_IDLE), "idle");
    TEST_TEXT_EQUAL(uplink_phase_name(UPLINK_CONNECTING), "connecting");
    TEST_TEXT_EQUAL(uplink_phase_name(UPLINK_UP), "up");
    TEST_TEXT_EQUAL(uplink_phase_name(UPLINK_CLOSING), "closing");
    TEST_TEXT_EQUAL(uplink_phase_name(UPLINK_WAITING), "waiting");
}

TEST_MAIN("uplink_state", {"the life of a session", test_life},
          {"what cannot be is refused and changes nothing", test_impossible},
          {"stopping in every phase", test_stop},
          {"each server in turn, the last good one first", test_rotation},
          {"full jitter below a doubling ceiling", test_backoff},
          {"only a session that lasts resets the back-off", test_proof},
          {"odd bounds", test_odd_bounds}, {"the window", test_window},
          {"names of the phases", test_names})
