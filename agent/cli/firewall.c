/* `sallyport firewall`: shows what is open, verifies the rules in the kernel, loads new rules on
 * trial. */
#include "agent/cli/cli.h"
#include "agent/cli/netd_call.h"
#include "agent/cli/options.h"

#include "agent/base/macros.h"
#include "agent/base/text.h"
#include "tunnel/model/posture.h"
#include "tunnel/netd/config_trial.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME "firewall"
#define ANSWER_MS 30000 /* netd may load a whole ruleset up to three times */

static int cli_firewall_ask(const struct netd_call *netd, enum wire_verb verb,
                            struct wire_message *message)
{
    wire_begin(message, verb, 2);
    return netd_call_ask(netd, message, ANSWER_MS);
}

static json_t *cli_firewall_status_json(const struct wire_status *status,
                                        const struct wire_counters *counters)
{
    json_t *document = json_pack(
        "{s:s, s:i, s:i, s:s, s:i, s:{s:I, s:I, s:I, s:I}}", "state",
        firewall_state_names[status->firewall_state], "exceptions",
        (int)status->firewall_exceptions, "reloads", (int)status->firewall_reloads, "agent",
        agent_reach_names[status->agent_reach], "agent_destinations",
        (int)status->agent_destinations, "dropped", "in", (json_int_t)counters->dropped_in,
        "forward", (json_int_t)counters->dropped_forward, "out", (json_int_t)counters->dropped_out,
        "spoofed", (json_int_t)counters->spoofed);
    if (status->firewall_changed_by_pid)
        json_object_set_new(document, "changed_by",
                            json_pack("{s:i, s:s}", "pid", (int)status->firewall_changed_by_pid,
                                      "program", status->firewall_changed_by));
    if (status->firewall_problem[0])
        json_object_set_new(document, "problem", json_string(status->firewall_problem));
    if (status->is_trying)
        json_object_set_new(document, "undone_in_s", json_integer(status->is_trying));
    return document;
}

static void print_agent(const struct wire_status *status)
{
    switch ((enum agent_reach)status->agent_reach) {
    case AGENT_UNKNOWN:
        cli_print(stdout,
                  "          agent not bound: access.agent_user of netd.conf is no user of this "
                  "machine, or root\n");
        break;
    case AGENT_LOCAL:
        cli_print(stdout,
                  "          agent not bound in plant and WAN, only on this gateway itself; "
                  "`sallyport check` says what to add\n");
        break;
    case AGENT_BOUND:
        cli_print(stdout, "          agent bound to %u destination%s\n", status->agent_destinations,
                  status->agent_destinations == 1 ? "" : "s");
        break;
    }
}

static void cli_firewall_print_status(const struct wire_status *status,
                                      const struct wire_counters *counters)
{
    cli_print(stdout, "firewall  %s", firewall_state_names[status->firewall_state]);
    if (status->firewall_exceptions)
        cli_print(stdout, ", %u exception%s in netd.conf", status->firewall_exceptions,
                  status->firewall_exceptions == 1 ? "" : "s");
    if (status->is_trying)
        cli_print(stdout, ", new rules on trial for another %u s", status->is_trying);
    cli_print(stdout, "\n          dropped: %llu in, %llu forwarded, %llu out, %llu spoofed\n",
              (unsigned long long)counters->dropped_in,
              (unsigned long long)counters->dropped_forward,
              (unsigned long long)counters->dropped_out, (unsigned long long)counters->spoofed);
    print_agent(status);
    if (status->firewall_reloads)
        cli_print(stdout, "          loaded again %u times", status->firewall_reloads);
    if (status->firewall_reloads && status->firewall_changed_by_pid)
        cli_print(stdout, "; last changed by %s (pid %d)", status->firewall_changed_by,
                  status->firewall_changed_by_pid);
    if (status->firewall_reloads)
        cli_print(stdout, "\n");
    if (status->firewall_problem[0])
        cli_print(stdout, "          %s\n", status->firewall_problem);
}

static int cli_firewall_show_status(const struct netd_call *netd, long long confirm_s)
{
    struct wire_message status, counters;
    (void)confirm_s;
    int code = cli_firewall_ask(netd, WIRE_STATUS, &status);
    if (code == CLI_DONE)
        code = cli_firewall_ask(netd, WIRE_COUNTERS, &counters);
    if (code != CLI_DONE)
        return code;
    if (netd->json)
        return cli_print_json(
            cli_firewall_status_json(&status.body.status, &counters.body.counters));
    cli_firewall_print_status(&status.body.status, &counters.body.counters);
    return CLI_DONE;
}

/*
 * After tampering netd restores the rules, but refuses sessions until someone on site has run this
 * command. The first check acknowledges the tampering; the second one tells whether the rules are
 * right now.
 */
static int verify_again(const struct netd_call *netd, struct wire_message *message)
{
    uint32_t state = message->body.verdict.firewall_state;
    if (state != FIREWALL_TAMPERED && state != FIREWALL_FIGHTING)
        return CLI_DONE;
    struct wire_message acknowledged;
    int code = cli_firewall_ask(netd, WIRE_ACKNOWLEDGE, &acknowledged);
    if (code != CLI_DONE)
        return code;
    if (acknowledged.header.result != REFUSAL_NONE) {
        message->header.result = acknowledged.header.result;
        text_put(message->body.verdict.text, sizeof(message->body.verdict.text),
                 acknowledged.body.text.text);
        return CLI_DONE;
    }
    bool was_mended = message->body.verdict.was_mended;
    code = cli_firewall_ask(netd, WIRE_VERIFY_FIREWALL, message);
    message->body.verdict.was_mended |= was_mended;
    if (code == CLI_DONE && !netd->json)
        cli_print(stdout, "the tampering is acknowledged; sessions may be opened again\n");
    return code;
}

