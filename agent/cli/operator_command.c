/* `sallyport operator open | extend | close`: one signed command, from its challenge to its reply.
 */
#include "agent/cli/operator.h"
#include "agent/cli/operator_link.h"
#include "agent/cli/operator_sign.h"

#include "agent/base/clock.h"
#include "agent/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define CHALLENGE_MS 10000 /* it is retained, so it comes at once or never */
#define STATUS_MS 500      /* likewise; but a user may not be allowed to read it */
#define MEANWHILE_MS 20    /* for what came while it was signed */
#define REPLY_S 60         /* a gateway that has to reach its hub needs 20 of them */
#define APPROVAL_S 960     /* a session waits 15 minutes for somebody on site */
#define PAYLOAD_MAX_BYTES 8192

struct call {
    const struct cli_context *context;
    char name[32]; /* in front of messages */
    struct operator_command command;
    char **words;
    const char *ttl, *challenge;
    bool is_sure, is_printing;
    long long timeout_s; /* 0: not given */
};

/* What has come from the gateway. */
struct exchange {
    const struct call *call;
    struct operator_link *link;
    char challenge[WIRE_CHALLENGE_BYTES]; /* the newest; "": none */
    bool is_garbled;                      /* something came in its place */
    bool has_status, is_sent, has_reply;
    bool is_hearing_status; /* wake up for one */
    struct operator_status status;
    struct operator_reply reply;
    char unread[32];  /* why a command was refused whose id the gateway could not read */
    size_t garbage;   /* replies that are none */
    char session[24]; /* what became of it since: "open", "closed", or ""; */
    char end[32];     /* why it was closed */
    bool was_waiting; /* the status has shown it */
};

/* --- what comes ------------------------------------------------------------------------------- */

static void take_challenge(struct exchange *exchange, const struct operator_message *message)
{
    if (operator_challenge_parse(message->payload, message->length, exchange->challenge)) {
        operator_link_enough(exchange->link);
        return;
    }
    exchange->challenge[0] = '\0';
    exchange->is_garbled = message->length > 0;
}

static void take_session(struct exchange *exchange, const char *state, const char *end)
{
    (void)snprintf(exchange->session, sizeof(exchange->session), "%s", state);
    wire_put_text(exchange->end, sizeof(exchange->end), end);
    if (exchange->has_reply)
        operator_link_enough(exchange->link);
}

/* The status may be older than the command: its end counts only after its beginning. */
static void take_status(struct exchange *exchange, const struct operator_message *message)
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

static void take_reply(struct exchange *exchange, const struct operator_message *message)
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

static void take_event(struct exchange *exchange, const struct operator_message *message)
{
    if (!exchange->is_sent || message->length > PAYLOAD_MAX_BYTES)
        return;
    json_t *object = json_loadb(message->payload, message->length, 0, NULL);
    const char *event = json_string_value(json_object_get(object, "event"));
    const char *reason = json_string_value(json_object_get(object, "reason"));
    if (event && strcmp(event, "tunnel_opened") == 0)
        take_session(exchange, "open", "");
    else if (event && strcmp(event, "tunnel_closed") == 0)
        take_session(exchange, "closed", reason ? reason : "");
    json_decref(object);
}

static void on_received(void *context, const struct operator_message *message)
{
    static const struct {
        const char *topic;
        void (*take)(struct exchange *exchange, const struct operator_message *message);
    } topics[] = {{"challenge", take_challenge},
                  {"status", take_status},
                  {"reply", take_reply},
                  {"event", take_event}};
    struct exchange *exchange = context;
    const struct operator_gateway *ours = &exchange->call->command.gateway;
    if (strcmp(message->gateway.site, ours->site) != 0 ||
        strcmp(message->gateway.id, ours->id) != 0)
        return;
    for (size_t i = 0; i < ARRAY_LENGTH(topics); i++) {
        if (strcmp(message->topic, topics[i].topic) == 0)
            topics[i].take(exchange, message);
    }
}

/* --- before it is sent ------------------------------------------------------------------------ */

static int64_t after_ms(int64_t ms)
{
    return clock_mono_ns() + ms * CLOCK_NS_PER_MS;
}

