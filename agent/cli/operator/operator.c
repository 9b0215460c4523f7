/* `sallyport operator`: the actions of a technician, and what they share. */
#include "agent/cli/operator/operator.h"

#include "agent/base/macros.h"
#include "agent/base/memory.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct {
    const char *name, *usage;
    int (*run)(const struct cli_context *context, int argc, char **argv);
} actions[] = {
    {"keygen", "[-f FILE] [--hardware] [--name NAME]", operator_keygen},
    {"list", "[SITE] [--wait SECONDS]", operator_list},
    {"watch", "[SITE/ID] [--count N]", operator_watch},
    {"open",
     "SITE/ID --service NAME,... --ttl 1h --reason TEXT [--yes] [--timeout SECONDS] "
     "[--print [--challenge HEX]]",
     operator_command},
    {"extend",
     "SITE/ID --ttl 1h --reason TEXT [--yes] [--timeout SECONDS] [--print [--challenge HEX]]",
     operator_command},
    {"close", "SITE/ID [--yes] [--timeout SECONDS] [--print [--challenge HEX]]", operator_command},
};

void cli_operator_print_actions(FILE *out)
{
    for (size_t i = 0; i < ARRAY_LENGTH(actions); i++)
        (void)fprintf(out, "usage: sallyport operator %s %s\n", actions[i].name, actions[i].usage);
}

int operator_usage(const char *action)
{
    for (size_t i = 0; action && i < ARRAY_LENGTH(actions); i++) {
        if (strcmp(action, actions[i].name) == 0)
            (void)fprintf(stderr, "usage: sallyport operator %s %s\n", actions[i].name,
                          actions[i].usage);
    }
    if (!action)
        cli_operator_print_actions(stderr);
    return CLI_USAGE;
}

int cli_operator(const struct cli_context *context, int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < ARRAY_LENGTH(actions); i++) {
        if (strcmp(argv[1], actions[i].name) == 0)
            return actions[i].run(context, argc - 1, argv + 1);
    }
    return operator_usage(NULL);
}

int operator_load(const struct cli_context *context, const char *name,
                  struct operator_config **ret_config)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    CLEANUP(memory_free_pointer)
    char *path =
        context->agent_file_given ? memory_text(context->agent_file) : operator_config_path();
    if (operator_config_load(path, &findings, ret_config) == 0)
        return CLI_DONE;
    findings_sort(&findings);
    findings_print(&findings, &text);
    (void)fputs(strbuf_text(&text), stderr);
    return cli_fail(CLI_FAILED, name, "the operator's configuration cannot be used");
}

int operator_print_json(json_t *document)
{
    int problem = json_dumpf(document, stdout, JSON_ENSURE_ASCII | JSON_INDENT(2));
    json_decref(document);
    (void)putchar('\n');
    return problem || ferror(stdout) ? CLI_FAILED : CLI_DONE;
}

const char *operator_time_text(long long timestamp_ms, char *text, size_t size)
{
    time_t seconds = (time_t)(timestamp_ms / 1000);
    struct tm local;
    if (timestamp_ms <= 0 || !localtime_r(&seconds, &local) ||
        strftime(text, size, "%F %T", &local) == 0)
        (void)snprintf(text, size, "?");
    return text;
}
