/* The transition table and the back-off of the session to the broker. */
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

/* The first attempt follows without a wait. */
static void start(struct uplink_state *state)
{
    CU_ASSERT_EQUAL(go(state, UPLINK_START, UPLINK_WAITING), 0);
    go(state, UPLINK_TIMER, UPLINK_CONNECTING);
}

static void refused(struct uplink_state *state, enum uplink_input input)
{
    struct uplink_state before = *state;
    int64_t wait_ms = -7;
    CU_ASSERT_EQUAL(uplink_state_step(state, input, 1, &wait_ms), -EPROTO);
    CU_ASSERT_EQUAL(state->phase, before.phase);
    CU_ASSERT_EQUAL(state->goal, before.goal);
    CU_ASSERT_EQUAL(state->server, before.server);
    CU_ASSERT_EQUAL(state->backoff_round, before.backoff_round);
    CU_ASSERT_EQUAL(wait_ms, -7);
}

static void test_life(void)
{
    struct uplink_state state = fresh(1);
    CU_ASSERT_EQUAL(state.phase, UPLINK_IDLE);
    start(&state);
    go(&state, UPLINK_CONNECTED, UPLINK_UP);
    go(&state, UPLINK_BROKEN, UPLINK_CLOSING);
    CU_ASSERT_TRUE(go(&state, UPLINK_CLOSED, UPLINK_WAITING) > 0);
    go(&state, UPLINK_TIMER, UPLINK_CONNECTING);
    go(&state, UPLINK_CONNECTED, UPLINK_UP);
    CU_ASSERT_TRUE(go(&state, UPLINK_LOST, UPLINK_WAITING) > 0);
}

/* What the table must say. Besides phases: */
enum {
    NO = -1,   /* impossible */
    REST = -2, /* UPLINK_WAITING, UPLINK_CHANGING or UPLINK_IDLE: what the owner wants */
    OPEN = -3, /* UPLINK_UP; UPLINK_CLOSING when the owner wants something else */
    MORE = -4, /* the same with UPLINK_SUBSCRIBING */
};

/* clang-format off */
#define IDLE UPLINK_IDLE
#define WAIT UPLINK_WAITING
#define CONN UPLINK_CONNECTING
#define OVER UPLINK_OVERDUE
#define SUBS UPLINK_SUBSCRIBING
#define UP   UPLINK_UP
#define PROV UPLINK_PROVEN
#define CHOK UPLINK_CHOKED
#define LEAV UPLINK_LEAVING
#define CLSE UPLINK_CLOSING
#define CHAN UPLINK_CHANGING
static const int expected[UPLINK_PHASES][UPLINK_INPUTS] = {
            /* START TIMER LOGIN CONN  FAIL  LOST  BRKN  LASTD REFUS DRAIN CLOSD CHANG CHGED STOP */
    [IDLE] = { WAIT, NO,   NO,   NO,   NO,   NO,   NO,   NO,   NO,   NO,   NO,   NO,   NO,   IDLE },
    [WAIT] = { NO,   CONN, NO,   NO,   NO,   NO,   NO,   NO,   NO,   NO,   NO,   REST, NO,   REST },
    [CONN] = { NO,   OVER, MORE, OPEN, REST, REST, NO,   NO,   NO,   NO,   NO,   CONN, NO,   CONN },
    [OVER] = { NO,   NO,   MORE, OPEN, REST, REST, NO,   NO,   NO,   NO,   NO,   OVER, NO,   OVER },
    [SUBS] = { NO,   NO,   NO,   UP,   NO,   REST, CLSE, NO,   NO,   NO,   NO,   CLSE, NO,   CLSE },
    [UP]   = { NO,   NO,   NO,   NO,   NO,   REST, CLSE, PROV, CHOK, NO,   NO,   LEAV, NO,   LEAV },
    [PROV] = { NO,   NO,   NO,   NO,   NO,   REST, CLSE, NO,   CHOK, NO,   NO,   LEAV, NO,   LEAV },
    [CHOK] = { NO,   NO,   NO,   NO,   NO,   REST, CLSE, NO,   NO,   NO,   NO,   LEAV, NO,   LEAV },
    [LEAV] = { NO,   CLSE, NO,   NO,   NO,   REST, NO,   NO,   NO,   CLSE, NO,   LEAV, NO,   LEAV },
    [CLSE] = { NO,   CLSE, NO,   NO,   NO,   REST, NO,   NO,   NO,   NO,   REST, CLSE, NO,   CLSE },
    [CHAN] = { NO,   NO,   NO,   NO,   NO,   NO,   NO,   NO,   NO,   NO,   NO,   CHAN, WAIT, REST },
};
/* clang-format on */

