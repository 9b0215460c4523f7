/* One tunnel session: the table, and every path of five steps through it. */
#include "tunnel/model/session.h"

#include "agent/base/macros.h"
#include "tests/support/test.h"

#include <string.h>

static const struct session_limits limits = {.max_ttl_s = 10, .idle_close_s = 4};
static const struct session_limits with_approval = {
    .max_ttl_s = 10, .idle_close_s = 4, .needs_approval = true};

static struct session_decision decide(struct session *session, const struct session_limits *with,
                                      struct session_event event, int64_t now_ms)
{
    struct session_decision decision = session_decide(session, with, &event, now_ms);
    if (decision.refusal == REFUSAL_NONE)
        *session = decision.next;
    return decision;
}

static struct session make_open(int64_t ttl_s)
{
    struct session session;
    session_init(&session);
    (void)decide(&session, &limits, (struct session_event){.input = SESSION_ASK, .ttl_s = ttl_s},
                 1000);
    (void)decide(&session, &limits, (struct session_event){.input = SESSION_READY}, 2000);
    return session;
}

static void test_opens(void)
{
    struct session session;
    session_init(&session);
    struct session_decision decision =
        decide(&session, &limits, (struct session_event){.input = SESSION_ASK, .ttl_s = 5}, 1000);
    CU_ASSERT_EQUAL(decision.action, SESSION_ACT_BRING_UP);
    CU_ASSERT_TRUE(decision.widens);
    CU_ASSERT_EQUAL(decision.journal, EVENT_TUNNEL_OPENING);
    decision = decide(&session, &limits, (struct session_event){.input = SESSION_READY}, 3000);
    CU_ASSERT_EQUAL(decision.action, SESSION_ACT_LEASE);
    CU_ASSERT_TRUE(decision.widens);
    CU_ASSERT_EQUAL(decision.journal, EVENT_TUNNEL_OPENED);
    CU_ASSERT_EQUAL(session.deadline_ms, 8000); /* the time begins with the lease */
    decision = decide(&session, &limits, (struct session_event){.input = SESSION_TICK}, 6999);
    CU_ASSERT_EQUAL(session.state, SESSION_OPEN);
    decision = decide(&session, &limits,
                      (struct session_event){.input = SESSION_TRAFFIC, .bytes = 9}, 6000);
    decision = decide(&session, &limits, (struct session_event){.input = SESSION_TICK}, 8000);
    CU_ASSERT_EQUAL(decision.action, SESSION_ACT_REMOVE);
    CU_ASSERT_EQUAL(session.last_end, SESSION_END_EXPIRED);
    decision = decide(&session, &limits, (struct session_event){.input = SESSION_GONE}, 8100);
    CU_ASSERT_EQUAL(decision.journal, EVENT_TUNNEL_CLOSED);
    CU_ASSERT_EQUAL(session.state, SESSION_CLOSED);
    CU_ASSERT_EQUAL(session.last_end, SESSION_END_EXPIRED);
}

static void test_bad_ttl(void)
{
    static const int64_t bad[] = {0, -1, 11, INT64_MAX, INT64_MIN};
    struct session session, open = make_open(5);
    session_init(&session);
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        struct session_event ask = {.input = SESSION_ASK, .ttl_s = bad[i]};
        CU_ASSERT_EQUAL(session_decide(&session, &limits, &ask, 0).refusal, REFUSAL_BAD_TTL);
        struct session_event extend = {.input = SESSION_EXTEND, .ttl_s = bad[i]};
        CU_ASSERT_EQUAL(session_decide(&open, &limits, &extend, 2500).refusal, REFUSAL_BAD_TTL);
    }
    struct session_event ask = {.input = SESSION_ASK, .ttl_s = 5};
    struct session_limits zero = {.max_ttl_s = 0, .idle_close_s = 4};
    CU_ASSERT_EQUAL(session_decide(&session, &zero, &ask, 0).refusal, REFUSAL_BAD_TTL);
    zero = (struct session_limits){.max_ttl_s = 10, .idle_close_s = 0};
    CU_ASSERT_EQUAL(session_decide(&session, &zero, &ask, 0).refusal, REFUSAL_BAD_TTL);
}

