/*
 * The life of a session, by induction: from any session for which the invariant holds, any input at
 * any time leads to one for which it holds. So it holds after any number of inputs. Bounds: limits
 * as session.c itself lets them pass, times of the clock below LEASE_MAX_NOW_MS. In place of the
 * arithmetic stands what tests/proof/lease_time.c proves of it.
 */
#define lease_time_after lease_time_after_itself
#include "tunnel/model/lease_time.c"
#undef lease_time_after

#define MAX_CALLS 8

/* What lease_time_after() was asked, and said. */
static struct {
    int64_t now_ms, ttl_s, end_ms;
} calls[MAX_CALLS];
static unsigned n_calls;

int64_t lease_time_after(int64_t now_ms, int64_t ttl_s)
{
    int64_t end_ms; /* any, that keeps to what is proved */
    __CPROVER_assert(now_ms >= 0 && now_ms < LEASE_MAX_NOW_MS, "asked within the clock's bounds");
    __CPROVER_assert(ttl_s >= 0 && ttl_s <= LEASE_MAX_S, "asked within the lease's bounds");
    __CPROVER_assume(end_ms >= now_ms && end_ms - now_ms <= LEASE_MAX_S * 1000);
    for (unsigned i = 0; i < n_calls; i++) {
        __CPROVER_assume(now_ms < calls[i].now_ms || ttl_s < calls[i].ttl_s ||
                         end_ms >= calls[i].end_ms);
        __CPROVER_assume(now_ms > calls[i].now_ms || ttl_s > calls[i].ttl_s ||
                         end_ms <= calls[i].end_ms);
    }
    __CPROVER_assert(n_calls < MAX_CALLS, "room for every call");
    calls[n_calls].now_ms = now_ms;
    calls[n_calls].ttl_s = ttl_s;
    calls[n_calls++].end_ms = end_ms;
    return end_ms;
}

#include "tunnel/model/session.c"

static bool holds(const struct session *session, const struct session_limits *limits)
{
    switch (session->state) {
    case SESSION_CLOSED:
    case SESSION_WAIT_APPROVAL:
    case SESSION_OPENING:
        return session->opened_ms == 0; /* no lease */
    case SESSION_OPEN:
        return ttl_is_fit(limits, session->ttl_s) && session->opened_ms >= 0 &&
               session->limit_ms == lease_time_after(session->opened_ms, limits->max_ttl_s) &&
               session->deadline_ms <= session->limit_ms &&
               session->active_ms >= session->opened_ms;
    case SESSION_CLOSING:
        return true;
    }
    return false;
}

/* Nothing has happened yet that is later than now, and now never goes back. */
static bool is_timely(const struct session *session, int64_t now_ms)
{
    return session->opened_ms >= 0 && session->opened_ms <= now_ms && session->active_ms >= 0 &&
           session->active_ms <= now_ms && session->deadline_ms >= 0 &&
           session->deadline_ms < LEASE_MAX_NOW_MS + LEASE_MAX_S * 1000;
}

static bool is_same(const struct session *a, const struct session *b)
{
    return a->state == b->state && a->last_end == b->last_end && a->ttl_s == b->ttl_s &&
           a->opened_ms == b->opened_ms && a->deadline_ms == b->deadline_ms &&
           a->limit_ms == b->limit_ms && a->active_ms == b->active_ms && a->bytes == b->bytes;
}

/* Opens only what was asked for, approved where that is needed, and ready; closes only for a
 * reason. */
static bool is_legal(enum session_state from, enum session_state to, enum session_input input)
{
    if (to == SESSION_OPEN && from != SESSION_OPEN)
        return from == SESSION_OPENING && input == SESSION_READY;
    if (to == SESSION_CLOSING && from != SESSION_CLOSING && input != SESSION_END)
        return input == SESSION_TICK || (from == SESSION_OPENING && input == SESSION_READY);
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
    __CPROVER_assume(now_ms >= 0 && now_ms < LEASE_MAX_NOW_MS);
    _Static_assert(SESSION_GONE == 7 && SESSION_CLOSING == 4, "the cases are all");
    __CPROVER_assume(is_timely(&session, now_ms));
    __CPROVER_assume(limits.idle_close_s <= LEASE_MAX_S); /* netd.conf allows less */
    __CPROVER_assume(holds(&session, &limits));
    struct session_decision decision = session_decide(&session, &limits, &event, now_ms);
    const struct session *next = &decision.next;

    __CPROVER_assert(holds(next, &limits), "the invariant holds again");
    __CPROVER_assert(is_timely(next, now_ms), "with times that can be");
    __CPROVER_assert(is_legal(session.state, next->state, event.input), "a legal transition");
    __CPROVER_assert(decision.refusal == REFUSAL_NONE || is_same(&session, next),
                     "what is refused changes nothing");
    if (next->state == SESSION_OPEN) {
        int64_t cap_ms = lease_time_after(next->opened_ms, limits.max_ttl_s);
        __CPROVER_assert(next->deadline_ms <= cap_ms, "no deadline passes the cap");
        __CPROVER_assert(next->deadline_ms <= lease_time_after(now_ms, limits.max_ttl_s),
                         "from now neither");
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
    if (session.state == SESSION_CLOSED && next->state != SESSION_CLOSED)
        __CPROVER_assert(next->ttl_s >= 1 && next->ttl_s <= limits.max_ttl_s,
                         "nothing is asked for longer than the site permits");
    if (session.state == SESSION_WAIT_APPROVAL && now_ms >= session.deadline_ms)
        __CPROVER_assert(next->state != SESSION_OPENING, "no approval after its time");
    if (limits.needs_approval && session.state == SESSION_CLOSED)
        __CPROVER_assert(next->state != SESSION_OPENING, "no opening without approval");
    __CPROVER_assert(!decision.widens || decision.journal != EVENT_OTHER,
                     "what widens goes to the journal");
    return 0;
}