/* The goal that INPUT leaves behind. */
static enum uplink_goal goal_after(enum uplink_goal goal, enum uplink_input input)
{
    if (input == UPLINK_STOP)
        return UPLINK_GOAL_END;
    if (input == UPLINK_CHANGE)
        return UPLINK_GOAL_CHANGE;
    return input == UPLINK_CHANGED ? UPLINK_GOAL_SESSION : goal;
}

static enum uplink_phase phase_after(int entry, enum uplink_goal goal)
{
    static const enum uplink_phase rest[] = {[UPLINK_GOAL_SESSION] = UPLINK_WAITING,
                                             [UPLINK_GOAL_CHANGE] = UPLINK_CHANGING,
                                             [UPLINK_GOAL_END] = UPLINK_IDLE};
    if (entry == REST)
        return rest[goal];
    if (entry == OPEN || entry == MORE)
        return goal != UPLINK_GOAL_SESSION ? UPLINK_CLOSING
               : entry == OPEN             ? UPLINK_UP
                                           : UPLINK_SUBSCRIBING;
    return (enum uplink_phase)entry;
}

static void check_step(enum uplink_phase phase, enum uplink_goal goal, enum uplink_input input)
{
    struct uplink_state state = fresh(2);
    state.phase = phase;
    state.goal = goal;
    state.tried = 1;
    state.backoff_round = 3;
    int entry = expected[phase][input];
    bool is_too_late = goal == UPLINK_GOAL_END && (input == UPLINK_START || input == UPLINK_CHANGE);
    if (entry == NO || is_too_late) {
        refused(&state, input);
        return;
    }
    enum uplink_goal wanted = goal_after(goal, input);
    go(&state, input, phase_after(entry, wanted));
    CU_ASSERT_EQUAL(state.goal, wanted);
}

static void test_table(void)
{
    for (int phase = 0; phase < UPLINK_PHASES; phase++) {
        for (int input = 0; input < UPLINK_INPUTS; input++) {
            for (int goal = UPLINK_GOAL_SESSION; goal <= UPLINK_GOAL_END; goal++)
                check_step((enum uplink_phase)phase, (enum uplink_goal)goal,
                           (enum uplink_input)input);
        }
    }
}

static void test_stop(void)
{
    struct uplink_state state = fresh(1);
    go(&state, UPLINK_STOP, UPLINK_IDLE); /* never started */
    refused(&state, UPLINK_START);

    state = fresh(1);
    start(&state);
    go(&state, UPLINK_STOP, UPLINK_CONNECTING); /* an attempt cannot be called off */
    go(&state, UPLINK_CONNECTED, UPLINK_CLOSING);
    go(&state, UPLINK_CLOSED, UPLINK_IDLE);
    refused(&state, UPLINK_START);

    state = fresh(1);
    start(&state);
    go(&state, UPLINK_STOP, UPLINK_CONNECTING);
    go(&state, UPLINK_FAILED, UPLINK_IDLE);

    state = fresh(1);
    start(&state);
    go(&state, UPLINK_CONNECTED, UPLINK_UP);
    go(&state, UPLINK_STOP, UPLINK_LEAVING);
    go(&state, UPLINK_LOST, UPLINK_IDLE);

    state = fresh(1);
    start(&state);
    go(&state, UPLINK_CONNECTED, UPLINK_UP);
    go(&state, UPLINK_BROKEN, UPLINK_CLOSING);
    go(&state, UPLINK_STOP, UPLINK_CLOSING);
    go(&state, UPLINK_CLOSED, UPLINK_IDLE);
}

