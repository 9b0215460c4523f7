/* What each verb of the protocol does: one function each, one table of them. */
#include "tunnel/netd/netd_requests.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/base/text.h"
#include "tunnel/netd/netd.h"
#include "tunnel/os/confined_child.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COUNTERS_MS 1000 /* for so long the counters are not read again */

typedef enum netd_server_answer verb_handler(struct netd *netd, const struct netd_server_peer *peer,
                                             const struct wire_message *request,
                                             struct wire_message *reply);

/* Fills a reply that is a verdict and a text. */
static enum netd_server_answer requests_answer(struct wire_message *reply, enum refusal refusal,
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

static void put_session(const struct session_status *session, struct wire_status *body)
{
    body->session_state = session->state;
    body->session_end = session->last_end;
    body->opened_wall_ms = session->opened_wall_ms;
    body->remaining_ms = session->remaining_ms;
    body->idle_left_ms = session->idle_left_ms;
    body->limit_left_ms = session->limit_left_ms;
    body->bytes = session->state == SESSION_OPEN ? session->bytes : 0;
    body->asked = session->asked;
    body->n_services = (uint32_t)session->n_services;
    for (size_t i = 0; i < session->n_services; i++)
        text_put(body->services[i], sizeof(body->services[i]), session->services[i]);
    text_put(body->opener, sizeof(body->opener), session->opener);
    text_put(body->reason, sizeof(body->reason), session->reason);
    text_put(body->detail, sizeof(body->detail), session->detail);
    text_put(body->hub, sizeof(body->hub), session->hub);
}

/* What is so although nothing is wrong with the rules that are loaded. */
static void describe_limits(const struct netd *netd, struct wire_status *body)
{
    const char *unconfined = confined_child_problem();
    if (rules_trial_is_unconfirmed(netd->trial))
        text_put(body->firewall_problem, sizeof(body->firewall_problem),
                 *netd->config->text
                     ? "netd.conf has rules that were tried and not confirmed: the "
                       "previous ones are loaded, also after a restart"
                     : "netd.conf has rules that were tried and not confirmed, and "
                       "the previous ones are unknown: its exceptions are left out");
    else if (unconfined)
        (void)snprintf(body->firewall_problem, sizeof(body->firewall_problem),
                       "helpers are not confined: %s", unconfined);
}

static void put_firewall(const struct netd *netd, struct wire_status *body)
{
    struct firewall_posture posture;
    firewall_get_posture(netd->firewall, &posture);
    body->firewall_state = posture.state;
    body->firewall_exceptions = posture.exceptions;
    body->firewall_reloads = posture.reloads;
    body->agent_reach = posture.agent;
    body->agent_destinations = posture.agent_destinations;
    body->firewall_changed_by_pid = posture.changed_by_pid;
    text_put(body->firewall_changed_by, sizeof(body->firewall_changed_by), posture.changed_by);
    text_put(body->firewall_problem, sizeof(body->firewall_problem), posture.problem);
    if (!posture.problem[0])
        describe_limits(netd, body);
    body->is_trying = rules_trial_left_s(netd->trial, clock_mono_ns() / CLOCK_NS_PER_MS);
}

static enum netd_server_answer status(struct netd *netd, const struct netd_server_peer *peer,
                                      const struct wire_message *request,
                                      struct wire_message *reply)
{
    (void)peer, (void)request;
    const struct tunnel_config *tunnel = &netd->config->tunnel;
    struct wire_status *body = &reply->body.status;
    struct session_status session;
    char address[IP_NETWORK_TEXT_BYTES];
    session_control_get_status(netd->session_control, &session);
    put_session(&session, body);
    put_firewall(netd, body);
    if (tunnel->is_configured)
        text_put(body->gateway_address, sizeof(body->gateway_address),
                 ip_network_format(&tunnel->address, address));
    body->journal_lines = journal_lines(netd->journal);
    return NETD_SERVER_ANSWER_NOW;
}

static enum netd_server_answer counters(struct netd *netd, const struct netd_server_peer *peer,
                                        const struct wire_message *request,
                                        struct wire_message *reply)
{
    (void)peer, (void)request;
    struct wire_counters *body = &reply->body.counters;
    struct session_status session;
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
    session_control_get_status(netd->session_control, &session);
    body->session_bytes = session.bytes;
    netd_server_get_counters(netd->server, &body->refused_peers, &body->refused_requests);
    return NETD_SERVER_ANSWER_NOW;
}

/* Begun and not waiting for a person: the answer comes when the hub has answered, or has not. */
static enum netd_server_answer answer_opening(struct netd *netd,
                                              const struct netd_server_peer *peer,
                                              struct wire_message *reply, enum refusal refusal,
                                              struct strbuf *text)
{
    if (refusal == REFUSAL_NONE && !session_control_is_waiting(netd->session_control)) {
        netd->opening_ticket = peer->ticket;
        return NETD_SERVER_ANSWER_LATER;
    }
    if (refusal == REFUSAL_NONE)
        strbuf_add(text, "waiting for `sallyport tunnel approve` on site, 15 minutes at most");
    return requests_answer(reply, refusal, text);
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
    return answer_opening(netd, peer, reply,
                          session_control_open(netd->session_control, &asked, &text), &text);
}

static enum netd_server_answer requests_extend(struct netd *netd,
                                               const struct netd_server_peer *peer,
                                               const struct wire_message *request,
                                               struct wire_message *reply)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    const struct wire_extend *body = &request->body.extend;
    const struct session_control_asker asker = {.who = peer->name};
    return requests_answer(
        reply,
        session_control_extend(netd->session_control, body->ttl_s, &asker, body->reason, &text),
        &text);
}

