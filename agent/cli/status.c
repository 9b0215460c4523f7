/* `sallyport status`: the state of the gateway on one screen. */
#include "agent/base/descriptor.h"
#include "agent/cli/agent_client.h"
#include "agent/cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define TIMEOUT_MS 10000
#define HOURS_A_YEAR 8760

static const char *duration(long long seconds, char *text, size_t size)
{
    if (seconds < 120)
        (void)snprintf(text, size, "%lld s", seconds);
    else if (seconds < 7200)
        (void)snprintf(text, size, "%lld min", seconds / 60);
    else if (seconds < 172800)
        (void)snprintf(text, size, "%lld h %lld min", seconds / 3600, seconds / 60 % 60);
    else
        (void)snprintf(text, size, "%lld days", seconds / 86400);
    return text;
}

static const char *bytes(long long count, char *text, size_t size)
{
    if (count < 10240)
        (void)snprintf(text, size, "%lld B", count);
    else if (count < 10485760)
        (void)snprintf(text, size, "%.1f KiB", (double)count / 1024);
    else
        (void)snprintf(text, size, "%.1f MiB", (double)count / 1048576);
    return text;
}

static void print_uplink(const json_t *uplink)
{
    char when[32] = "";
    time_t since = (time_t)(agent_ask_number(uplink, "since") / 1000);
    struct tm local;
    if (since > 0 && localtime_r(&since, &local))
        (void)strftime(when, sizeof(when), "%F %T", &local);
    cli_print(stdout, "uplink    %-10s %s  since %s\n", agent_ask_text(uplink, "state", "unknown"),
              agent_ask_text(uplink, "server", ""), when);
    const char *reason = agent_ask_text(uplink, "reason", "");
    if (reason[0])
        cli_print(stdout, "          %s; next attempt in %.1f s\n", reason,
                  (double)agent_ask_number(uplink, "next_attempt_ms") / 1000);
    cli_print(stdout,
              "          %lld published, %lld acknowledged, %lld in flight, %lld connects\n",
              agent_ask_number(uplink, "published"), agent_ask_number(uplink, "acknowledged"),
              agent_ask_number(uplink, "in_flight"), agent_ask_number(uplink, "connects"));
}

static void print_outbox(const json_t *outbox)
{
    char used[32], most[32];
    cli_print(stdout, "outbox    %lld messages, %s of %s", agent_ask_number(outbox, "messages"),
              bytes(agent_ask_number(outbox, "bytes"), used, sizeof(used)),
              bytes(agent_ask_number(outbox, "max_bytes"), most, sizeof(most)));
    const json_t *runway = json_object_get(outbox, "runway_h");
    if (json_is_number(runway) && json_number_value(runway) > HOURS_A_YEAR)
        cli_print(stdout, ", lasts more than a year without the broker");
    else if (json_is_number(runway))
        cli_print(stdout, ", lasts %.1f h without the broker", json_number_value(runway));
    if (agent_ask_number(outbox, "dropped") > 0)
        cli_print(stdout, ", %lld dropped", agent_ask_number(outbox, "dropped"));
    cli_print(stdout, "; stream %s\n", agent_ask_text(outbox, "stream", "?"));
    const char *problem = agent_ask_text(outbox, "problem", "");
    if (problem[0])
        cli_print(stdout, "          %s\n", problem);
    if (agent_ask_number(outbox, "unsafe_since") > 0)
        cli_print(stdout, "          a power cut may cost more than promised: %s\n",
                  agent_ask_text(outbox, "unsafe_reason", ""));
}

static void print_lines(json_t *lines)
{
    const char *line_name, *unit_name;
    json_t *line, *unit;
    cli_print(stdout, "\n%-26s %-11s %10s %8s %8s %9s\n", "LINE / device", "state", "polls",
              "failed", "skipped", "last ms");
    json_object_foreach(lines, line_name, line)
    {
        cli_print(stdout, "%-26s %-11s %10lld %8lld %8lld\n", line_name,
                  agent_ask_text(line, "state", "unknown"), agent_ask_number(line, "polls_ok"),
                  agent_ask_number(line, "polls_failed"), agent_ask_number(line, "polls_skipped"));
        const char *problem = agent_ask_text(line, "error", "");
        if (problem[0])
            cli_print(stdout, "    %s\n", problem);
        json_object_foreach(json_object_get(line, "units"), unit_name, unit)
        {
            cli_print(stdout, "  %-24s %-11s %10lld %8lld %8s %9.3f\n", unit_name,
                      agent_ask_text(unit, "state", "unknown"), agent_ask_number(unit, "polls_ok"),
                      agent_ask_number(unit, "polls_failed"), "",
                      json_number_value(json_object_get(unit, "last_ms")));
            problem = agent_ask_text(unit, "error", "");
            if (problem[0])
                cli_print(stdout, "    %s\n", problem);
        }
    }
}

static void cli_status_print_status(const json_t *status)
{
    char age[32];
    cli_print(stdout, "gateway   %s  sallyport %s  up %s\n", agent_ask_text(status, "gateway", "?"),
              agent_ask_text(status, "version", "?"),
              duration(agent_ask_number(status, "uptime_s"), age, sizeof(age)));
    print_uplink(json_object_get(status, "uplink"));
    print_outbox(json_object_get(status, "outbox"));
    cli_print(stdout, "firewall  %s\n",
              agent_ask_text(json_object_get(status, "firewall"), "state", "unknown"));
    cli_print(stdout, "tunnel    %s\n",
              agent_ask_text(json_object_get(status, "tunnel"), "state", "unknown"));
    print_lines(json_object_get(status, "lines"));
}

static int show(const struct cli_context *context, int agent)
{
    json_t *answer =
        agent_ask(agent, "status", json_pack("{s:s}", "command", "status"), TIMEOUT_MS);
    if (!answer || !agent_is_ok(answer, "status")) {
        json_decref(answer);
        return CLI_FAILED;
    }
    json_t *status = json_object_get(answer, "status");
    int code = CLI_DONE;
    if (context->json)
        code = cli_print_json(json_incref(status));
    else
        cli_status_print_status(status);
    json_decref(answer);
    return code;
}

static int run_status(const struct cli_context *context, int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return cli_usage(context);
    struct config *config = agent_find_config(context);
    if (!config)
        return CLI_FAILED;
    CLEANUP(descriptor_close) int agent = agent_connect(config);
    int code = agent < 0 ? agent_unreachable("status", config, agent) : show(context, agent);
    config_free(config);
    return code;
}

const struct cli_command command_status = {
    .name = "status",
    .usage = "",
    .help = "one screen: uplink, lines, devices, outbox, firewall, tunnel",
    .run = run_status,
};
