/*
 * `sallyport check`: everything that is wrong with the configuration, in one go, and how long
 * a poll cycle takes on each line. Contacts no device and no network.
 */
#include "agent/cli/check.h"

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/cli/check_credentials.h"
#include "agent/cli/check_machine.h"
#include "agent/cli/check_reach.h"
#include "agent/cli/cli.h"
#include "config/load/files.h"
#include "config/load/load.h"
#include "config/schema/config.h"
#include "config/schema/option.h"
#include "drivers/line/line.h"
#include "tunnel/config/netd_config.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AGENT_USER "sallyport" /* as packaging/systemd/sallyport.service has it */

static bool deliver_nothing(void *context, const union slot *slots, size_t n_slots)
{
    (void)context, (void)slots, (void)n_slots;
    return true;
}

/* The budget of one line; false, after a finding, when it cannot be planned. */
static bool get_budget(const struct config *config, size_t bus, struct findings *findings,
                       struct line_budget *ret_budget)
{
    static const struct line_callbacks callbacks = {.deliver = deliver_nothing};
    struct line *line = NULL;
    int result = line_new(config, bus, &callbacks, 0, 1, &line);
    if (result < 0) {
        char key[80];
        (void)snprintf(key, sizeof(key), "buses.%s", config->buses[bus].name);
        findings_add(findings, FINDING_ERROR, config->buses[bus].where, key,
                     "the line cannot be set up: %s", strerror(-result));
        return false;
    }
    line_get_budget(line, ret_budget);
    line_free(line);
    return true;
}

struct check_report {
    struct findings findings;
    bool is_machine_checked;     /* also the interfaces and routes that are there now */
    struct config *config;       /* NULL: it has errors */
    struct line_budget *budgets; /* of each line; cycle_s is negative where there is none */
};

static void warn_overload(const struct config_bus *bus, const struct line_budget *budget,
                          struct findings *findings)
{
    char key[80];
    (void)snprintf(key, sizeof(key), "buses.%s", bus->name);
    if (budget->load > 1)
        findings_add(findings, FINDING_WARNING, bus->where, key,
                     "the intervals need %.0f %% of what the line can carry; its devices will be "
                     "polled in turn, and some polls skipped",
                     100 * budget->load);
}

static void plan_lines(struct check_report *report)
{
    const struct config *config = report->config;
    report->budgets = memory_zeroed(config->n_buses, sizeof(*report->budgets));
    for (size_t i = 0; i < config->n_buses; i++) {
        struct line_budget *budget = &report->budgets[i];
        if (!get_budget(config, i, &report->findings, budget))
            budget->cycle_s = -1;
        else
            warn_overload(&config->buses[i], budget, &report->findings);
    }
}

/* The default file is used only if it exists and this user may read it. */
static void check_netd(const struct cli_context *context, struct check_report *report)
{
    const struct config *agent = report->config;
    struct findings *findings = &report->findings;
    struct netd_config *config = NULL;
    const char *path = context->netd_file;
    if (path && (context->netd_file_given || access(path, R_OK) == 0))
        (void)netd_config_load(path, findings, &config);
    if (config && agent)
        check_reach(agent, config, path, findings);
    if (config && agent)
        check_tunnel_addresses(agent, config, findings);
    if (config && report->is_machine_checked)
        check_machine(config, path, findings);
    netd_config_free(config);
}

static void make_report(const struct cli_context *context, struct check_report *report)
{
    struct findings *findings = &report->findings;
    if (config_load(context->agent_file, drivers_for_config(), findings, &report->config) == 0) {
        config_check_files(report->config, findings);
        check_credentials(report->config, findings);
        if (report->is_machine_checked)
            check_agent_access(report->config, AGENT_USER, findings);
        plan_lines(report);
    }
    check_netd(context, report);
    findings_sort(findings);
}

static void check_report_free(struct check_report *report)
{
    findings_free(&report->findings);
    free(report->budgets);
    config_free(report->config);
}

size_t check_files(const char *agent_file, const char *netd_file, struct strbuf *out)
{
    const struct cli_context context = {
        .agent_file = agent_file, .netd_file = netd_file, .netd_file_given = true};
    struct check_report report = {.findings = FINDINGS_EMPTY};
    make_report(&context, &report);
    findings_print(&report.findings, out);
    size_t errors = report.findings.errors;
    check_report_free(&report);
    return errors;
}

static void print_budget(const struct config_bus *bus, const struct line_budget *budget)
{
    if (budget->cycle_s < 0)
        return;
    if (budget->cycle_s == 0) {
        cli_print(stdout,
                  "%s: a poll cycle takes as long as the devices need to answer; %.3f seconds "
                  "with one of them silent\n",
                  bus->name, budget->dead_one_s);
        return;
    }
    cli_print(stdout,
              "%s: %.3f seconds per poll cycle, %.3f with one device silent; %.0f %% of the line "
              "used\n",
              bus->name, budget->cycle_s, budget->dead_one_s, 100 * budget->load);
}

static void cli_check_print_text(const struct check_report *report)
{
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    findings_print(&report->findings, &out);
    cli_print(stdout, "%s", strbuf_text(&out));
    for (size_t i = 0; report->config && i < report->config->n_buses; i++)
        print_budget(&report->config->buses[i], &report->budgets[i]);
}

static json_t *finding_json(const struct finding *finding)
{
    return json_pack("{s:s, s:s%, s:i, s:s%, s:s%}", "severity",
                     finding->severity == FINDING_WARNING ? "warning" : "error", "file",
                     finding->file, strlen(finding->file), "line", (int)finding->line, "key",
                     finding->key, strlen(finding->key), "text", finding->text,
                     strlen(finding->text));
}

static void cli_check_print_json(const struct check_report *report)
{
    json_t *findings = json_array(), *lines = json_array();
    for (size_t i = 0; i < report->findings.length; i++)
        json_array_append_new(findings, finding_json(&report->findings.items[i]));
    for (size_t i = 0; report->config && i < report->config->n_buses; i++) {
        const struct line_budget *budget = &report->budgets[i];
        if (budget->cycle_s < 0)
            continue;
        json_array_append_new(lines, json_pack("{s:s, s:f, s:f, s:f}", "bus",
                                               report->config->buses[i].name, "cycle_s",
                                               budget->cycle_s, "one_unit_silent_s",
                                               budget->dead_one_s, "load", budget->load));
    }
    json_t *document = json_pack("{s:I, s:o, s:o}", "errors", (json_int_t)report->findings.errors,
                                 "findings", findings, "lines", lines);
    (void)cli_print_json(document);
}

static int run_check(const struct cli_context *context, int argc, char **argv)
{
    (void)argv;
    struct check_report report = {.findings = FINDINGS_EMPTY, .is_machine_checked = true};
    if (argc > 1)
        return cli_usage(context);
    make_report(context, &report);
    if (context->json)
        cli_check_print_json(&report);
    else
        cli_check_print_text(&report);
    int code = report.findings.errors > 0 ? CLI_FAILED : CLI_DONE;
    check_report_free(&report);
    return code;
}

const struct cli_command command_check = {
    .name = "check",
    .usage = "[-c FILE] [-n FILE]",
    .help = "finds every mistake in the configuration; how long each line's poll cycle takes",
    .run = run_check,
};
