/*
 * `sallyport scan`: which units answer on a line. It reads one register of each; every well-formed
 * reply counts as an answer. Through the running agent where it owns the line: after a silent unit
 * the scan pauses for as long as it waited, so that polling keeps half of the line's time.
 */
#include "agent/cli/scan.h"

#include "agent/base/clock.h"
#include "agent/base/macros.h"
#include "agent/cli/agent_client.h"
#include "agent/cli/cli.h"
#include "agent/cli/options.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define GIVE_UP_AFTER 5 /* how often the line could not be reached before any unit answered */

/* MODBUS Application Protocol V1.1b3, section 7: sent by a Modbus gateway in place of the unit. */
#define PATH_UNAVAILABLE 10
#define TARGET_SILENT 11

bool scan_parse_units(const char *text, unsigned *ret_first, unsigned *ret_last)
{
    char first[8];
    long long low, high;
    const char *dash = strchr(text, '-');
    size_t length = dash ? (size_t)(dash - text) : strlen(text);
    if (length >= sizeof(first))
        return false;
    memcpy(first, text, length);
    first[length] = '\0';
    if (!cli_parse_number(first, 0, 255, &low) ||
        !cli_parse_number(dash ? dash + 1 : first, low, 255, &high))
        return false;
    *ret_first = (unsigned)low;
    *ret_last = (unsigned)high;
    return true;
}

enum scan_verdict scan_unit(struct plant_line *line, unsigned unit, unsigned *ret_exception,
                            struct driver_error *error)
{
    struct modbus_call call = {.request = modbus_read_request((uint8_t)unit, MODBUS_HOLDING, 0, 1)};
    *ret_exception = 0;
    switch (plant_ask(line, &call, error)) {
    case OUTCOME_OK:
        *ret_exception = call.reply.exception;
        return *ret_exception == PATH_UNAVAILABLE || *ret_exception == TARGET_SILENT ? SCAN_SILENT
                                                                                     : SCAN_ANSWERS;
    case OUTCOME_TIMEOUT:
        return SCAN_SILENT;
    case OUTCOME_BAD_REPLY:
        return SCAN_GARBLED;
    case OUTCOME_DISCONNECTED:
    case OUTCOME_UNSUPPORTED:
        break;
    }
    return SCAN_NO_LINE;
}

struct scan_scan {
    const struct cli_context *context;
    struct plant_line *line;
    unsigned first, last;
    bool shows_progress;
    unsigned answered, garbled, out_of_reach;
    json_t *units; /* what is printed with --json */
};

static void show_progress(const struct scan_scan *scan, unsigned unit)
{
    if (!scan->shows_progress)
        return;
    cli_put(stderr, "\r\033[K");
    cli_print(stderr, "unit %u of %u-%u, %u answered", unit, scan->first, scan->last,
              scan->answered);
}

static void end_progress(const struct scan_scan *scan)
{
    if (scan->shows_progress)
        cli_put(stderr, "\r\033[K");
}

static void scan_report(struct scan_scan *scan, unsigned unit, enum scan_verdict verdict,
                        unsigned exception)
{
    char how[24] = "value";
    if (verdict == SCAN_GARBLED)
        (void)snprintf(how, sizeof(how), "garbled");
    else if (exception)
        (void)snprintf(how, sizeof(how), "exception-%u", exception);
    if (scan->context->json) {
        json_array_append_new(scan->units, json_pack("{s:i,s:s}", "unit", (int)unit, "reply", how));
        return;
    }
    end_progress(scan);
    if (verdict == SCAN_GARBLED)
        cli_print(stdout,
                  "%u: the reply is not valid: two units with the same number, noise, or a "
                  "wrong speed or parity\n",
                  unit);
    else
        cli_print(stdout, "%u: answers%s%s\n", unit, exception ? ", " : "", exception ? how : "");
    (void)fflush(stdout);
}