static enum netd_server_answer requests_close_session(struct netd *netd,
                                                      const struct netd_server_peer *peer,
                                                      const struct wire_message *request,
                                                      struct wire_message *reply)
{
    (void)request;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    enum session_end end =
        peer->role == WIRE_ROLE_AGENT ? SESSION_END_CLOSED_BY_OPERATOR : SESSION_END_CLOSED_LOCALLY;
    const struct session_control_asker asker = {.who = peer->name};
    return requests_answer(reply, session_control_close(netd->session_control, end, &asker, &text),
                           &text);
}

static enum netd_server_answer requests_approve(struct netd *netd,
                                                const struct netd_server_peer *peer,
                                                const struct wire_message *request,
                                                struct wire_message *reply)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    uint64_t asked = request->body.approve.asked;
    return answer_opening(netd, peer, reply,
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
        return requests_answer(reply, REFUSAL_FAILED, &text);
    journal_by(netd, EVENT_FIREWALL_ACKNOWLEDGED, peer->name);
    return requests_answer(reply, REFUSAL_NONE, &text);
}

static enum netd_server_answer try_firewall(struct netd *netd, const struct netd_server_peer *peer,
                                            const struct wire_message *request,
                                            struct wire_message *reply)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    struct event event;
    if (rules_trial_is_running(netd->trial)) {
        strbuf_add(&text, "other rules are being tried already");
        return requests_answer(reply, REFUSAL_ALREADY_OPEN, &text);
    }
    event_init(&event, EVENT_FIREWALL_TRIAL, clock_wall_ms());
    event_add_text(&event, MEMBER_BY, peer->name);
    event_add_number(&event, MEMBER_CONFIRM_S, request->body.try.confirm_s);
    if (journal_write(netd->journal, &event) < 0) {
        strbuf_add(&text, refusal_explain(REFUSAL_JOURNAL));
        return requests_answer(reply, REFUSAL_JOURNAL, &text);
    }
    if (rules_trial_begin(netd->trial, request->body.try.confirm_s, &text) == 0)
        return requests_answer(reply, REFUSAL_NONE, &text);
    journal_by(netd, EVENT_FIREWALL_TRIAL_REFUSED, peer->name);
    return requests_answer(reply, REFUSAL_FAILED, &text);
}