static void test_change(void)
{
    struct uplink_state state = fresh(3);
    start(&state);
    go(&state, UPLINK_FAILED, UPLINK_WAITING);
    CU_ASSERT_EQUAL(state.server, 1);
    go(&state, UPLINK_CHANGE, UPLINK_CHANGING); /* nothing to end first */
    uplink_state_set_servers(&state, 2, 5 * MIN, MAX);
    CU_ASSERT_EQUAL(state.server, 0);
    CU_ASSERT_EQUAL(go(&state, UPLINK_CHANGED, UPLINK_WAITING), 0); /* without a wait */
    go(&state, UPLINK_TIMER, UPLINK_CONNECTING);
    CU_ASSERT_EQUAL(go(&state, UPLINK_FAILED, UPLINK_WAITING), 5 * MIN);
    go(&state, UPLINK_TIMER, UPLINK_CONNECTING);
    go(&state, UPLINK_LOGGED_IN, UPLINK_SUBSCRIBING);
    go(&state, UPLINK_CONNECTED, UPLINK_UP);
    go(&state, UPLINK_CHANGE, UPLINK_LEAVING);
    go(&state, UPLINK_DRAINED, UPLINK_CLOSING);
    go(&state, UPLINK_CLOSED, UPLINK_CHANGING);
    go(&state, UPLINK_STOP, UPLINK_IDLE); /* a stop is the last word */
    refused(&state, UPLINK_CHANGE);
    refused(&state, UPLINK_CHANGED);
}

static void test_rotation(void)
{
    struct uplink_state state = fresh(3);
    start(&state);
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
    go(&state, UPLINK_LOGGED_IN, UPLINK_SUBSCRIBING);
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
    start(&least);
    start(&half);
    start(&most);
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
    start(&state);
    int64_t before_ms = 0;
    for (int i = 0; i < 4; i++) { /* taken and dropped, again and again: not hammered */
        go(&state, UPLINK_CONNECTED, UPLINK_UP);
        int64_t wait_ms = go(&state, UPLINK_LOST, UPLINK_WAITING);
        CU_ASSERT_TRUE(wait_ms > before_ms);
        before_ms = wait_ms;
        go(&state, UPLINK_TIMER, UPLINK_CONNECTING);
    }
    go(&state, UPLINK_CONNECTED, UPLINK_UP);
    go(&state, UPLINK_LASTED, UPLINK_PROVEN);
    CU_ASSERT_EQUAL(go(&state, UPLINK_LOST, UPLINK_WAITING), 2 * MIN - 1);
}

static void test_odd_bounds(void)
{
    struct uplink_state state;
    uplink_state_init(&state, 1, 5000, 1000); /* the larger wins */
    start(&state);
    CU_ASSERT_EQUAL(go(&state, UPLINK_FAILED, UPLINK_WAITING), 5000);
    uplink_state_init(&state, 1, 1, INT64_MAX / 4);
    start(&state);
    for (int i = 0; i < 100; i++) {
        int64_t wait_ms = wait_after_failure(&state, UINT32_MAX);
        CU_ASSERT_TRUE(wait_ms >= 1 && wait_ms <= INT64_MAX / 4);
    }
}

/* The status document and the command line know these five. */
static void test_names(void)
{
    static const char *const names[UPLINK_PHASES] = {
        [UPLINK_IDLE] = "idle",
        [UPLINK_WAITING] = "waiting",
        [UPLINK_CONNECTING] = "connecting",
        [UPLINK_OVERDUE] = "connecting",
        [UPLINK_SUBSCRIBING] = "connecting",
        [UPLINK_UP] = "up",
        [UPLINK_PROVEN] = "up",
        [UPLINK_CHOKED] = "up",
        [UPLINK_LEAVING] = "closing",
        [UPLINK_CLOSING] = "closing",
        [UPLINK_CHANGING] = "waiting",
    };
    for (int phase = 0; phase < UPLINK_PHASES; phase++) {
        TEST_TEXT_EQUAL(uplink_phase_name((enum uplink_phase)phase), names[phase]);
        CU_ASSERT_EQUAL(uplink_phase_is_up((enum uplink_phase)phase),
                        phase == UPLINK_UP || phase == UPLINK_PROVEN);
    }
}

TEST_MAIN("uplink_state", {"the life of a session", test_life},
          {"each input in each phase, with each goal of the owner", test_table},
          {"a stop ends it all", test_stop}, {"other settings", test_change},
          {"each server in turn, the last good one first", test_rotation},
          {"full jitter below a doubling ceiling", test_backoff},
          {"only a session that lasts resets the back-off", test_proof},
          {"odd bounds", test_odd_bounds}, {"names of the phases", test_names})
