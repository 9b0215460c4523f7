/* What is wrong with a configuration, all of it at once. */
#include "config/schema/finding.h"

#include "agent/base/memory.h"
#include "agent/base/text.h"

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

/* A copy for a person, owned: a quotation from a file must not break the line, or hide a part. */
static char *shown(const char *text)
{
    struct strbuf out = STRBUF_EMPTY;
    strbuf_add(&out, "");
    text_escape(&out, text, strlen(text), TEXT_SHOWN);
    return out.data;
}

void findings_add(struct findings *findings, enum severity severity, struct where where,
                  const char *key, const char *format, ...)
{
    findings->errors += severity == FINDING_ERROR;
    if (findings->length == FINDINGS_MAX) {
        findings->dropped++;
        return;
    }
    if (findings->length == findings->capacity) {
        findings->capacity = findings->capacity ? 2 * findings->capacity : 16;
        findings->items =
            memory_resize(findings->items, findings->capacity, sizeof(*findings->items));
    }
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    size_t size = length > 0 ? (size_t)length + 1 : 1;
    CLEANUP(memory_free_pointer)
    char *text = memory_zeroed(size, 1); /* of any length: some hold what to paste */
    (void)vsnprintf(text, size, format, again);
    va_end(again);
    findings->items[findings->length] = (struct finding){
        .severity = severity,
        .file = shown(where.file ? where.file : ""),
        .line = where.line,
        .key = shown(key ? key : ""),
        .text = shown(text),
        .order = findings->length,
    };
    findings->length++;
}

static int finding_compare(const void *left, const void *right)
{
    const struct finding *a = left, *b = right;
    int order = strcmp(a->file, b->file);
    if (order)
        return order;
    if (a->line != b->line)
        return a->line < b->line ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

void findings_sort(struct findings *findings)
{
    if (findings->length)
        qsort(findings->items, findings->length, sizeof(*findings->items), finding_compare);
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
    if (findings->dropped)
        strbuf_addf(out, "... and %zu more\n", findings->dropped);
}
