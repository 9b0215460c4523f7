/* `sallyport operator open | extend | close`: makes, shows, signs and sends a command. */
#include "agent/cli/operator/operator_exchange.h"
#include "agent/cli/operator/operator_sign.h"
#include "agent/cli/options.h"

#include "agent/base/clock.h"
#include "agent/base/memory.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define CHALLENGE_MS 5000 /* it is retained, so it comes at once or never */
#define STATUS_MS 500     /* likewise; but a user may not be allowed to read it */
#define SIGNATURES 5      /* for one command: a challenge may be replaced while it is signed */
#define MEANWHILE_MS 20   /* for messages that arrived while the command was being signed */

/* --- before it is sent ------------------------------------------------------------------------ */

static int64_t after_ms(int64_t ms)
{
    return clock_mono_ns() + ms * CLOCK_NS_PER_MS;
}

/* Waits for the challenge, and a moment for the state that comes with it. */
static int fetch_challenge(struct operator_exchange *exchange, struct operator_call *call)
{
    const struct operator_gateway *gateway = &call->gateway;
    int64_t wait_ms = call->timeout_s && call->timeout_s * 1000 < CHALLENGE_MS
                          ? call->timeout_s * 1000
                          : CHALLENGE_MS;
    if (!exchange->challenge[0] && !exchange->is_garbled)
        (void)operator_link_wait(exchange->link, after_ms(wait_ms));
    if (!exchange->challenge[0] && exchange->is_garbled)
        return cli_fail(
            CLI_FAILED, call->name,
            "the challenge of %s/%s at the broker is not valid (64 hex digits); nothing was signed",
            gateway->site, gateway->id);
    if (!exchange->challenge[0])
        return cli_fail(CLI_FAILED, call->name,
                        "there is no challenge of %s/%s: no gateway of this name has its netd "
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

/* Shows what will be signed, and asks; once, for the challenge alone may change after that. */
static int command_confirm(const struct operator_call *call, const char *key,
                           const struct strbuf *text, unsigned turn)
{
    char answer[16] = "";
    if (turn > 0)
        cli_print(stderr, "The gateway has changed its challenge: signing again, %u of %d.\n\n",
                  turn + 1, SIGNATURES);
    cli_print(stderr, "This is what %s signs:\n\n%s\n", key, strbuf_text(text));
    if (call->is_sure || turn > 0)
        return CLI_DONE;
    if (!isatty(STDIN_FILENO))
        return cli_fail(CLI_USAGE, call->name, "there is no terminal to ask on; use --yes");
    cli_print(stderr, "Sign it? [y/N] ");
    (void)fflush(stderr);
    if (fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
        return CLI_DONE;
    return cli_fail(CLI_FAILED, call->name, "nothing was signed");
}

/* Appends the command with its signature to OUT. TURN: so often it has been signed before. */
static int sign(const struct operator_call *call, const struct operator_config *config,
                unsigned turn, struct strbuf *out)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    if (!config->ssh_key)
        return cli_fail(CLI_FAILED, call->name,
                        "operator.conf has no ssh_key; `sallyport operator keygen` creates one");
    command_print(&call->command, &text);
    int code = command_confirm(call, config->ssh_key, &text, turn);
    if (code != CLI_DONE)
        return code;
    strbuf_append(out, text.data, text.length);
    return operator_sign(call->name, config->ssh_key, &text, out) < 0 ? CLI_FAILED : CLI_DONE;
}

static int print_signed(const struct operator_call *call, const struct strbuf *text)
{
    if (call->context->json)
        return operator_print_json(
            json_pack("{s:s, s:s}", "id", call->command.id, "command", strbuf_text(text)));
    cli_put(stdout, strbuf_text(text)); /* every byte is signed */
    return CLI_DONE;
}

/* --- the whole -------------------------------------------------------------------------------- */

static int send(struct operator_exchange *exchange, const struct strbuf *text)
{
    const struct operator_call *call = exchange->call;
    const struct operator_gateway *gateway = &call->gateway;
    CLEANUP(memory_free_pointer)
    char *topic = memory_printf("%s/%s/command", gateway->site, gateway->id);
    exchange->is_sent = true;
    exchange->sent_ns = clock_mono_ns();
    exchange->session[0] = '\0';
    if (operator_link_publish(exchange->link, topic, text->data, text->length) < 0)
        return cli_fail(CLI_UNREACHABLE, call->name,
                        "the connection to the broker was lost; nothing was sent");
    return CLI_DONE;
}

/* Signs the command, and sends it unless it is to be printed. TURN: so often that was done before.
 */
static int sign_and_send(struct operator_exchange *exchange, const struct operator_call *call,
                         const struct operator_config *config, unsigned turn)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    int code = sign(call, config, turn, &text);
    if (code != CLI_DONE)
        return code;
    if (call->is_printing)
        return print_signed(call, &text);
    (void)operator_link_wait(exchange->link, after_ms(MEANWHILE_MS));
    if (!exchange->challenge[0])
        return cli_fail(CLI_FAILED, call->name,
                        "the gateway takes no commands any more: its netd has ended; nothing was "
                        "sent; run the command again when it is back");
    return send(exchange, &text);
}

/*
 * A flood of forgeries makes the gateway replace its challenge again and again: what was signed for
 * an older one, and refused for that, is signed for the newest, with the same id, so that it can be
 * carried out once only.
 */
static int command_converse(struct operator_exchange *exchange, struct operator_call *call,
                            const struct operator_config *config)
{
    int code = fetch_challenge(exchange, call);
    for (unsigned turn = 0; code == CLI_DONE && turn < SIGNATURES; turn++) {
        code = sign_and_send(exchange, call, config, turn);
        if (code != CLI_DONE || call->is_printing)
            return code;
        if (turn + 1 < SIGNATURES && operator_exchange_is_stale(exchange, call))
            continue;
        return operator_exchange_finish(exchange);
    }
    return code;
}

static int command_run(struct operator_call *call, const struct operator_config *config)
{
    struct operator_exchange exchange = {.call = call};
    const struct operator_gateway *gateway = &call->gateway;
    const struct operator_ear ear = {.received = operator_exchange_received, .context = &exchange};
    if (call->challenge) {
        CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
        int code = sign(call, config, 0, &text);
        return code == CLI_DONE ? print_signed(call, &text) : code;
    }
    CLEANUP(memory_free_pointer)
    char *filter = memory_printf("%s/%s/+", gateway->site, gateway->id);
    int code = operator_link_new(config, call->name, filter, &ear, &exchange.link);
    if (code == CLI_DONE)
        code = command_converse(&exchange, call, config);
    operator_link_free(exchange.link, code);
    return code;
}

/* 128 random bits, so that no two commands ever have the same id. */
static int choose_id(const struct operator_call *call, char id[SESSION_NAME_BYTES])
{
    unsigned char bytes[16];
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return cli_fail(CLI_FAILED, call->name, "the system has no random numbers");
    for (size_t i = 0; i < sizeof(bytes); i++)
        (void)snprintf(id + 2 * i, 3, "%02x", bytes[i]);
    return CLI_DONE;
}

/* Whether all options that the action needs were given, and no others. */
static bool options_fit(const struct operator_call *call)
{
    enum command_action action = call->command.action;
    return (!call->challenge || call->is_printing) &&
           (call->services != NULL) == command_has(action, COMMAND_SERVICE) &&
           (call->ttl != NULL) == command_has(action, COMMAND_TTL) &&
           (call->reason != NULL) == command_has(action, COMMAND_REASON);
}

/* Copies the options into the command. */
static int complete(struct operator_call *call)
{
    struct command *command = &call->command;
    uint32_t ttl_s = 0;
    if (!operator_gateway_parse(call->words[0], &call->gateway))
        return cli_fail(CLI_USAGE, call->name, "\"%s\" is not SITE/ID", call->words[0]);
    (void)snprintf(command->gateway, sizeof(command->gateway), "%s/%s", call->gateway.site,
                   call->gateway.id);
    if (call->ttl && !cli_parse_duration(call->ttl, &ttl_s))
        return cli_fail(CLI_USAGE, call->name, "\"%s\" is not a time; write 45s, 90m, 1h or 1h30m",
                        call->ttl);
    command->ttl_s = ttl_s;
    const char *problem = operator_command_fill(command, call->services, call->reason);
    if (problem)
        return cli_fail(CLI_USAGE, call->name, "%s", problem);
    if (call->challenge &&
        !operator_challenge_parse(call->challenge, strlen(call->challenge), command->challenge))
        return cli_fail(CLI_USAGE, call->name, "--challenge needs 64 hex digits");
    return choose_id(call, command->id);
}

/* Each operator action of this file has the name of the command that it signs. */
static enum command_action action_of(const struct operator_action *row)
{
    enum command_action action;
    bool is_found = command_find_action(row->name, strlen(row->name), &action);
    assert(is_found);
    return action;
}

static int run_command(const struct cli_context *context, const struct operator_action *action,
                       int argc, char **argv)
{
    struct operator_call call = {
        .context = context, .command = {.action = action_of(action)}, .words = argv + 1};
    const struct cli_option options[] = {
        {.name = "--service", .text = &call.services},
        {.name = "--ttl", .text = &call.ttl},
        {.name = "--reason", .text = &call.reason},
        {.name = "--challenge", .text = &call.challenge},
        {.name = "--yes", .flag = &call.is_sure},
        {.name = "--print", .flag = &call.is_printing},
        {.name = "--timeout", .number = &call.timeout_s, .min = 1, .max = 86400},
        {.name = NULL},
    };
    (void)snprintf(call.name, sizeof(call.name), "operator %s", argv[0]);
    if (cli_options(argc, argv, options) != 2 || !options_fit(&call))
        return operator_usage(action);
    int code = complete(&call);
    struct operator_config *config = NULL;
    if (code == CLI_DONE)
        code = operator_load(context, call.name, &config);
    if (code == CLI_DONE)
        code = command_run(&call, config);
    operator_config_free(config);
    return code;
}

#define USUAL "[--yes] [--timeout SECONDS] [--print [--challenge HEX]]"

const struct operator_action operator_action_open = {
    "open", "SITE/ID --service NAME,... --ttl 1h --reason TEXT " USUAL, run_command};
const struct operator_action operator_action_extend = {
    "extend", "SITE/ID --ttl 1h --reason TEXT " USUAL, run_command};
const struct operator_action operator_action_close = {"close", "SITE/ID " USUAL, run_command};
