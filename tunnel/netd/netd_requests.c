/* What each verb of the protocol does: one function each, one table of them. */
#include "tunnel/netd/netd.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/base/text.h"
#include "tunnel/netd/config_trial.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COUNTERS_MS 1000 /* so long an answer is good for whoever asks again */

typedef enum netd_server_answer verb_handler(struct netd *netd, const struct netd_server_peer *peer,
                                             const struct wire_message *request,
                                             struct wire_message *reply);

/* Fills a reply that is a verdict and a text. */
static enum netd_server_answer answer(struct wire_message *reply, enum refusal refusal,
                                      const struct strbuf *text)
{
    reply->header.result = (int32_t)refusal;
    text_put(reply->body.text.text, sizeof(reply->body.text.text), strbuf_text(text));
    return NETD_SERVER_ANSWER_NOW;
}

static enum netd_server_answer hello(struct netd *netd, const struct netd_server_peer *peer,
                                     const struct wire_message *request, struct wire_message *reply)
{
    (void)request;
    struct wire_hello *body = &reply->body.hello;
    text_put(body->version, sizeof(body->version), SALLYPORT_VERSION);
    if (netd->config->tunnel.is_configured)
        text_put(body->gateway, sizeof(body->gateway), netd->config->tunnel.gateway);
    body->role = peer->role;
    return NETD_SERVER_ANSWER_NOW;
}

static enum netd_server_answer status(struct netd *netd, const struct netd_server_peer *peer,
                                      const struct wire_message *request,
                                      struct wire_message *reply)
{
    (void)peer, (void)request;
    struct wire_status *body = &reply->body.status;
    struct firewall_posture posture;
    session_control_get_status(netd->session_control, body);
    firewall_get_posture(netd->firewall, &posture);
    body->firewall_state = posture.state;
    body->firewall_exceptions = posture.exceptions;
    body->firewall_reloads = posture.reloads;
    body->firewall_changed_by_pid = posture.changed_by_pid;
    text_put(body->firewall_changed_by, sizeof(body->firewall_changed_by), posture.changed_by);
    text_put(body->firewall_problem, sizeof(body->firewall_problem), posture.problem);
    if (netd->is_unconfirmed && !netd->trial && !posture.problem[0])
        text_put(body->firewall_problem, sizeof(body->firewall_problem),
                 "netd.conf has rules that were tried and not confirmed: those before are "
                 "loaded, also after a restart");
    if (netd->trial) {
        int64_t left_ms = netd->trial_ends_ms - clock_mono_ns() / CLOCK_NS_PER_MS;
        body->is_trying = left_ms > 0 ? (uint32_t)((left_ms + 999) / 1000) : 1;
    }
    return NETD_SERVER_ANSWER_NOW;
}

static enum netd_server_answer counters(struct netd *netd, const struct netd_server_peer *peer,
                                        const struct wire_message *request,
                                        struct wire_message *reply)
{
    (void)peer, (void)request;
    struct wire_counters *body = &reply->body.counters;
    const struct firewall_counters *dropped = &netd->counters;
    int64_t now_ms = clock_mono_ns() / CLOCK_NS_PER_MS;
    if (netd->counters_ms == 0 || now_ms - netd->counters_ms >= COUNTERS_MS) {
        netd->counters_ms = now_ms;
        (void)firewall_get_counters(netd->firewall, &netd->counters);
    }
    body->dropped_in = dropped->dropped_in;
    body->dropped_forward = dropped->dropped_forward;
    body->dropped_out = dropped->dropped_out;
    body->spoofed = dropped->spoofed;
    body->session_bytes = session_control_bytes(netd->session_control);
    netd_server_get_counters(netd->server, &body->refused_peers, &body->refused_requests);
    return NETD_SERVER_ANSWER_NOW;
}

/* Begun and not waiting for a person: the answer comes when the hub has answered, or has not. */
static enum netd_server_answer answer_opening(const struct netd *netd, struct wire_message *reply,
                                              enum refusal refusal, struct strbuf *text)
{
    if (refusal == REFUSAL_NONE && !session_control_is_waiting(netd->session_control))
        return NETD_SERVER_ANSWER_LATER;
    if (refusal == REFUSAL_NONE)
        strbuf_add(text, "waiting for `sallyport tunnel approve` on site, 15 minutes at most");
    return answer(reply, refusal, text);
}

static enum netd_server_answer open_local(struct netd *netd, const struct netd_server_peer *peer,
                                          const struct wire_message *request,
                                          struct wire_message *reply)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    const struct wire_open *body = &request->body.open;
    const struct session_control_request asked = {.services = body->services,
                                                  .n_services = body->n_services,
                                                  .ttl_s = body->ttl_s,
                                                  .opener = peer->name,
                                                  .reason = body->reason};
    return answer_opening(netd, reply, session_control_open(netd->session_control, &asked, &text),
                          &text);
}

