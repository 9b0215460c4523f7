/* The transition table of the session to the broker, and its back-off. */
#include "agent/uplink/uplink_state.h"

#include <assert.h>
#include <errno.h>

const char *uplink_phase_name(enum uplink_phase phase)
{
    switch (phase) {
    case UPLINK_IDLE:
        return "idle";
    case UPLINK_WAITING:
    case UPLINK_CHANGING:
        return "waiting";
    case UPLINK_CONNECTING:
    case UPLINK_OVERDUE:
    case UPLINK_SUBSCRIBING:
        return "connecting";
    case UPLINK_UP:
    case UPLINK_PROVEN:
    case UPLINK_CHOKED:
        return "up";
    case UPLINK_LEAVING:
    case UPLINK_CLOSING:
        return "closing";
    }
    return "?";
}

bool uplink_phase_is_up(enum uplink_phase phase)
{
    return phase == UPLINK_UP || phase == UPLINK_PROVEN;
}

/* --- the table -------------------------------------------------------------------------------- */

/* Where a rule leads. */
enum course {
    IMPOSSIBLE, /* the input does not fit the phase; 0, so that the table names what is possible */
    STAY,
    TO,    /* the phase of the rule */
    OPENS, /* the same; but when the owner has changed its goal meanwhile, UPLINK_CLOSING */
    REST,  /* neither attempt nor session: what follows is the owner's goal */
};

/* What a rule means for the choice of the server and for the back-off. */
enum score {
    NOTHING,
    FAILURE, /* of a server: the next one */
    LOSS,    /* of a session */
    SUCCESS, /* of a server */
    PROOF,   /* of a session */
};

struct rule {
    enum course course;
    enum uplink_phase phase; /* of TO and OPENS */
    enum score score;
};

static const struct rule rules[UPLINK_PHASES][UPLINK_INPUTS] =
    {
        [UPLINK_IDLE] =
            {
                [UPLINK_START] = {TO, UPLINK_WAITING, NOTHING},
                [UPLINK_STOP] = {.course = STAY},
            },
        [UPLINK_WAITING] =
            {
                [UPLINK_TIMER] = {TO, UPLINK_CONNECTING, NOTHING},
                [UPLINK_CHANGE] = {.course = REST},
                [UPLINK_STOP] = {.course = REST},
            },
        [UPLINK_CONNECTING] =
            {
                [UPLINK_TIMER] = {TO, UPLINK_OVERDUE, NOTHING},
                [UPLINK_LOGGED_IN] = {OPENS, UPLINK_SUBSCRIBING, NOTHING},
                [UPLINK_CONNECTED] = {OPENS, UPLINK_UP, SUCCESS},
                [UPLINK_FAILED] = {.course = REST, .score = FAILURE},
                [UPLINK_LOST] = {.course = REST, .score = FAILURE},
                [UPLINK_CHANGE] = {.course = STAY},
                [UPLINK_STOP] = {.course = STAY},
            },
        [UPLINK_OVERDUE] =
            {
                [UPLINK_LOGGED_IN] = {OPENS, UPLINK_SUBSCRIBING, NOTHING},
                [UPLINK_CONNECTED] = {OPENS, UPLINK_UP, SUCCESS},
                [UPLINK_FAILED] = {.course = REST, .score = FAILURE},
                [UPLINK_LOST] = {.course = REST, .score = FAILURE},
                [UPLINK_CHANGE] = {.course = STAY},
                [UPLINK_STOP] = {.course = STAY},
            },
        [UPLINK_SUBSCRIBING] =
            {
                [UPLINK_CONNECTED] = {TO, UPLINK_UP, SUCCESS},
                [UPLINK_LOST] = {.course = REST, .score = FAILURE},
                [UPLINK_BROKEN] = {TO, UPLINK_CLOSING, FAILURE},
                [UPLINK_CHANGE] = {TO, UPLINK_CLOSING, NOTHING},
                [UPLINK_STOP] = {TO, UPLINK_CLOSING, NOTHING},
            },
        [UPLINK_UP] =
            {
                [UPLINK_LOST] = {.course = REST, .score = LOSS},
                [UPLINK_BROKEN] = {TO, UPLINK_CLOSING, LOSS},
                [UPLINK_LASTED] = {TO, UPLINK_PROVEN, PROOF},
                [UPLINK_REFUSED] = {TO, UPLINK_CHOKED, NOTHING},
                [UPLINK_CHANGE] = {TO, UPLINK_LEAVING, NOTHING},
                [UPLINK_STOP] = {TO, UPLINK_LEAVING, NOTHING},
            },
        [UPLINK_PROVEN] =
            {
                [UPLINK_LOST] = {.course = REST, .score = LOSS},
                [UPLINK_BROKEN] = {TO, UPLINK_CLOSING, LOSS},
                [UPLINK_REFUSED] = {TO, UPLINK_CHOKED, NOTHING},
                [UPLINK_CHANGE] = {TO, UPLINK_LEAVING, NOTHING},
                [UPLINK_STOP] = {TO, UPLINK_LEAVING, NOTHING},
            },
        [UPLINK_CHOKED] =
            {
                [UPLINK_LOST] = {.course = REST, .score = LOSS},
                [UPLINK_BROKEN] = {TO, UPLINK_CLOSING, LOSS},
                [UPLINK_CHANGE] = {TO, UPLINK_LEAVING, NOTHING},
                [UPLINK_STOP] = {TO, UPLINK_LEAVING, NOTHING},
            },
        [UPLINK_LEAVING] =
            {
                [UPLINK_TIMER] = {TO, UPLINK_CLOSING, NOTHING},
                [UPLINK_LOST] = {.course = REST},
                [UPLINK_DRAINED] = {TO, UPLINK_CLOSING, NOTHING},
                [UPLINK_CHANGE] = {.course = STAY},
                [UPLINK_STOP] = {.course = STAY},
            },
        [UPLINK_CLOSING] =
            {
                [UPLINK_TIMER] = {.course = STAY}, /* Paho is asked again */
                [UPLINK_LOST] = {.course = REST},
                [UPLINK_CLOSED] = {.course = REST},
                [UPLINK_CHANGE] = {.course = STAY},
                [UPLINK_STOP] = {.course = STAY},
            },
        [UPLINK_CHANGING] =
            {
                [UPLINK_CHANGE] = {.course = STAY}, /* other settings again */
                [UPLINK_CHANGED] = {TO, UPLINK_WAITING, NOTHING},
                [UPLINK_STOP] = {.course = REST},
            },
};

