/*
 * One tunnel session: which input is taken in which state, and what follows. The table says what
 * is legal; one small function per cell does the arithmetic.
 */
#include "tunnel/model/session.h"

#include "tunnel/model/lease_time.h"

#include <stddef.h>

#define RETRY_MS 1000 /* between two attempts to remove the rest */

const char *const session_state_names[] = {
    [SESSION_CLOSED] = "closed", [SESSION_WAIT_APPROVAL] = "waiting", [SESSION_OPENING] = "opening",
    [SESSION_OPEN] = "open",     [SESSION_CLOSING] = "closing",
};

const char *const session_end_names[] = {
    [SESSION_END_NONE] = "none",
    [SESSION_END_EXPIRED] = "expired",
    [SESSION_END_IDLE] = "idle",
    [SESSION_END_CLOSED_BY_OPERATOR] = "closed-by-operator",
    [SESSION_END_CLOSED_LOCALLY] = "closed-locally",
    [SESSION_END_TAMPERED] = "tampered",
    [SESSION_END_SHUTDOWN] = "shutdown",
    [SESSION_END_FAILED] = "failed",
    [SESSION_END_NOT_APPROVED] = "not-approved",
    [SESSION_END_HUB_UNREACHABLE] = "hub-unreachable",
};

typedef void step(const struct session_limits *limits, const struct session_event *event,
                  int64_t now_ms, struct session_decision *decision);

static void session_refuse(struct session_decision *decision, enum refusal refusal)
{
    decision->refusal = refusal;
}

static bool ttl_is_fit(const struct session_limits *limits, int64_t ttl_s)
{
    return limits->idle_close_s > 0 && lease_time_is_fit(ttl_s, limits->max_ttl_s);
}

static void begin_opening(int64_t now_ms, struct session_decision *decision)
{
    decision->next.state = SESSION_OPENING;
    decision->next.deadline_ms = now_ms + SESSION_OPENING_MS;
    decision->action = SESSION_ACT_BRING_UP;
    decision->journal = EVENT_TUNNEL_OPENING;
    decision->widens = true;
}

static void begin_closing(enum session_end end, int64_t now_ms, struct session_decision *decision)
{
    decision->next.state = SESSION_CLOSING;
    decision->next.last_end = end;
    decision->next.deadline_ms = now_ms + RETRY_MS;
    decision->action = SESSION_ACT_REMOVE;
    decision->journal = EVENT_TUNNEL_CLOSING;
}

static void session_ask(const struct session_limits *limits, const struct session_event *event,
                        int64_t now_ms, struct session_decision *decision)
{
    if (!ttl_is_fit(limits, event->ttl_s)) {
        session_refuse(decision, REFUSAL_BAD_TTL);
        return;
    }
    decision->next = (struct session){.last_end = decision->next.last_end, .ttl_s = event->ttl_s};
    if (!limits->needs_approval) {
        begin_opening(now_ms, decision);
        return;
    }
    decision->next.state = SESSION_WAIT_APPROVAL;
    decision->next.deadline_ms = now_ms + SESSION_APPROVAL_MS;
    decision->journal = EVENT_TUNNEL_WAITING;
    decision->widens = true;
}

static void already_open(const struct session_limits *limits, const struct session_event *event,
                         int64_t now_ms, struct session_decision *decision)
{
    (void)limits, (void)event, (void)now_ms;
    session_refuse(decision, REFUSAL_ALREADY_OPEN);
}

static void not_open(const struct session_limits *limits, const struct session_event *event,
                     int64_t now_ms, struct session_decision *decision)
{
    (void)limits, (void)event, (void)now_ms;
    session_refuse(decision, REFUSAL_NOT_OPEN);
}

static void ignore(const struct session_limits *limits, const struct session_event *event,
                   int64_t now_ms, struct session_decision *decision)
{
    (void)limits, (void)event, (void)now_ms, (void)decision;
}

static void session_approve(const struct session_limits *limits, const struct session_event *event,
                            int64_t now_ms, struct session_decision *decision)
{
    (void)event;
    if (now_ms >= decision->next.deadline_ms || !ttl_is_fit(limits, decision->next.ttl_s))
        session_refuse(decision, REFUSAL_NOT_APPROVED);
    else
        begin_opening(now_ms, decision);
}

/* The time begins with the lease, not with the request: approval and handshake cost none of it. */
static void ready(const struct session_limits *limits, const struct session_event *event,
                  int64_t now_ms, struct session_decision *decision)
{
    (void)event;
    if (!ttl_is_fit(limits, decision->next.ttl_s)) {
        begin_closing(SESSION_END_FAILED, now_ms, decision);
        return;
    }
    decision->next.state = SESSION_OPEN;
    decision->next.opened_ms = decision->next.active_ms = now_ms;
    decision->next.deadline_ms = lease_time_after(now_ms, decision->next.ttl_s);
    decision->next.limit_ms = lease_time_after(now_ms, limits->max_ttl_s);
    decision->action = SESSION_ACT_LEASE;
    decision->journal = EVENT_TUNNEL_OPENED;
    decision->widens = true;
}

