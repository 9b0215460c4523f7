/* How every subcommand prints. */
#include "agent/cli/cli_print.h"

#include "agent/base/memory.h"
#include "agent/base/text.h"
#include "agent/cli/cli_exit.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS 12 /* of a number in JSON: enough for times, rates and percentages */

void cli_print(FILE *out, const char *format, ...)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    CLEANUP(memory_free_pointer) char *raw = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&raw, format, arguments);
    va_end(arguments);
    if (length < 0) {
        raw = NULL; /* as the call left it: undefined */
        return;
    }
    text_escape(&text, raw, (size_t)length, TEXT_LINES);
    (void)fputs(strbuf_text(&text), out);
}

int cli_print_json(json_t *document)
{
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    CLEANUP(memory_free_pointer)
    char *text =
        json_dumps(document, JSON_ENCODE_ANY | JSON_INDENT(2) | JSON_REAL_PRECISION(DIGITS));
    json_decref(document);
    if (!text)
        return CLI_FAILED;
    text_escape(&out, text, strlen(text), TEXT_DOCUMENT);
    strbuf_add_char(&out, '\n');
    return fputs(strbuf_text(&out), stdout) < 0 ? CLI_FAILED : CLI_DONE;
}

void cli_put(FILE *out, const char *text)
{
    (void)fputs(text, out);
}