/* --- servers and back-off --------------------------------------------------------------------- */

void uplink_state_init(struct uplink_state *state, size_t n_servers, int64_t min_ms, int64_t max_ms)
{
    *state = (struct uplink_state){.phase = UPLINK_IDLE, .goal = UPLINK_GOAL_SESSION};
    uplink_state_set_servers(state, n_servers, min_ms, max_ms);
}

void uplink_state_set_servers(struct uplink_state *state, size_t n_servers, int64_t min_ms,
                              int64_t max_ms)
{
    assert(n_servers > 0 && min_ms > 0);
    state->n_servers = n_servers;
    state->server = 0;
    state->tried = 0;
    state->backoff_round = 0;
    state->min_ms = min_ms;
    state->max_ms = max_ms > min_ms ? max_ms : min_ms;
}

static int64_t ceiling_ms(const struct uplink_state *state)
{
    int64_t ceiling = state->min_ms;
    for (uint32_t i = 0; i < state->backoff_round && ceiling < state->max_ms; i++)
        ceiling *= 2;
    return ceiling < state->max_ms ? ceiling : state->max_ms;
}

static int64_t wait_ms(const struct uplink_state *state, uint32_t random)
{
    if (state->tried % state->n_servers != 0)
        return state->min_ms; /* the round is not over: another server may work */
    uint64_t range = (uint64_t)(ceiling_ms(state) - state->min_ms);
    uint64_t part = ((range >> 32) * random) + (((range & UINT32_MAX) * random) >> 32);
    return state->min_ms + (int64_t)part;
}

static void count_round(struct uplink_state *state)
{
    if (state->backoff_round < 62) /* more doublings do not fit in 64 bits */
        state->backoff_round++;
}

static void count_failure(struct uplink_state *state)
{
    state->tried++;
    state->server = (state->server + 1) % state->n_servers;
    if (state->tried % state->n_servers == 0)
        count_round(state);
}

static void keep_score(struct uplink_state *state, enum score score)
{
    switch (score) {
    case NOTHING:
        break;
    case FAILURE:
        count_failure(state);
        break;
    case LOSS:
        count_round(state);
        break;
    case SUCCESS:
        state->tried = 0;
        break;
    case PROOF:
        state->backoff_round = 0;
        break;
    }
}

/* --- a step ----------------------------------------------------------------------------------- */

/* Returns false for what is not possible any more. */
static bool set_goal(struct uplink_state *state, enum uplink_input input)
{
    if (state->goal == UPLINK_GOAL_END && (input == UPLINK_START || input == UPLINK_CHANGE))
        return false;
    if (input == UPLINK_STOP)
        state->goal = UPLINK_GOAL_END;
    else if (input == UPLINK_CHANGE)
        state->goal = UPLINK_GOAL_CHANGE;
    else if (input == UPLINK_CHANGED)
        state->goal = UPLINK_GOAL_SESSION;
    return true;
}

static enum uplink_phase phase_of_rest(const struct uplink_state *state)
{
    switch (state->goal) {
    case UPLINK_GOAL_SESSION:
        return UPLINK_WAITING;
    case UPLINK_GOAL_CHANGE:
        return UPLINK_CHANGING;
    case UPLINK_GOAL_END:
        break;
    }
    return UPLINK_IDLE;
}

static enum uplink_phase next_phase(const struct uplink_state *state, const struct rule *rule)
{
    switch (rule->course) {
    case IMPOSSIBLE:
    case STAY:
        break;
    case TO:
        return rule->phase;
    case OPENS:
        return state->goal == UPLINK_GOAL_SESSION ? rule->phase : UPLINK_CLOSING;
    case REST:
        return phase_of_rest(state);
    }
    return state->phase;
}

int uplink_state_step(struct uplink_state *state, enum uplink_input input, uint32_t random,
                      int64_t *ret_wait_ms)
{
    const struct rule *rule = &rules[state->phase][input];
    if (rule->course == IMPOSSIBLE || !set_goal(state, input))
        return -EPROTO;
    keep_score(state, rule->score);
    state->phase = next_phase(state, rule);
    if (state->phase == UPLINK_WAITING)
        *ret_wait_ms = rule->course == REST ? wait_ms(state, random) : 0;
    return 0;
}
