/* How every subcommand reports an error. */
#include "agent/cli/cli.h"

#include "agent/base/text.h"

#include <stdarg.h>

#define MESSAGE_BYTES 4096

int cli_fail(int code, const char *name, const char *format, ...)
{
    char raw[MESSAGE_BYTES] = "", text[MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(raw, sizeof(raw), format, arguments);
    va_end(arguments);
    text_show(text, sizeof(text), raw);
    (void)fprintf(stderr, "sallyport: %s: %s\n", name, text);
    return code;
}

int cli_usage(const struct cli_context *context)
{
    (void)fprintf(stderr, "usage: sallyport %s %s\n", context->command->name,
                  context->command->usage);
    return CLI_USAGE;
}