/* Waits for the challenge, and a moment for the state that comes with it. */
static int fetch_challenge(struct exchange *exchange, struct call *call)
{
    const struct operator_gateway *gateway = &call->command.gateway;
    if (!exchange->challenge[0])
        (void)operator_link_wait(exchange->link, after_ms(CHALLENGE_MS));
    if (!exchange->challenge[0] && exchange->is_garbled)
        return cli_fail(CLI_FAILED, call->name,
                        "what the broker has as the challenge of %s/%s is none (64 hex digits); "
                        "nothing was signed",
                        gateway->site, gateway->id);
    if (!exchange->challenge[0])
        return cli_fail(CLI_FAILED, call->name,
                        "there is no challenge of %s/%s: no gateway of this name has its warden "
                        "running, or the broker's access control list (ACL) does not let this "
                        "user read it",
                        gateway->site, gateway->id);
    exchange->is_hearing_status = true;
    if (!exchange->has_status)
        (void)operator_link_wait(exchange->link, after_ms(STATUS_MS));
    exchange->is_hearing_status = false;
    if (exchange->has_status && strcmp(exchange->status.state, "offline") == 0 &&
        !call->is_printing)
        return cli_fail(CLI_FAILED, call->name,
                        "%s/%s is offline: the command would not reach it; nothing was signed",
                        gateway->site, gateway->id);
    memcpy(call->command.challenge, exchange->challenge, sizeof(call->command.challenge));
    return CLI_DONE;
}

/* Shows what will be signed, and asks. */
static int confirm(const struct call *call, const char *key, const struct strbuf *text)
{
    char answer[16] = "";
    (void)fprintf(stderr, "This is what %s signs:\n\n%s\n", key, strbuf_text(text));
    if (call->is_sure)
        return CLI_DONE;
    if (!isatty(STDIN_FILENO))
        return cli_fail(CLI_USAGE, call->name, "there is no terminal to ask on; say --yes");
    (void)fprintf(stderr, "Sign it? [y/N] ");
    (void)fflush(stderr);
    if (fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
        return CLI_DONE;
    return cli_fail(CLI_FAILED, call->name, "nothing was signed");
}

/* Appends the command with its signature to OUT. */
static int sign(const struct call *call, const struct operator_config *config, struct strbuf *out)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    if (!config->ssh_key)
        return cli_fail(CLI_FAILED, call->name,
                        "operator.conf has no ssh_key; `sallyport operator keygen` makes one");
    operator_command_write(&call->command, &text);
    int code = confirm(call, config->ssh_key, &text);
    if (code != CLI_DONE)
        return code;
    strbuf_append(out, text.data, text.length);
    return operator_sign(call->name, config->ssh_key, &text, out) < 0 ? CLI_FAILED : CLI_DONE;
}

static int print_signed(const struct call *call, const struct strbuf *text)
{
    if (call->context->json)
        return operator_print_json(
            json_pack("{s:s, s:s}", "id", call->command.id, "command", strbuf_text(text)), false);
    (void)fputs(strbuf_text(text), stdout);
    return CLI_DONE;
}

/* --- after it was sent ------------------------------------------------------------------------ */

static int print_result(const struct exchange *exchange, const char *result, const char *state,
                        const char *reason)
{
    const struct operator_command *command = &exchange->call->command;
    CLEANUP(memory_free_pointer)
    char *gateway = memory_printf("%s/%s", command->gateway.site, command->gateway.id);
    json_t *places = json_array();
    bool is_open = strcmp(state, "open") == 0;
    for (size_t i = 0; is_open && i < exchange->reply.n_places; i++) {
        const struct operator_place *place = &exchange->reply.places[i];
        json_array_append_new(places, json_pack("{s:s, s:s, s:s, s:i}", "service", place->service,
                                                "protocol", place->is_udp ? "udp" : "tcp",
                                                "address", place->address, "port", place->port));
    }
    return operator_print_json(json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "gateway", gateway,
                                         "id", command->id, "action",
                                         operator_action_names[command->action], "result", result,
                                         "state", state, "reason", reason, "connect", places),
                               false);
}

static void print_places(const struct operator_reply *reply)
{
    for (size_t i = 0; i < reply->n_places; i++) {
        CLEANUP(strbuf_free) struct strbuf where = STRBUF_EMPTY;
        operator_place_write(&reply->places[i], &where);
        (void)printf("  %-16s %s%s\n", reply->places[i].service, strbuf_text(&where),
                     reply->places[i].is_udp ? " (UDP)" : "");
    }
}