static enum netd_server_answer extend(struct netd *netd, const struct netd_server_peer *peer,
                                      const struct wire_message *request,
                                      struct wire_message *reply)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    const struct wire_extend *body = &request->body.extend;
    const struct session_control_asker asker = {.who = peer->name};
    return answer(
        reply,
        session_control_extend(netd->session_control, body->ttl_s, &asker, body->reason, &text),
        &text);
}

static enum netd_server_answer close_session(struct netd *netd, const struct netd_server_peer *peer,
                                             const struct wire_message *request,
                                             struct wire_message *reply)
{
    (void)request;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    enum session_end end =
        peer->role == WIRE_ROLE_AGENT ? SESSION_END_CLOSED_BY_OPERATOR : SESSION_END_CLOSED_LOCALLY;
    const struct session_control_asker asker = {.who = peer->name};
    return answer(reply, session_control_close(netd->session_control, end, &asker, &text), &text);
}

static enum netd_server_answer approve(struct netd *netd, const struct netd_server_peer *peer,
                                       const struct wire_message *request,
                                       struct wire_message *reply)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    uint64_t asked = request->body.approve.asked;
    return answer_opening(netd, reply,
                          session_control_approve(netd->session_control, asked, peer->name, &text),
                          &text);
}

static enum netd_server_answer verify_firewall(struct netd *netd,
                                               const struct netd_server_peer *peer,
                                               const struct wire_message *request,
                                               struct wire_message *reply)
{
    (void)peer, (void)request;
    struct firewall_posture posture;
    struct wire_verdict *body = &reply->body.verdict;
    int result = firewall_verify(netd->firewall);
    firewall_get_posture(netd->firewall, &posture);
    body->firewall_state = posture.state;
    body->was_mended = result == 1;
    if (result < 0 && !posture.problem[0])
        text_put(body->text, sizeof(body->text), strerror(-result));
    else
        text_put(body->text, sizeof(body->text), posture.problem);
    if (result < 0)
        reply->header.result = REFUSAL_FAILED;
    return NETD_SERVER_ANSWER_NOW;
}

static void journal_by(struct netd *netd, enum event_kind kind, const char *who)
{
    struct event event;
    event_init(&event, kind, clock_wall_ms());
    event_add_text(&event, MEMBER_BY, who);
    netd_journal(netd, &event);
}

static enum netd_server_answer acknowledge(struct netd *netd, const struct netd_server_peer *peer,
                                           const struct wire_message *request,
                                           struct wire_message *reply)
{
    (void)request;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    if (firewall_acknowledge(netd->firewall, &text) < 0)
        return answer(reply, REFUSAL_FAILED, &text);
    journal_by(netd, EVENT_FIREWALL_ACKNOWLEDGED, peer->name);
    return answer(reply, REFUSAL_NONE, &text);
}

static int on_trial_end(sd_event_source *source, uint64_t usec, void *context)
{
    (void)source, (void)usec;
    netd_end_trial(context);
    return 0;
}

/* Loads the file for a trial, and puts on record what a restart in its midst comes back with. */
static int prepare_trial(struct netd *netd, struct netd_config **ret_fresh, struct strbuf *text)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    struct netd_config *fresh = NULL;
    if (netd_config_load(netd->config_path, &findings, &fresh) < 0) {
        findings_sort(&findings);
        findings_print(&findings, text);
        return -EINVAL;
    }
    const char *group = netd_config_difference(netd->config, fresh);
    int problem =
        group ? -EINVAL : config_trial_begin(netd->rules ? netd->rules : netd->config, fresh);
    if (problem == 0) {
        netd->is_unconfirmed = true;
        *ret_fresh = fresh;
        return 0;
    }
    if (group)
        strbuf_addf(text,
                    "`%s` is not as it was when netd started: a trial is for `firewall` "
                    "alone; restart sallyport-netd for the rest",
                    group);
    else
        strbuf_addf(text, "what is confirmed now cannot be written down: %s", strerror(-problem));
    netd_config_free(fresh);
    return problem;
}

static int begin_trial(struct netd *netd, uint32_t confirm_s, struct strbuf *text)
{
    struct netd_config *fresh = NULL;
    int problem = prepare_trial(netd, &fresh, text);
    if (problem < 0)
        return problem;
    netd->trial_ends_ms = clock_mono_ns() / CLOCK_NS_PER_MS + confirm_s * INT64_C(1000);
    /* The timer first: once the firewall uses FRESH, nothing can fail any more. */
    problem = sd_event_add_time_relative(netd->loop, &netd->trial_ends, CLOCK_MONOTONIC,
                                         confirm_s * UINT64_C(1000000), 1000, on_trial_end, netd);
    if (problem >= 0)
        problem = firewall_try(netd->firewall, fresh, text);
    if (problem < 0) {
        netd->trial_ends = sd_event_source_disable_unref(netd->trial_ends);
        netd_config_free(fresh);
        return problem;
    }
    netd->trial = fresh;
    egress_resolver_follow(netd->lookup, fresh);
    return 0;
}