/* Half of the line's time belongs to the polls. */
static void leave_time_for_polls(const struct scan_scan *scan, int64_t started_ns)
{
    int64_t now_ns = clock_mono_ns();
    if (plant_is_shared(scan->line))
        clock_sleep_until(now_ns + (now_ns - started_ns));
}

/* Returns false when the scan should stop. */
static bool scan_one(struct scan_scan *scan, unsigned unit, struct driver_error *error)
{
    unsigned exception;
    int64_t started_ns = clock_mono_ns();
    enum scan_verdict verdict = scan_unit(scan->line, unit, &exception, error);
    switch (verdict) {
    case SCAN_ANSWERS:
        scan->answered++;
        scan_report(scan, unit, verdict, exception);
        break;
    case SCAN_GARBLED:
        scan->garbled++;
        scan_report(scan, unit, verdict, exception);
        break;
    case SCAN_NO_LINE:
        if (++scan->out_of_reach >= GIVE_UP_AFTER && scan->answered + scan->garbled == 0)
            return false;
        leave_time_for_polls(scan, started_ns);
        break;
    case SCAN_SILENT:
        leave_time_for_polls(scan, started_ns);
        break;
    }
    return true;
}

static int scan_conclude(const struct scan_scan *scan, bool finished,
                         const struct driver_error *error)
{
    const char *bus = scan->line->bus->name;
    if (scan->context->json) {
        json_t *document =
            json_pack("{s:s,s:i,s:i,s:b,s:O}", "bus", bus, "first", (int)scan->first, "last",
                      (int)scan->last, "complete", finished, "units", scan->units);
        (void)cli_print_json(document);
    }
    if (!finished)
        return cli_fail(CLI_FAILED, "scan", "line %s: %s", bus, error->text);
    if (scan->answered + scan->garbled == 0)
        return cli_fail(CLI_FAILED, "scan",
                        "line %s: no unit from %u to %u answers; check its host and port, or its "
                        "speed, parity and wiring",
                        bus, scan->first, scan->last);
    return CLI_DONE;
}

static int scan_run(struct scan_scan *scan)
{
    struct driver_error error = {""};
    bool finished = true;
    scan->shows_progress = isatty(STDERR_FILENO) == 1;
    scan->units = json_array();
    for (unsigned unit = scan->first; finished && unit <= scan->last; unit++) {
        show_progress(scan, unit);
        finished = scan_one(scan, unit, &error);
    }
    end_progress(scan);
    int code = scan_conclude(scan, finished, &error);
    json_decref(scan->units);
    return code;
}

static int scan_bus(const struct cli_context *context, const struct config *config,
                    const char *name, struct scan_scan *scan)
{
    CLEANUP(plant_close) struct plant_line line = {.agent = -1};
    const struct config_bus *bus = config_find_bus(config, name);
    if (!bus)
        return cli_fail(CLI_FAILED, "scan", "%s has no line \"%s\"", context->agent_file, name);
    int code = plant_open("scan", config, bus, &line);
    scan->line = &line;
    if (code == CLI_DONE)
        code = scan_run(scan);
    scan->line = NULL;
    return code;
}

static int run_scan(const struct cli_context *context, int argc, char **argv)
{
    struct scan_scan scan = {.context = context};
    const char *units = "1-247"; /* MODBUS over Serial Line V1.02, section 2.2 */
    const struct cli_option options[] = {{.name = "--units", .text = &units}, {.name = NULL}};
    if (cli_options(argc, argv, options) != 2)
        return cli_usage(context);
    if (!scan_parse_units(units, &scan.first, &scan.last))
        return cli_fail(CLI_USAGE, "scan", "--units: \"%s\" is not A-B or A, 0 to 255", units);
    struct config *config = agent_load_config(context);
    if (!config)
        return CLI_FAILED;
    int code = scan_bus(context, config, argv[1], &scan);
    config_free(config);
    return code;
}

const struct cli_command command_scan = {
    .name = "scan",
    .usage = "LINE [--units 1-247]",
    .help = "lists the units that answer on a line",
    .run = run_scan,
};