static int report_failure(const struct exchange *exchange, const char *result, const char *state,
                          const char *reason)
{
    const char *advice = operator_refusal_advice(reason);
    if (exchange->call->context->json)
        (void)print_result(exchange, result, state, reason);
    return cli_fail(CLI_FAILED, exchange->call->name, "%s: %s%s%s", result,
                    reason[0] ? reason : "the gateway gives no reason", advice[0] ? ": " : "",
                    advice);
}

static int report_unanswered(const struct exchange *exchange)
{
    const struct call *call = exchange->call;
    const struct operator_status *status = &exchange->status;
    if (call->context->json)
        (void)print_result(exchange, "unanswered", "", exchange->unread);
    if (exchange->unread[0])
        (void)cli_fail(0, call->name,
                       "the gateway has refused a command that it could not read: "
                       "%s",
                       exchange->unread);
    if (exchange->garbage > 0)
        (void)cli_fail(0, call->name, "%zu replies came that no gateway sends", exchange->garbage);
    if (exchange->has_status)
        (void)cli_fail(0, call->name, "the gateway's last status: %s, tunnel %s", status->state,
                       status->tunnel[0] ? status->tunnel : "not told");
    return cli_fail(CLI_FAILED, call->name,
                    "%s; it may have been carried out all the same: see "
                    "`sallyport operator list`",
                    operator_link_is_delivered(exchange->link)
                        ? "the broker took the command, but no reply came. May this user write "
                          "to the command topic of that gateway (ACL)?"
                        : "the broker did not acknowledge the command");
}

static int report_done(const struct exchange *exchange, const char *state)
{
    const struct operator_command *command = &exchange->call->command;
    if (exchange->call->context->json)
        return print_result(exchange, "accepted", state, "");
    (void)printf("%s/%s: accepted%s%s\n", command->gateway.site, command->gateway.id,
                 state[0] ? "; the session is " : "", state);
    if (strcmp(state, "open") == 0)
        print_places(&exchange->reply);
    return CLI_DONE;
}

/* Somebody on site has to agree first. */
static int await_approval(struct exchange *exchange, int64_t deadline_ns)
{
    const struct call *call = exchange->call;
    (void)cli_fail(0, call->name,
                   "accepted; now somebody on site has to approve it with "
                   "`sallyport tunnel approve`; waiting");
    while (!exchange->session[0]) {
        if (!operator_link_wait(exchange->link, deadline_ns) && clock_mono_ns() >= deadline_ns) {
            if (call->context->json)
                (void)print_result(exchange, "accepted", "waiting", "");
            return cli_fail(CLI_FAILED, call->name, "nobody has approved it yet; it still waits");
        }
    }
    if (strcmp(exchange->session, "open") == 0)
        return report_done(exchange, "open");
    return report_failure(exchange, "closed", "closed", exchange->end);
}

static int await_reply(struct exchange *exchange)
{
    const struct call *call = exchange->call;
    const struct operator_reply *reply = &exchange->reply;
    int64_t sent_ns = clock_mono_ns();
    int64_t wait_s = call->timeout_s ? call->timeout_s : REPLY_S;
    while (!exchange->has_reply) {
        int64_t deadline_ns = sent_ns + wait_s * CLOCK_NS_PER_S;
        (void)operator_link_wait(exchange->link, deadline_ns);
        if (!exchange->has_reply && clock_mono_ns() >= deadline_ns)
            return report_unanswered(exchange);
    }
    if (!reply->is_accepted)
        return report_failure(exchange, "refused", "", reply->reason);
    wait_s = call->timeout_s ? call->timeout_s : APPROVAL_S;
    if (strcmp(reply->state, "waiting") == 0)
        return await_approval(exchange, sent_ns + wait_s * CLOCK_NS_PER_S);
    return report_done(exchange, reply->state);
}

/* --- the whole -------------------------------------------------------------------------------- */

static int send(struct exchange *exchange, const struct strbuf *text)
{
    const struct call *call = exchange->call;
    const struct operator_gateway *gateway = &call->command.gateway;
    CLEANUP(memory_free_pointer)
    char *topic = memory_printf("%s/%s/command", gateway->site, gateway->id);
    (void)operator_link_wait(exchange->link, after_ms(MEANWHILE_MS));
    if (strcmp(exchange->challenge, call->command.challenge) != 0)
        return cli_fail(CLI_FAILED, call->name,
                        "the gateway has a new challenge by now; nothing was sent, give the "
                        "command again");
    exchange->is_sent = true;
    exchange->session[0] = '\0';
    if (operator_link_publish(exchange->link, topic, text->data, text->length) < 0)
        return cli_fail(CLI_UNREACHABLE, call->name,
                        "the connection to the broker was lost; nothing was sent");
    return await_reply(exchange);
}