/* An extension reaches further than before, and never past the limit of the first opening. */
static void session_extend(const struct session_limits *limits, const struct session_event *event,
                           int64_t now_ms, struct session_decision *decision)
{
    if (now_ms >= decision->next.deadline_ms) {
        session_refuse(decision, REFUSAL_NOT_OPEN);
        return;
    }
    if (!ttl_is_fit(limits, event->ttl_s)) {
        session_refuse(decision, REFUSAL_BAD_TTL);
        return;
    }
    int64_t deadline_ms = lease_time_after(now_ms, event->ttl_s);
    if (!lease_time_may_become(decision->next.deadline_ms, deadline_ms, decision->next.limit_ms)) {
        session_refuse(decision, REFUSAL_BAD_TTL);
    } else {
        decision->next.ttl_s = event->ttl_s;
        decision->next.deadline_ms = deadline_ms;
        decision->action = SESSION_ACT_RELEASE;
        decision->journal = EVENT_TUNNEL_EXTENDED;
        decision->widens = true;
    }
}

static void end(const struct session_limits *limits, const struct session_event *event,
                int64_t now_ms, struct session_decision *decision)
{
    (void)limits;
    begin_closing(event->end, now_ms, decision);
}

static void tick_waiting(const struct session_limits *limits, const struct session_event *event,
                         int64_t now_ms, struct session_decision *decision)
{
    (void)limits, (void)event;
    if (now_ms >= decision->next.deadline_ms)
        begin_closing(SESSION_END_NOT_APPROVED, now_ms, decision);
}

static void tick_opening(const struct session_limits *limits, const struct session_event *event,
                         int64_t now_ms, struct session_decision *decision)
{
    (void)limits, (void)event;
    if (now_ms >= decision->next.deadline_ms)
        begin_closing(SESSION_END_HUB_UNREACHABLE, now_ms, decision);
}

static void tick_open(const struct session_limits *limits, const struct session_event *event,
                      int64_t now_ms, struct session_decision *decision)
{
    (void)event;
    if (now_ms >= decision->next.deadline_ms)
        begin_closing(SESSION_END_EXPIRED, now_ms, decision);
    else if (now_ms >= lease_time_after(decision->next.active_ms, limits->idle_close_s))
        begin_closing(SESSION_END_IDLE, now_ms, decision);
}

static void tick_closing(const struct session_limits *limits, const struct session_event *event,
                         int64_t now_ms, struct session_decision *decision)
{
    (void)limits, (void)event;
    if (now_ms < decision->next.deadline_ms)
        return;
    decision->next.deadline_ms = now_ms + RETRY_MS;
    decision->action = SESSION_ACT_REMOVE;
}

static void traffic(const struct session_limits *limits, const struct session_event *event,
                    int64_t now_ms, struct session_decision *decision)
{
    (void)limits;
    if (event->bytes == decision->next.bytes)
        return;
    decision->next.bytes = event->bytes;
    decision->next.active_ms = now_ms;
}

/* A session that never opened was refused; one that did was closed. */
static void gone(const struct session_limits *limits, const struct session_event *event,
                 int64_t now_ms, struct session_decision *decision)
{
    (void)limits, (void)event, (void)now_ms;
    decision->journal = decision->next.opened_ms ? EVENT_TUNNEL_CLOSED : EVENT_TUNNEL_REFUSED;
    decision->next = (struct session){.last_end = decision->next.last_end};
}

/* clang-format off: a table is read in columns */
static step *const steps[SESSION_CLOSING + 1][SESSION_GONE + 1] = {
    /*                          ASK           APPROVE   READY   EXTEND    END       TICK
                                TRAFFIC       GONE */
    [SESSION_CLOSED] = {session_ask, not_open, ignore, not_open, not_open, ignore, ignore, ignore},
    [SESSION_WAIT_APPROVAL] = {already_open, session_approve, ignore, not_open, end, tick_waiting,
                               ignore, ignore},
    [SESSION_OPENING] = {already_open, not_open, ready, not_open, end, tick_opening, ignore,
                         ignore},
    [SESSION_OPEN] = {already_open, not_open, ignore, session_extend, end, tick_open, traffic,
                      ignore},
    [SESSION_CLOSING] = {already_open, not_open, ignore, not_open, not_open, tick_closing, ignore,
                         gone},
};
/* clang-format on */

void session_init(struct session *session)
{
    *session = (struct session){.state = SESSION_CLOSED};
}

struct session_decision session_decide(const struct session *session,
                                       const struct session_limits *limits,
                                       const struct session_event *event, int64_t now_ms)
{
    struct session_decision decision = {.next = *session};
    steps[session->state][event->input](limits, event, now_ms, &decision);
    return decision;
}

int64_t session_next_tick_ms(const struct session *session, const struct session_limits *limits)
{
    switch (session->state) {
    case SESSION_CLOSED:
        return INT64_MAX;
    case SESSION_WAIT_APPROVAL:
    case SESSION_OPENING:
    case SESSION_CLOSING:
        return session->deadline_ms;
    case SESSION_OPEN: {
        int64_t idle_ms = lease_time_after(session->active_ms, limits->idle_close_s);
        return idle_ms < session->deadline_ms ? idle_ms : session->deadline_ms;
    }
    }
    return INT64_MAX;
}