/* Exit code 1 unless the rules were, before the check, what they should be. */
static int verify(const struct netd_call *netd, long long confirm_s)
{
    struct wire_message message;
    (void)confirm_s;
    int code = cli_firewall_ask(netd, WIRE_VERIFY_FIREWALL, &message);
    if (code == CLI_DONE)
        code = verify_again(netd, &message);
    if (code != CLI_DONE)
        return code;
    const struct wire_verdict *verdict = &message.body.verdict;
    const char *state = firewall_state_names[verdict->firewall_state];
    bool is_good = message.header.result == REFUSAL_NONE && !verdict->was_mended &&
                   (verdict->firewall_state == FIREWALL_LOCKED ||
                    verdict->firewall_state == FIREWALL_EXCEPTED);
    if (netd->json)
        (void)cli_print_json(json_pack("{s:b, s:s, s:b, s:s}", "good", is_good, "state", state,
                                       "mended", (int)verdict->was_mended, "detail",
                                       verdict->text));
    else if (is_good)
        cli_print(stdout, "the rules in the kernel are the expected ones (%s)\n", state);
    if (is_good)
        return CLI_DONE;
    return cli_fail(CLI_FAILED, NAME, "%s%s%s%s", state,
                    verdict->was_mended ? "; the rules had been changed and were loaded again" : "",
                    verdict->text[0] ? ": " : "", verdict->text);
}

/* What was confirmed is what a restart during the next trial comes back with: root keeps a copy. */
static void record_confirmed(const struct netd_call *netd)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    if (geteuid() == 0 && config_trial_record(netd->config_file, &problem) < 0)
        cli_print(stderr,
                  "sallyport: confirmed, but no copy is kept: %s; if netd restarts during the "
                  "next trial, it leaves out the exceptions\n",
                  strbuf_text(&problem));
}

static int cli_firewall_confirm(const struct netd_call *netd, long long confirm_s)
{
    struct wire_message message;
    (void)confirm_s;
    int code = cli_firewall_ask(netd, WIRE_FIREWALL_KEEP, &message);
    if (code == CLI_DONE)
        code = netd_call_report(netd, &message);
    if (code == CLI_DONE)
        record_confirmed(netd);
    return code;
}

/* Whether the person at the terminal answers yes in time, which proves that this connection works.
 */
static bool says_yes(long long confirm_s)
{
    char line[16];
    struct pollfd wait = {.fd = STDIN_FILENO, .events = POLLIN};
    cli_print(
        stdout,
        "The new rules are loaded and will be undone in %lld s. Keep them? Type yes: ", confirm_s);
    (void)fflush(stdout);
    return poll(&wait, 1, (int)(confirm_s * 1000)) == 1 && fgets(line, sizeof(line), stdin) &&
           strcmp(line, "yes\n") == 0;
}

static int cli_firewall_apply(const struct netd_call *netd, long long confirm_s)
{
    struct wire_message message;
    wire_begin(&message, WIRE_FIREWALL_TRY, 2);
    message.body.try.confirm_s = (uint32_t)confirm_s;
    int code = netd_call_ask(netd, &message, ANSWER_MS);
    if (code == CLI_DONE)
        code = netd_call_report(netd, &message);
    if (code != CLI_DONE || netd->json)
        return code;
    if (!isatty(STDIN_FILENO)) {
        cli_print(stdout,
                  "the new rules are loaded, and will be undone in %lld s unless you run "
                  "`sallyport firewall confirm`\n",
                  confirm_s);
        return CLI_DONE;
    }
    return says_yes(confirm_s)
               ? cli_firewall_confirm(netd, 0)
               : cli_fail(CLI_FAILED, NAME, "not confirmed; netd restores the previous rules");
}

static const struct {
    const char *name;
    bool needs_confirm;
    int (*run)(const struct netd_call *netd, long long confirm_s);
} actions[] = {
    {"status", false, cli_firewall_show_status},
    {"verify", false, verify},
    {"apply", true, cli_firewall_apply},
    {"confirm", false, cli_firewall_confirm},
};

static int run_firewall(const struct cli_context *context, int argc, char **argv)
{
    long long confirm_s = 0;
    const struct cli_option options[] = {
        {.name = "--confirm", .number = &confirm_s, .min = 1, .max = 3600}, {0}};
    int words = cli_options(argc, argv, options);
    for (size_t i = 0; words == 2 && i < ARRAY_LENGTH(actions); i++) {
        if (strcmp(argv[1], actions[i].name) != 0)
            continue;
        if (actions[i].needs_confirm != (confirm_s > 0))
            return cli_usage(context);
        CLEANUP(netd_call_end) struct netd_call netd = {.socket = -1};
        int code = netd_call_begin(context, NAME, &netd);
        return code == CLI_DONE ? actions[i].run(&netd, confirm_s) : code;
    }
    return cli_usage(context);
}

const struct cli_command command_firewall = {
    .name = "firewall",
    .usage = "status | verify | apply --confirm SECONDS | confirm",
    .help = "shows what is open, verifies the rules in the kernel, loads new rules on trial",
    .run = run_firewall,
};
