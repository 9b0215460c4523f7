/* What is wrong with a configuration, all of it at once. */
#include "config/finding.h"

#include "agent/base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void findings_free(struct findings *findings)
{
    for (size_t i = 0; i < findings->length; i++) {
        free(findings->items[i].file);
        free(findings->items[i].key);
        free(findings->items[i].text);
    }
    free(findings->items);
    *findings = (struct findings)FINDINGS_EMPTY;
}

void findings_add(struct findings *findings, enum severity severity, struct where where,
                  const char *key, const char *format, ...)
{
    if (findings->length == findings->capacity) {
        findings->capacity = findings->capacity ? 2 * findings->capacity : 16;
        findings->items =
            memory_resize(findings->items, findings->capacity, sizeof(*findings->items));
    }
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    for (char *at = text; *at; at++) {
        if ((unsigned char)*at < 0x20)
            *at = '?'; /* a value quoted from the file must not break the line */
    }
    findings->items[findings->length++] = (struct finding){
        .severity = severity,
        .file = memory_text(where.file ? where.file : ""),
        .line = where.line,
        .key = memory_text(key ? key : ""),
        .text = memory_text(text),
    };
    findings->errors += severity == FINDING_ERROR;
}

static bool comes_after(const struct finding *a, const struct finding *b)
{
    int order = strcmp(a->file, b->file);
    return order > 0 || (order == 0 && a->line > b->line);
}

void findings_sort(struct findings *findings)
{
    for (size_t i = 1; i < findings->length; i++) { /* insertion: stable, and the list is short */
        struct finding moved = findings->items[i];
        size_t at = i;
        for (; at > 0 && comes_after(&findings->items[at - 1], &moved); at--)
            findings->items[at] = findings->items[at - 1];
        findings->items[at] = moved;
    }
}

void findings_print(const struct findings *findings, struct strbuf *out)
{
    for (size_t i = 0; i < findings->length; i++) {
        const struct finding *finding = &findings->items[i];
        strbuf_addf(out, "%s:%u: ", finding->file, finding->line);
        if (finding->key[0])
            strbuf_addf(out, "%s: ", finding->key);
        strbuf_addf(out, "%s%s\n", finding->severity == FINDING_WARNING ? "warning: " : "",
                    finding->text);
    }
}
