/* What the gateway publishes while a command is made and sent, and how the outcome is reported. */
#include "agent/cli/operator/operator_exchange.h"

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPLY_S 60     /* a gateway that has to reach its hub needs 20 of them */
#define APPROVAL_S 960 /* a session waits 15 minutes for the approval on site */
#define EVENT_MAX_BYTES 8192

/* --- what comes ------------------------------------------------------------------------------- */

static void exchange_take_challenge(struct operator_exchange *exchange,
                                    const struct operator_message *message)
{
    if (operator_challenge_parse(message->payload, message->length, exchange->challenge)) {
        operator_link_enough(exchange->link);
        return;
    }
    exchange->challenge[0] = '\0';
    exchange->is_garbled = message->length > 0;
    if (exchange->is_garbled)
        operator_link_enough(exchange->link);
}

static void take_session(struct operator_exchange *exchange, const char *state, const char *end)
{
    (void)snprintf(exchange->session, sizeof(exchange->session), "%s", state);
    text_show(exchange->end, sizeof(exchange->end), end);
    if (exchange->has_reply)
        operator_link_enough(exchange->link);
}

/* The status may be older than the command: "closed" counts only after the session was waiting. */
static void exchange_take_status(struct operator_exchange *exchange,
                                 const struct operator_message *message)
{
    const struct operator_status *status = &exchange->status;
    operator_status_parse(message->payload, message->length, &exchange->status);
    exchange->has_status = true;
    if (exchange->is_hearing_status)
        operator_link_enough(exchange->link);
    if (!exchange->has_reply || message->is_retained)
        return;
    if (strcmp(status->tunnel, "waiting") == 0 || strcmp(status->tunnel, "opening") == 0)
        exchange->was_waiting = true;
    else if (strcmp(status->tunnel, "open") == 0)
        take_session(exchange, "open", "");
    else if (strcmp(status->tunnel, "closed") == 0 && exchange->was_waiting)
        take_session(exchange, "closed", "");
}

static void exchange_take_reply(struct operator_exchange *exchange,
                                const struct operator_message *message)
{
    struct operator_reply reply;
    if (!exchange->is_sent || exchange->has_reply || message->is_retained)
        return; /* not to us */
    if (operator_reply_parse(message->payload, message->length, &reply) < 0) {
        exchange->garbage++;
    } else if (strcmp(reply.id, exchange->call->command.id) == 0) {
        exchange->reply = reply;
        exchange->has_reply = true;
        operator_link_enough(exchange->link);
    } else if (!reply.id[0] && !reply.is_accepted) {
        memcpy(exchange->unread, reply.reason, sizeof(exchange->unread));
    }
}

static void exchange_take_event(struct operator_exchange *exchange,
                                const struct operator_message *message)
{
    if (!exchange->is_sent || message->length > EVENT_MAX_BYTES)
        return;
    json_t *object = json_loadb(message->payload, message->length, 0, NULL);
    const char *event = json_string_value(json_object_get(object, "event"));
    const char *reason = json_string_value(json_object_get(object, "reason"));
    const char *id = json_string_value(json_object_get(object, "id"));
    if (id && strcmp(id, exchange->call->command.id) != 0)
        event = NULL; /* of a session that another command has opened */
    if (event && strcmp(event, "tunnel_opened") == 0)
        take_session(exchange, "open", "");
    else if (event && strcmp(event, "tunnel_closed") == 0 && exchange->has_reply)
        take_session(exchange, "closed", reason ? reason : "");
    json_decref(object);
}

void operator_exchange_received(void *context, const struct operator_message *message)
{
    static const struct {
        const char *topic;
        void (*take)(struct operator_exchange *exchange, const struct operator_message *message);
    } topics[] = {{"challenge", exchange_take_challenge},
                  {"status", exchange_take_status},
                  {"reply", exchange_take_reply},
                  {"event", exchange_take_event}};
    struct operator_exchange *exchange = context;
    const struct operator_gateway *ours = &exchange->call->gateway;
    if (strcmp(message->gateway.site, ours->site) != 0 ||
        strcmp(message->gateway.id, ours->id) != 0)
        return;
    for (size_t i = 0; i < ARRAY_LENGTH(topics); i++) {
        if (strcmp(message->topic, topics[i].topic) == 0)
            topics[i].take(exchange, message);
    }
}

/* --- after it was sent ------------------------------------------------------------------------ */

static int print_result(const struct operator_exchange *exchange, const char *result,
                        const char *state, const char *reason)
{
    const struct command *command = &exchange->call->command;
    json_t *places = json_array();
    bool is_open = strcmp(state, "open") == 0;
    for (size_t i = 0; is_open && i < exchange->reply.n_places; i++) {
        const struct operator_place *place = &exchange->reply.places[i];
        json_array_append_new(places, json_pack("{s:s, s:s, s:s, s:i}", "service", place->service,
                                                "protocol", place->is_udp ? "udp" : "tcp",
                                                "address", place->address, "port", place->port));
    }
    return operator_print_json(json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "gateway",
                                         command->gateway, "id", command->id, "action",
                                         command_kinds[command->action].name, "result", result,
                                         "state", state, "reason", reason, "connect", places));
}

