/* What the tests of a first configuration found. */
#include "agent/cli/init/init_report.h"

#include "agent/base/text.h"
#include "agent/cli/cli_print.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void init_say(struct init_report *report, enum init_verdict verdict, const char *step,
              const char *format, ...)
{
    static const char *const marks[] = {"ok   ", "note ", "FAIL "};
    static const char *const words[] = {"ok", "note", "failed"};
    char said[768], text[768]; /* a part of it may come from a broker or a device */
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(said, sizeof(said), format, arguments);
    va_end(arguments);
    text_show(text, sizeof(text), said);
    report->bad += verdict == INIT_BAD;
    if (report->steps) {
        json_array_append_new(report->steps, json_pack("{s:s,s:s,s:s%}", "step", step, "result",
                                                       words[verdict], "text", text, strlen(text)));
        return;
    }
    cli_print(stdout, "%s %s: %s\n", marks[verdict], step, text);
    (void)fflush(stdout);
}
