/* `sallyport journal`: the audit trail of netd, and whether its chain holds. */
#include "agent/cli/cli.h"
#include "agent/cli/netd_call.h"
#include "agent/cli/options.h"

#include "agent/base/macros.h"
#include "tunnel/journal/journal_chain.h"
#include "tunnel/model/event_text.h"

#include <stdio.h>
#include <string.h>

#define NAME "journal"
#define ANSWER_MS 10000

struct cli_journal_reading {
    const struct netd_call *netd;
    struct journal_chain chain;
    const char *wrong; /* what is wrong with the first bad line; NULL while the chain holds */
    uint64_t wrong_at; /* counts lines from 1 */
    uint64_t lines;
    json_t *entries; /* with --json and without --verify */
    bool is_verifying;
};

/* Every member becomes a text; of two with the same name, the first counts. */
static void cli_journal_put_member(json_t *entry, const struct event *event,
                                   const struct event_member *member)
{
    const char *name = event_member_name(event, member);
    if (json_object_get(entry, name))
        return;
    json_object_set_new(entry, name,
                        member->is_number ? json_sprintf("%lld", (long long)member->number)
                                          : json_string(event_member_text(event, member)));
}

/* One line as an object; a line that cannot be parsed is passed on unchanged. */
static json_t *line_json(const struct wire_line *line)
{
    json_t *entry = json_object();
    struct event event;
    uint64_t seq;
    if (event_text_read(line->line, line->length, &seq, &event) < 0) {
        json_object_set_new(entry, "damaged", json_string(line->line));
        return entry;
    }
    const char *time = strchr(line->line, ' ') + 1;
    json_object_set_new(entry, "number", json_sprintf("%llu", (unsigned long long)seq));
    json_object_set_new(entry, "time", json_stringn(time, strcspn(time, " ")));
    json_object_set_new(entry, "event", json_string(event_name(&event)));
    for (size_t i = 0; i < event.n_members; i++)
        cli_journal_put_member(entry, &event, &event.members[i]);
    return entry;
}

static void cli_journal_take(struct cli_journal_reading *reading, const struct wire_line *line)
{
    reading->lines++;
    if (reading->is_verifying) {
        const char *wrong = journal_chain_check(&reading->chain, line->line, line->length);
        if (wrong && !reading->wrong) {
            reading->wrong = wrong;
            reading->wrong_at = reading->lines;
        }
        return;
    }
    if (reading->entries)
        json_array_append_new(reading->entries, line_json(line));
    else
        cli_print(stdout, "%s\n", line->line);
}

static int cli_journal_read_all(struct cli_journal_reading *reading)
{
    struct wire_message message;
    uint64_t cursor = 0;
    for (uint32_t id = 2;; id++) {
        wire_begin(&message, WIRE_JOURNAL_READ, id);
        message.body.cursor.cursor = cursor;
        int code = netd_call_ask(reading->netd, &message, ANSWER_MS);
        if (code != CLI_DONE)
            return code;
        if (message.header.result != REFUSAL_NONE)
            return cli_fail(CLI_FAILED, NAME, "netd cannot read its journal");
        if (message.body.line.length == 0)
            return CLI_DONE;
        cursor = message.body.line.next;
        cli_journal_take(reading, &message.body.line);
    }
}

static int cli_journal_report(const struct cli_journal_reading *reading)
{
    if (reading->netd->json) {
        json_t *document = json_pack("{s:b, s:I, s:s}", "good", reading->wrong == NULL, "lines",
                                     (json_int_t)reading->lines, "hash", reading->chain.hash);
        if (reading->wrong)
            json_object_set_new(document, "bad_line", json_integer((json_int_t)reading->wrong_at));
        (void)cli_print_json(document);
    } else if (!reading->wrong) {
        cli_print(stdout, "the chain holds: %llu lines, the last hash is %s\n",
                  (unsigned long long)reading->lines, reading->chain.hash);
    }
    if (reading->wrong)
        return cli_fail(CLI_FAILED, NAME, "line %llu %s", (unsigned long long)reading->wrong_at,
                        reading->wrong);
    return CLI_DONE;
}

static int run_journal(const struct cli_context *context, int argc, char **argv)
{
    bool is_verifying = false;
    const struct cli_option options[] = {{.name = "--verify", .flag = &is_verifying}, {0}};
    if (cli_options(argc, argv, options) != 1)
        return cli_usage(context);
    CLEANUP(netd_call_end) struct netd_call netd = {.socket = -1};
    int code = netd_call_begin(context, NAME, &netd);
    if (code != CLI_DONE)
        return code;
    struct cli_journal_reading reading = {.netd = &netd, .is_verifying = is_verifying};
    journal_chain_init(&reading.chain);
    if (netd.json && !is_verifying)
        reading.entries = json_array();
    code = cli_journal_read_all(&reading);
    if (is_verifying)
        return code == CLI_DONE ? cli_journal_report(&reading) : code;
    if (reading.entries && cli_print_json(reading.entries) != CLI_DONE)
        return CLI_FAILED;
    return code;
}

const struct cli_command command_journal = {
    .name = "journal",
    .usage = "[--verify]",
    .help = "shows the audit trail of netd, and verifies its hash chain",
    .run = run_journal,
};