static enum netd_server_answer try_firewall(struct netd *netd, const struct netd_server_peer *peer,
                                            const struct wire_message *request,
                                            struct wire_message *reply)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    struct event event;
    if (netd->trial) {
        strbuf_add(&text, "other rules are being tried already");
        return answer(reply, REFUSAL_ALREADY_OPEN, &text);
    }
    event_init(&event, EVENT_FIREWALL_TRIAL, clock_wall_ms());
    event_add_text(&event, MEMBER_BY, peer->name);
    event_add_number(&event, MEMBER_CONFIRM_S, request->body.try.confirm_s);
    if (journal_write(netd->journal, &event) < 0) {
        strbuf_add(&text, "the journal cannot be written, so nothing was done");
        return answer(reply, REFUSAL_JOURNAL, &text);
    }
    if (begin_trial(netd, request->body.try.confirm_s, &text) == 0)
        return answer(reply, REFUSAL_NONE, &text);
    journal_by(netd, EVENT_FIREWALL_TRIAL_REFUSED, peer->name);
    return answer(reply, REFUSAL_FAILED, &text);
}

static enum netd_server_answer keep_firewall(struct netd *netd, const struct netd_server_peer *peer,
                                             const struct wire_message *request,
                                             struct wire_message *reply)
{
    (void)request;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    bool is_late = clock_mono_ns() / CLOCK_NS_PER_MS >= netd->trial_ends_ms;
    if (!netd->trial || is_late) {
        strbuf_add(&text, "no rules are being tried; the time may be over");
        return answer(reply, REFUSAL_NOT_OPEN, &text);
    }
    int problem = config_trial_keep(netd->config);
    if (problem < 0) {
        strbuf_addf(&text,
                    "the confirmation cannot be written down, so the rules before come back: %s",
                    strerror(-problem));
        return answer(reply, REFUSAL_FAILED, &text);
    }
    (void)firewall_confirm(netd->firewall);
    netd->is_unconfirmed = false;
    netd->trial_ends = sd_event_source_disable_unref(netd->trial_ends);
    netd_config_free(netd->rules);
    netd->rules = TAKE_POINTER(netd->trial);
    netd_write_boot_file(netd);
    journal_by(netd, EVENT_FIREWALL_KEPT, peer->name);
    return answer(reply, REFUSAL_NONE, &text);
}

static enum netd_server_answer read_journal(struct netd *netd, const struct netd_server_peer *peer,
                                            const struct wire_message *request,
                                            struct wire_message *reply)
{
    (void)peer;
    CLEANUP(strbuf_free) struct strbuf line = STRBUF_EMPTY;
    struct wire_line *body = &reply->body.line;
    bool starts_file = false;
    int got =
        journal_read(netd->journal, request->body.cursor.cursor, &line, &body->next, &starts_file);
    if (got < 0)
        reply->header.result = REFUSAL_FAILED;
    text_put(body->line, sizeof(body->line), strbuf_text(&line));
    body->length = (uint32_t)strlen(body->line);
    body->starts_file = starts_file;
    return NETD_SERVER_ANSWER_NOW;
}

static enum netd_server_answer subscribe(struct netd *netd, const struct netd_server_peer *peer,
                                         const struct wire_message *request,
                                         struct wire_message *reply)
{
    (void)netd, (void)peer, (void)request, (void)reply;
    return NETD_SERVER_ANSWER_NOW;
}

static verb_handler *const handlers[WIRE_VERB_COUNT] = {
    [WIRE_HELLO] = hello,
    [WIRE_STATUS] = status,
    [WIRE_COUNTERS] = counters,
    [WIRE_OPEN_LOCAL] = open_local,
    [WIRE_EXTEND] = extend,
    [WIRE_CLOSE] = close_session,
    [WIRE_APPROVE] = approve,
    [WIRE_VERIFY_FIREWALL] = verify_firewall,
    [WIRE_ACKNOWLEDGE] = acknowledge,
    [WIRE_FIREWALL_TRY] = try_firewall,
    [WIRE_FIREWALL_KEEP] = keep_firewall,
    [WIRE_JOURNAL_READ] = read_journal,
    [WIRE_SUBSCRIBE] = subscribe,
    [WIRE_CHALLENGE] = netd_challenge,
    [WIRE_SIGNED] = netd_signed,
};

enum netd_server_answer netd_handle(void *context, const struct netd_server_peer *peer,
                                    const struct wire_message *request, struct wire_message *reply)
{
    return handlers[request->header.verb](context, peer, request, reply);
}

void netd_complete(void *context, struct wire_message *reply, const char *text)
{
    struct netd *netd = context;
    if (reply->header.verb == WIRE_SIGNED)
        netd_answer_signed(netd, netd->signed_id, reply);
    else
        text_put(reply->body.text.text, sizeof(reply->body.text.text), text);
}