static void test_extend(void)
{
    struct session session = make_open(5); /* opened at 2000, until 7000, never past 12000 */
    struct session_decision decision = decide(
        &session, &limits, (struct session_event){.input = SESSION_EXTEND, .ttl_s = 8}, 3000);
    CU_ASSERT_EQUAL(decision.action, SESSION_ACT_RELEASE);
    CU_ASSERT_TRUE(decision.widens);
    CU_ASSERT_EQUAL(session.deadline_ms, 11000);
    decision = decide(&session, &limits,
                      (struct session_event){.input = SESSION_EXTEND, .ttl_s = 5}, 5000);
    CU_ASSERT_EQUAL(decision.refusal, REFUSAL_BAD_TTL); /* would shorten */
    decision = decide(&session, &limits,
                      (struct session_event){.input = SESSION_EXTEND, .ttl_s = 8}, 5000);
    CU_ASSERT_EQUAL(decision.refusal, REFUSAL_BAD_TTL); /* 13000 is past the cap */
    decision = decide(&session, &limits,
                      (struct session_event){.input = SESSION_EXTEND, .ttl_s = 7}, 5000);
    CU_ASSERT_EQUAL(session.deadline_ms, 12000);
    decision = decide(&session, &limits,
                      (struct session_event){.input = SESSION_EXTEND, .ttl_s = 1}, 12000);
    CU_ASSERT_EQUAL(decision.refusal, REFUSAL_NOT_OPEN); /* too late, even before the tick */
}

static void test_idle(void)
{
    struct session session = make_open(10);
    (void)decide(&session, &limits, (struct session_event){.input = SESSION_TRAFFIC, .bytes = 100},
                 5000);
    (void)decide(&session, &limits, (struct session_event){.input = SESSION_TRAFFIC, .bytes = 100},
                 8000); /* nothing new */
    CU_ASSERT_EQUAL(session_next_tick_ms(&session, &limits), 9000);
    (void)decide(&session, &limits, (struct session_event){.input = SESSION_TICK}, 8999);
    CU_ASSERT_EQUAL(session.state, SESSION_OPEN);
    (void)decide(&session, &limits, (struct session_event){.input = SESSION_TICK}, 9000);
    CU_ASSERT_EQUAL(session.state, SESSION_CLOSING);
    CU_ASSERT_EQUAL(session.last_end, SESSION_END_IDLE);
}

static void test_approval(void)
{
    struct session session;
    session_init(&session);
    struct session_decision decision = decide(
        &session, &with_approval, (struct session_event){.input = SESSION_ASK, .ttl_s = 5}, 0);
    CU_ASSERT_EQUAL(decision.action, SESSION_ACT_NOTHING);
    CU_ASSERT_EQUAL(session.state, SESSION_WAIT_APPROVAL);
    struct session late = session;
    decision = decide(&session, &with_approval, (struct session_event){.input = SESSION_APPROVE},
                      SESSION_APPROVAL_MS - 1);
    CU_ASSERT_EQUAL(decision.action, SESSION_ACT_BRING_UP);
    decision = decide(&late, &with_approval, (struct session_event){.input = SESSION_APPROVE},
                      SESSION_APPROVAL_MS);
    CU_ASSERT_EQUAL(decision.refusal, REFUSAL_NOT_APPROVED);
    (void)decide(&late, &with_approval, (struct session_event){.input = SESSION_TICK},
                 SESSION_APPROVAL_MS);
    CU_ASSERT_EQUAL(late.last_end, SESSION_END_NOT_APPROVED);
    decision = decide(&late, &with_approval, (struct session_event){.input = SESSION_GONE},
                      SESSION_APPROVAL_MS);
    CU_ASSERT_EQUAL(decision.journal, EVENT_TUNNEL_REFUSED);
}

static void test_unreachable(void)
{
    struct session session;
    session_init(&session);
    (void)decide(&session, &limits, (struct session_event){.input = SESSION_ASK, .ttl_s = 5}, 0);
    CU_ASSERT_TRUE(session_next_tick_ms(&session, &limits) <= 20000);
    (void)decide(&session, &limits, (struct session_event){.input = SESSION_TICK}, 20000);
    CU_ASSERT_EQUAL(session.last_end, SESSION_END_HUB_UNREACHABLE);
    (void)decide(&session, &limits, (struct session_event){.input = SESSION_READY}, 20001);
    CU_ASSERT_EQUAL(session.state, SESSION_CLOSING); /* a late answer opens nothing */
}

static void test_removal_is_retried(void)
{
    struct session session = make_open(5);
    (void)decide(&session, &limits,
                 (struct session_event){.input = SESSION_END, .end = SESSION_END_CLOSED_LOCALLY},
                 3000);
    for (int64_t now_ms = 4000; now_ms < 8000; now_ms += 1000) {
        CU_ASSERT_EQUAL(session_next_tick_ms(&session, &limits), now_ms);
        struct session_decision decision =
            decide(&session, &limits, (struct session_event){.input = SESSION_TICK}, now_ms);
        CU_ASSERT_EQUAL(decision.action, SESSION_ACT_REMOVE);
    }
}

/* ---- Every path ---- */

