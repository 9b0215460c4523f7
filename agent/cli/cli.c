/* How every subcommand reports an error. */
#include "agent/cli/cli.h"

#include <stdarg.h>

int cli_fail(int code, const char *name, const char *format, ...)
{
    va_list arguments;
    (void)fprintf(stderr, "sallyport: %s: ", name);
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fputc('\n', stderr);
    return code;
}

int cli_usage(const struct cli_context *context)
{
    (void)fprintf(stderr, "usage: sallyport %s %s\n", context->command->name,
                  context->command->usage);
    return CLI_USAGE;
}
