/* The transition table of the session to the broker, its back-off and its window. */
#include "agent/uplink/uplink_state.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

const char *uplink_phase_name(enum uplink_phase phase)
{
    switch (phase) {
    case UPLINK_IDLE:
        return "idle";
    case UPLINK_CONNECTING:
        return "connecting";
    case UPLINK_UP:
        return "up";
    case UPLINK_CLOSING:
        return "closing";
    case UPLINK_WAITING:
        return "waiting";
    }
    return "?";
}

void uplink_state_init(struct uplink_state *state, size_t n_servers, int64_t min_ms, int64_t max_ms)
{
    assert(n_servers > 0 && min_ms > 0);
    *state = (struct uplink_state){
        .phase = UPLINK_IDLE,
        .n_servers = n_servers,
        .min_ms = min_ms,
        .max_ms = max_ms > min_ms ? max_ms : min_ms,
    };
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
        return state->min_ms; /* the round is not over: another server may be well */
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

/* There is neither an attempt nor a session any more. */
static void rest(struct uplink_state *state, uint32_t random, int64_t *ret_wait_ms)
{
    if (state->stopping) {
        state->phase = UPLINK_IDLE;
        return;
    }
    state->phase = UPLINK_WAITING;
    *ret_wait_ms = wait_ms(state, random);
}

static int step_idle(struct uplink_state *state, enum uplink_input input)
{
    if (input == UPLINK_STOP)
        return 0;
    if (input != UPLINK_START || state->stopping)
        return -EPROTO;
    state->phase = UPLINK_CONNECTING;
    return 0;
}

static int step_connecting(struct uplink_state *state, enum uplink_input input, uint32_t random,
                           int64_t *ret_wait_ms)
{
    switch (input) {
    case UPLINK_CONNECTED:
        state->tried = 0;
        state->phase = state->stopping ? UPLINK_CLOSING : UPLINK_UP;
        return 0;
    case UPLINK_FAILED:
    case UPLINK_LOST: /* between the login and the subscription */
        count_failure(state);
        rest(state, random, ret_wait_ms);
        return 0;
    case UPLINK_BROKEN: /* logged in, but the subscription was refused or not answered */
        count_failure(state);
        state->phase = UPLINK_CLOSING;
        return 0;
    case UPLINK_STOP: /* an attempt cannot be called off: wait for its end */
        state->stopping = true;
        return 0;
    case UPLINK_START:
    case UPLINK_TIMER:
    case UPLINK_CLOSED:
    case UPLINK_PROVEN:
        return -EPROTO;
    }
    return -EPROTO;
}

static int step_up(struct uplink_state *state, enum uplink_input input, uint32_t random,
                   int64_t *ret_wait_ms)
{
    switch (input) {
    case UPLINK_LOST:
        count_round(state);
        rest(state, random, ret_wait_ms);
        return 0;
    case UPLINK_BROKEN:
        count_round(state);
        state->phase = UPLINK_CLOSING;
        return 0;
    case UPLINK_PROVEN:
        state->backoff_round = 0;
        return 0;
    case UPLINK_STOP:
        state->stopping = true;
        state->phase = UPLINK_CLOSING;
        return 0;
    case UPLINK_START:
    case UPLINK_TIMER:
    case UPLINK_CONNECTED:
    case UPLINK_FAILED:
    case UPLINK_CLOSED:
        return -EPROTO;
    }
    return -EPROTO;
}

static int step_closing(struct uplink_state *state, enum uplink_input input, uint32_t random,
                        int64_t *ret_wait_ms)
{
    if (input == UPLINK_STOP) {
        state->stopping = true;
        return 0;
    }
    if (input != UPLINK_CLOSED && input != UPLINK_LOST)
        return -EPROTO;
    rest(state, random, ret_wait_ms);
    return 0;
}

static int step_waiting(struct uplink_state *state, enum uplink_input input)
{
    if (input == UPLINK_TIMER) {
        state->phase = UPLINK_CONNECTING;
        return 0;
    }
    if (input != UPLINK_STOP)
        return -EPROTO;
    state->stopping = true;
    state->phase = UPLINK_IDLE;
    return 0;
}

int uplink_state_step(struct uplink_state *state, enum uplink_input input, uint32_t random,
                      int64_t *ret_wait_ms)
{
    switch (state->phase) {
    case UPLINK_IDLE:
        return step_idle(state, input);
    case UPLINK_CONNECTING:
        return step_connecting(state, input, random, ret_wait_ms);
    case UPLINK_UP:
        return step_up(state, input, random, ret_wait_ms);
    case UPLINK_CLOSING:
        return step_closing(state, input, random, ret_wait_ms);
    case UPLINK_WAITING:
        return step_waiting(state, input);
    }
    return -EPROTO;
}

void uplink_window_init(struct uplink_window *window, struct uplink_flight *flights,
                        size_t capacity)
{
    assert(capacity > 0);
    *window = (struct uplink_window){.flights = flights, .capacity = capacity};
}

void uplink_window_clear(struct uplink_window *window)
{
    window->head = 0;
    window->span = 0;
    window->in_flight = 0;
}

bool uplink_window_is_full(const struct uplink_window *window)
{
    return window->span == window->capacity;
}

static struct uplink_flight *flight_at(const struct uplink_window *window, size_t index)
{
    return &window->flights[(window->head + index) % window->capacity];
}

void uplink_window_add(struct uplink_window *window, int token, uint64_t tag, int64_t now_ns)
{
    assert(!uplink_window_is_full(window));
    *flight_at(window, window->span) =
        (struct uplink_flight){.token = token, .tag = tag, .sent_ns = now_ns};
    window->span++;
    window->in_flight++;
}

bool uplink_window_acknowledge(struct uplink_window *window, int token, uint64_t *ret_tag)
{
    size_t at = 0; /* brokers acknowledge in order, so the first is nearly always the one */
    while (at < window->span &&
           (flight_at(window, at)->done || flight_at(window, at)->token != token))
        at++;
    if (at == window->span)
        return false;
    struct uplink_flight *flight = flight_at(window, at);
    *ret_tag = flight->tag;
    flight->done = true;
    window->in_flight--;
    while (window->span > 0 && flight_at(window, 0)->done) {
        window->head = (window->head + 1) % window->capacity;
        window->span--;
    }
    return true;
}

int64_t uplink_window_oldest_ns(const struct uplink_window *window)
{
    return window->span > 0 ? flight_at(window, 0)->sent_ns : INT64_MAX;
}