static int converse(struct exchange *exchange, struct call *call,
                    const struct operator_config *config)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    int code = fetch_challenge(exchange, call);
    if (code == CLI_DONE)
        code = sign(call, config, &text);
    if (code != CLI_DONE)
        return code;
    return call->is_printing ? print_signed(call, &text) : send(exchange, &text);
}

static int run(struct call *call, const struct operator_config *config)
{
    struct exchange exchange = {.call = call};
    const struct operator_gateway *gateway = &call->command.gateway;
    const struct operator_ear ear = {.received = on_received, .context = &exchange};
    if (call->challenge) {
        CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
        int code = sign(call, config, &text);
        return code == CLI_DONE ? print_signed(call, &text) : code;
    }
    CLEANUP(memory_free_pointer)
    char *filter = memory_printf("%s/%s/+", gateway->site, gateway->id);
    int code = operator_link_new(config, call->name, filter, &ear, &exchange.link);
    if (code == CLI_DONE)
        code = converse(&exchange, call, config);
    operator_link_free(exchange.link, code);
    return code;
}

/* 128 random bits, so that no two commands ever have the same. */
static int choose_id(const struct call *call, char id[WIRE_NAME_BYTES])
{
    unsigned char bytes[16];
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return cli_fail(CLI_FAILED, call->name, "there are no random numbers");
    for (size_t i = 0; i < sizeof(bytes); i++)
        (void)snprintf(id + 2 * i, 3, "%02x", bytes[i]);
    return CLI_DONE;
}

/* Whether the options are there that the action takes, and no others. */
static bool options_fit(const struct call *call)
{
    enum operator_action action = call->command.action;
    bool has_services = call->command.services, has_limits = call->ttl && call->command.reason;
    if (call->challenge && !call->is_printing)
        return false;
    switch (action) {
    case OPERATOR_OPEN:
        return has_services && has_limits;
    case OPERATOR_EXTEND:
        return !has_services && has_limits;
    case OPERATOR_CLOSE:
        return !has_services && !call->ttl && !call->command.reason;
    }
    return false;
}

/* What was typed, into the command. */
static int complete(struct call *call)
{
    struct operator_command *command = &call->command;
    if (!operator_gateway_parse(call->words[0], &command->gateway))
        return cli_fail(CLI_USAGE, call->name, "\"%s\" is not SITE/ID", call->words[0]);
    if (call->ttl && !cli_parse_duration(call->ttl, &command->ttl_s))
        return cli_fail(CLI_USAGE, call->name, "\"%s\" is no time; write 45s, 90m, 1h or 1h30m",
                        call->ttl);
    const char *problem = operator_command_problem(command);
    if (problem)
        return cli_fail(CLI_USAGE, call->name, "%s", problem);
    if (call->challenge &&
        !operator_challenge_parse(call->challenge, strlen(call->challenge), command->challenge))
        return cli_fail(CLI_USAGE, call->name, "--challenge needs 64 hex digits");
    return choose_id(call, command->id);
}

static enum operator_action action_of(const char *name)
{
    enum operator_action action = OPERATOR_OPEN;
    while (action < OPERATOR_CLOSE && strcmp(name, operator_action_names[action]) != 0)
        action++;
    return action;
}

int operator_command(const struct cli_context *context, int argc, char **argv)
{
    struct call call = {
        .context = context, .command = {.action = action_of(argv[0])}, .words = argv + 1};
    const struct cli_option options[] = {
        {.name = "--service", .text = &call.command.services},
        {.name = "--ttl", .text = &call.ttl},
        {.name = "--reason", .text = &call.command.reason},
        {.name = "--challenge", .text = &call.challenge},
        {.name = "--yes", .flag = &call.is_sure},
        {.name = "--print", .flag = &call.is_printing},
        {.name = "--timeout", .number = &call.timeout_s, .min = 1, .max = 86400},
        {.name = NULL},
    };
    (void)snprintf(call.name, sizeof(call.name), "operator %s", argv[0]);
    if (cli_options(argc, argv, options) != 2 || !options_fit(&call))
        return operator_usage(argv[0]);
    int code = complete(&call);
    struct operator_config *config = NULL;
    if (code == CLI_DONE)
        code = operator_load(context, call.name, &config);
    if (code == CLI_DONE)
        code = run(&call, config);
    operator_config_free(config);
    return code;
}