static void print_places(const struct operator_reply *reply)
{
    for (size_t i = 0; i < reply->n_places; i++) {
        CLEANUP(strbuf_free) struct strbuf where = STRBUF_EMPTY;
        operator_place_write(&reply->places[i], &where);
        cli_print(stdout, "  %-16s %s%s\n", reply->places[i].service, strbuf_text(&where),
                  reply->places[i].is_udp ? " (UDP)" : "");
    }
}

static int report_failure(const struct operator_exchange *exchange, const char *result,
                          const char *state, const char *reason)
{
    const char *advice = operator_refusal_advice(reason);
    if (exchange->call->context->json)
        (void)print_result(exchange, result, state, reason);
    return cli_fail(CLI_FAILED, exchange->call->name, "%s: %s%s%s", result,
                    reason[0] ? reason : "the gateway gives no reason", advice[0] ? ": " : "",
                    advice);
}

static int report_unanswered(const struct operator_exchange *exchange)
{
    const struct operator_call *call = exchange->call;
    const struct operator_status *status = &exchange->status;
    if (call->context->json)
        (void)print_result(exchange, "unanswered", "", exchange->unread);
    if (exchange->unread[0])
        (void)cli_fail(0, call->name,
                       "the gateway has refused a command that it could not read: "
                       "%s",
                       exchange->unread);
    if (exchange->garbage > 0)
        (void)cli_fail(0, call->name, "%zu invalid replies were received", exchange->garbage);
    if (exchange->has_status)
        (void)cli_fail(0, call->name, "the gateway's last status: %s, tunnel %s", status->state,
                       status->tunnel[0] ? status->tunnel : "unknown");
    return cli_fail(CLI_FAILED, call->name,
                    "%s; the command may have been carried out nevertheless: see "
                    "`sallyport operator list`",
                    operator_link_is_delivered(exchange->link)
                        ? "the broker took the command, but no reply came. May this user write "
                          "to the command topic of that gateway (ACL)?"
                        : "the broker did not acknowledge the command");
}

static int report_done(const struct operator_exchange *exchange, const char *state)
{
    const struct command *command = &exchange->call->command;
    if (exchange->call->context->json)
        return print_result(exchange, "accepted", state, "");
    cli_print(stdout, "%s: accepted%s%s\n", command->gateway, state[0] ? "; the session is " : "",
              state);
    if (strcmp(state, "open") == 0)
        print_places(&exchange->reply);
    return CLI_DONE;
}

/* Someone on site has to approve it first. */
static int await_approval(struct operator_exchange *exchange, int64_t deadline_ns)
{
    const struct operator_call *call = exchange->call;
    (void)cli_fail(
        0, call->name,
        "accepted; it must now be approved on site with `sallyport tunnel approve`; waiting");
    while (!exchange->session[0]) {
        if (!operator_link_wait(exchange->link, deadline_ns) && clock_mono_ns() >= deadline_ns) {
            if (call->context->json)
                (void)print_result(exchange, "accepted", "waiting", "");
            return cli_fail(CLI_FAILED, call->name, "not approved yet; it still waits");
        }
    }
    if (strcmp(exchange->session, "open") == 0)
        return report_done(exchange, "open");
    return report_failure(exchange, "closed", "closed", exchange->end);
}

/* False when none comes. */
static bool await_reply(struct operator_exchange *exchange)
{
    int64_t wait_s = exchange->call->timeout_s ? exchange->call->timeout_s : REPLY_S;
    int64_t deadline_ns = exchange->sent_ns + wait_s * CLOCK_NS_PER_S;
    while (!exchange->has_reply && clock_mono_ns() < deadline_ns)
        (void)operator_link_wait(exchange->link, deadline_ns);
    return exchange->has_reply;
}

bool operator_exchange_is_stale(struct operator_exchange *exchange, struct operator_call *call)
{
    char *signed_for = call->command.challenge;
    if (!await_reply(exchange) || exchange->reply.is_accepted ||
        strcmp(exchange->reply.reason, "bad-challenge") != 0 || !exchange->challenge[0] ||
        strcmp(exchange->challenge, signed_for) == 0)
        return false;
    exchange->has_reply = exchange->is_sent = false;
    memcpy(signed_for, exchange->challenge, sizeof(call->command.challenge));
    return true;
}

int operator_exchange_finish(struct operator_exchange *exchange)
{
    const struct operator_call *call = exchange->call;
    const struct operator_reply *reply = &exchange->reply;
    if (!await_reply(exchange))
        return report_unanswered(exchange);
    if (!reply->is_accepted)
        return report_failure(exchange, "refused", "", reply->reason);
    int64_t wait_s = call->timeout_s ? call->timeout_s : APPROVAL_S;
    if (strcmp(reply->state, "waiting") == 0)
        return await_approval(exchange, exchange->sent_ns + wait_s * CLOCK_NS_PER_S);
    return report_done(exchange, reply->state);
}
