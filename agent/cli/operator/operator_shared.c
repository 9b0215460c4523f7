/* What the actions of `sallyport operator` share. */
#include "agent/cli/operator/operator_shared.h"

#include "agent/base/memory.h"

#include <stdio.h>
#include <time.h>

int operator_usage(const struct operator_action *action)
{
    cli_print(stderr, "usage: sallyport operator %s %s\n", action->name, action->usage);
    return CLI_USAGE;
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
    cli_print(stderr, "%s", strbuf_text(&text));
    return cli_fail(CLI_FAILED, name, "the operator's configuration cannot be used");
}

int operator_print_json(json_t *document)
{
    int code = cli_print_json(document);
    return ferror(stdout) ? CLI_FAILED : code;
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
