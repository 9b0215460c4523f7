/*
 * The life of a session, by induction: from any session for which the invariant holds, any input at
 * any time leads to one for which it holds. So it holds after any number of inputs. Bounds: limits
 * as session.c itself lets them pass, times of the clock below 2^52 ms.
 */
#include "tunnel/model/session.c"

#define MAX_NOW_MS (INT64_C(1) << 44)

static bool holds(const struct session *session, const struct session_limits *limits)
{
    switch (session->state) {
    case SESSION_CLOSED:
    case SESSION_WAIT_APPROVAL:
    case SESSION_OPENING:
        return session->opened_ms == 0; /* no lease */
    case SESSION_OPEN:
        return ttl_is_fit(limits, session->ttl_s) && session->opened_ms >= 0 &&
               session->limit_ms == session->opened_ms + limits->max_ttl_s * 1000 &&
               session->deadline_ms <= session->limit_ms &&
               session->active_ms >= session->opened_ms;
    case SESSION_CLOSING:
        return true;
    }
    return false;
}

static bool is_same(const struct session *a, const struct session *b)
{
    return a->state == b->state && a->last_end == b->last_end && a->ttl_s == b->ttl_s &&
           a->opened_ms == b->opened_ms && a->deadline_ms == b->deadline_ms &&
           a->limit_ms == b->limit_ms && a->active_ms == b->active_ms && a->bytes == b->bytes;
}

/* Opens only what was asked for, approved where that is needed, and ready. */
static bool is_legal(enum session_state from, enum session_state to, enum session_input input)
{
    if (to == SESSION_OPEN && from != SESSION_OPEN)
        return from == SESSION_OPENING && input == SESSION_READY;
    if (to == SESSION_OPENING && from == SESSION_WAIT_APPROVAL)
        return input == SESSION_APPROVE;
    if (from == SESSION_CLOSED && to != SESSION_CLOSED)
        return input == SESSION_ASK;
    if (from == SESSION_OPEN)
        return to == SESSION_OPEN || to == SESSION_CLOSING;
    if (from == SESSION_CLOSING)
        return to == SESSION_CLOSING || (to == SESSION_CLOSED && input == SESSION_GONE);
    return true;
}

int main(void)
{
    struct session_limits limits;
    struct session session;
    struct session_event event;
    int64_t now_ms;
    session.state = CASE / 8; /* one of 40 cases at a time: 5 states, 8 inputs */
    event.input = CASE % 8;
    __CPROVER_assume(now_ms >= 0 && now_ms < MAX_NOW_MS);
    _Static_assert(SESSION_GONE == 7 && SESSION_CLOSING == 4, "the cases are all");
    __CPROVER_assume(session.opened_ms <= now_ms && session.active_ms <= now_ms);
    __CPROVER_assume(session.opened_ms >= 0 && session.active_ms >= 0 && session.deadline_ms >= 0);
    __CPROVER_assume(session.deadline_ms < MAX_NOW_MS + MAX_TTL_S * 1000);
    __CPROVER_assume(limits.idle_close_s <= MAX_TTL_S); /* netd.conf allows less */
    __CPROVER_assume(holds(&session, &limits));
    struct session_decision decision = session_decide(&session, &limits, &event, now_ms);
    const struct session *next = &decision.next;

    __CPROVER_assert(holds(next, &limits), "the invariant holds again");
    __CPROVER_assert(is_legal(session.state, next->state, event.input), "a legal transition");
    __CPROVER_assert(decision.refusal == REFUSAL_NONE || is_same(&session, next),
                     "what is refused changes nothing");
    if (next->state == SESSION_OPEN) {
        int64_t cap_ms = next->opened_ms + limits.max_ttl_s * 1000;
        __CPROVER_assert(next->deadline_ms <= cap_ms, "no deadline passes the cap");
        __CPROVER_assert(next->deadline_ms <= now_ms + limits.max_ttl_s * 1000, "from now neither");
    }
    if (session.state == SESSION_OPEN && next->state == SESSION_OPEN) {
        __CPROVER_assert(next->opened_ms == session.opened_ms && next->limit_ms == session.limit_ms,
                         "the cap counts from the first opening");
        __CPROVER_assert(next->deadline_ms == session.deadline_ms ||
                             (event.input == SESSION_EXTEND && now_ms < session.deadline_ms),
                         "only an extension in time moves the deadline");
    }
    if (session.state == SESSION_OPEN && event.input == SESSION_TICK &&
        now_ms >= session.deadline_ms)
        __CPROVER_assert(next->state == SESSION_CLOSING, "the deadline closes");
    if (next->state == SESSION_WAIT_APPROVAL && event.input != SESSION_ASK)
        __CPROVER_assert(next->deadline_ms == session.deadline_ms, "waiting is not prolonged");
    if (limits.needs_approval && session.state == SESSION_CLOSED)
        __CPROVER_assert(next->state != SESSION_OPENING, "no opening without approval");
    __CPROVER_assert(!decision.widens || decision.journal != EVENT_OTHER,
                     "what widens goes to the journal");
    return 0;
}