static const struct session_event events[] = {
    {.input = SESSION_ASK, .ttl_s = 10},
    {.input = SESSION_ASK, .ttl_s = 2},
    {.input = SESSION_ASK, .ttl_s = 0},
    {.input = SESSION_APPROVE},
    {.input = SESSION_READY},
    {.input = SESSION_EXTEND, .ttl_s = 10},
    {.input = SESSION_EXTEND, .ttl_s = 3},
    {.input = SESSION_END, .end = SESSION_END_TAMPERED},
    {.input = SESSION_TICK},
    {.input = SESSION_TRAFFIC, .bytes = 1},
    {.input = SESSION_GONE},
};

struct walk {
    const struct session_limits *limits;
    size_t decisions, opened, broken;
};

/* What must hold for each single decision. Returns whether it does. */
static bool holds(const struct walk *walk, const struct session *from,
                  const struct session_event *event, const struct session_decision *decision,
                  int64_t now_ms)
{
    const struct session *to = &decision->next;
    if (decision->refusal != REFUSAL_NONE)
        return decision->action == SESSION_ACT_NOTHING && !decision->journal;
    bool lets_more =
        (from->state != to->state && (to->state == SESSION_OPEN || to->state == SESSION_OPENING ||
                                      to->state == SESSION_WAIT_APPROVAL)) ||
        (from->state == SESSION_OPEN && to->state == SESSION_OPEN &&
         to->deadline_ms > from->deadline_ms);
    if (lets_more != decision->widens || (lets_more && !decision->journal))
        return false; /* nothing opens or grows without a line that is safe first */
    if ((from->state != to->state) && !decision->journal)
        return false;
    if (from->state != SESSION_OPEN && to->state == SESSION_OPEN &&
        (from->state != SESSION_OPENING || event->input != SESSION_READY))
        return false;
    if (to->state == SESSION_OPENING && from->state != SESSION_OPENING &&
        walk->limits->needs_approval && from->state != SESSION_WAIT_APPROVAL)
        return false; /* no way round the approval */
    if (to->state == SESSION_OPEN &&
        (to->deadline_ms > to->limit_ms ||
         to->limit_ms != to->opened_ms + walk->limits->max_ttl_s * 1000))
        return false;
    if (from->state == SESSION_OPEN && to->state == SESSION_OPEN &&
        (to->opened_ms != from->opened_ms || to->limit_ms != from->limit_ms))
        return false; /* the cap counts from the first opening */
    if (from->state == SESSION_OPEN && event->input == SESSION_TICK &&
        now_ms >= from->deadline_ms && decision->action != SESSION_ACT_REMOVE)
        return false;
    return to->state != SESSION_CLOSED || from->state == SESSION_CLOSED ||
           (from->state == SESSION_CLOSING && event->input == SESSION_GONE);
}

static void walk_on(struct walk *walk, const struct session *session, int64_t now_ms, int depth)
{
    for (size_t i = 0; depth > 0 && i < ARRAY_LENGTH(events); i++) {
        for (int64_t later_ms = now_ms; later_ms <= now_ms + 6000; later_ms += 3000) {
            struct session_decision decision =
                session_decide(session, walk->limits, &events[i], later_ms);
            walk->decisions++;
            walk->broken += !holds(walk, session, &events[i], &decision, later_ms);
            if (decision.refusal != REFUSAL_NONE ||
                memcmp(&decision.next, session, sizeof(*session)) == 0)
                continue;
            walk->opened += decision.action == SESSION_ACT_LEASE;
            walk_on(walk, &decision.next, later_ms, depth - 1);
        }
    }
}

static void test_every_path(void)
{
    struct session session;
    session_init(&session);
    struct walk plain = {.limits = &limits}, approved = {.limits = &with_approval};
    walk_on(&plain, &session, 1, 6);
    walk_on(&approved, &session, 1, 7);
    CU_ASSERT_EQUAL(plain.broken, 0);
    CU_ASSERT_EQUAL(approved.broken, 0);
    CU_ASSERT_TRUE(plain.opened > 0 && approved.opened > 0);
    CU_ASSERT_TRUE(plain.decisions > 10000 && approved.decisions > 10000);
}

TEST_MAIN("session", {"a session opens, lives for its time, and expires", test_opens},
          {"no, negative and too long times are refused", test_bad_ttl},
          {"an extension lengthens, and never passes the cap", test_extend},
          {"without payload it is closed; keepalives are no payload", test_idle},
          {"with approval it waits for 15 minutes and no longer", test_approval},
          {"a hub that does not answer within 20 s ends it", test_unreachable},
          {"removal is tried until it is done", test_removal_is_retried},
          {"every path of some steps keeps the rules", test_every_path})