static enum netd_server_answer keep_firewall(struct netd *netd, const struct netd_server_peer *peer,
                                             const struct wire_message *request,
                                             struct wire_message *reply)
{
    (void)request;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    int result = rules_trial_keep(netd->trial, clock_mono_ns() / CLOCK_NS_PER_MS, &text);
    if (result < 0)
        return requests_answer(reply, result == -ETIME ? REFUSAL_NOT_OPEN : REFUSAL_FAILED, &text);
    netd_write_boot_file(netd);
    journal_by(netd, EVENT_FIREWALL_KEPT, peer->name);
    return requests_answer(reply, REFUSAL_NONE, &text);
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

static enum netd_server_answer challenge(struct netd *netd, const struct netd_server_peer *peer,
                                         const struct wire_message *request,
                                         struct wire_message *reply)
{
    (void)peer, (void)request;
    struct wire_challenge *body = &reply->body.challenge;
    const char *text = netd_signed_challenge(netd->commands);
    text_put(body->challenge, sizeof(body->challenge), text);
    if (!text[0])
        reply->header.result = REFUSAL_NOT_PERMITTED;
    return NETD_SERVER_ANSWER_NOW;
}

static enum netd_server_answer signed_command(struct netd *netd,
                                              const struct netd_server_peer *peer,
                                              const struct wire_message *request,
                                              struct wire_message *reply)
{
    return netd_signed_command(netd->commands, peer->ticket, &request->body.signed_text, reply);
}

static enum netd_server_answer requests_signers(struct netd *netd,
                                                const struct netd_server_peer *peer,
                                                const struct wire_message *request,
                                                struct wire_message *reply)
{
    (void)peer, (void)request;
    netd_signed_put_keys(netd->commands, &reply->body.signers);
    return NETD_SERVER_ANSWER_NOW;
}

static verb_handler *const handlers[WIRE_VERB_COUNT] = {
    [WIRE_HELLO] = hello,
    [WIRE_STATUS] = status,
    [WIRE_COUNTERS] = counters,
    [WIRE_OPEN_LOCAL] = open_local,
    [WIRE_EXTEND] = requests_extend,
    [WIRE_CLOSE] = requests_close_session,
    [WIRE_APPROVE] = requests_approve,
    [WIRE_VERIFY_FIREWALL] = verify_firewall,
    [WIRE_ACKNOWLEDGE] = acknowledge,
    [WIRE_FIREWALL_TRY] = try_firewall,
    [WIRE_FIREWALL_KEEP] = keep_firewall,
    [WIRE_JOURNAL_READ] = read_journal,
    [WIRE_SUBSCRIBE] = subscribe,
    [WIRE_CHALLENGE] = challenge,
    [WIRE_SIGNED] = signed_command,
    [WIRE_SIGNERS] = requests_signers,
};

enum netd_server_answer netd_handle(void *context, const struct netd_server_peer *peer,
                                    const struct wire_message *request, struct wire_message *reply)
{
    return handlers[request->header.verb](context, peer, request, reply);
}

void netd_gone(void *context, uint64_t ticket)
{
    struct netd *netd = context;
    netd_signed_forget(netd->commands, ticket);
    if (netd->opening_ticket == ticket) /* what was rightly begun goes on */
        netd->opening_ticket = 0;
}

void netd_decided(void *context, uint64_t ticket, enum refusal refusal, const char *id,
                  bool is_opening)
{
    struct netd *netd = context;
    struct wire_message reply;
    if (is_opening) {
        netd->opening_ticket = ticket;
        text_put(netd->opening_id, sizeof(netd->opening_id), id);
        return;
    }
    if (!netd->server || !netd_server_begin_answer(netd->server, ticket, &reply))
        return;
    reply.header.result = (int32_t)refusal;
    netd_signed_complete(netd->commands, id, &reply);
    netd_server_answer(netd->server, ticket, &reply);
}

void netd_opened(void *context, enum refusal refusal, const char *text)
{
    struct netd *netd = context;
    struct wire_message reply;
    uint64_t ticket = netd->opening_ticket;
    netd->opening_ticket = 0;
    if (!netd->server || !netd_server_begin_answer(netd->server, ticket, &reply))
        return;
    reply.header.result = (int32_t)refusal;
    if (reply.header.verb == WIRE_SIGNED)
        netd_signed_complete(netd->commands, netd->opening_id, &reply);
    else
        text_put(reply.body.text.text, sizeof(reply.body.text.text), text);
    netd_server_answer(netd->server, ticket, &reply);
}
