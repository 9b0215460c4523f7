/* A strict reader of CSV. */
#include "config/load/csv.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

void csv_begin(struct csv *csv, const char *text, size_t length)
{
    *csv = (struct csv){.at = text, .end = text + length, .line = 1};
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        csv->at += 3;
}

void csv_row_free(struct csv_row *row)
{
    strbuf_free(&row->text);
}

const char *csv_field(const struct csv_row *row, size_t index)
{
    return index < row->n_fields ? row->text.data + row->fields[index].offset : "";
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

static void skip_blanks(struct csv *csv)
{
    while (csv->at < csv->end && is_blank(*csv->at))
        csv->at++;
}

/* Whether a line ends here: LF, CRLF, or the text itself. */
static bool at_break(const struct csv *csv)
{
    if (csv->at == csv->end || *csv->at == '\n')
        return true;
    return *csv->at == '\r' && (csv->at + 1 == csv->end || csv->at[1] == '\n');
}

static void skip_break(struct csv *csv)
{
    if (csv->at < csv->end && *csv->at == '\r')
        csv->at++;
    if (csv->at < csv->end && *csv->at == '\n')
        csv->at++;
    csv->line++;
}

/* A field in quotes, where "" stands for a quote. Returns why it cannot be read, or NULL. */
static const char *take_quoted(struct csv *csv, struct strbuf *out)
{
    for (csv->at++; csv->at < csv->end; csv->at++) {
        if (*csv->at == '"' && (csv->at + 1 == csv->end || csv->at[1] != '"')) {
            csv->at++;
            skip_blanks(csv);
            return at_break(csv) || *csv->at == ','
                       ? NULL
                       : "a comma must follow the quoted field; a quote inside is written \"\"";
        }
        csv->at += *csv->at == '"';
        csv->line += *csv->at == '\n';
        strbuf_add_char(out, *csv->at);
    }
    return "the quoted field that begins here is never closed";
}

static const char *take_plain(struct csv *csv, struct strbuf *out)
{
    const char *start = csv->at;
    while (!at_break(csv) && *csv->at != ',') {
        if (*csv->at == '"')
            return "a field with a quote inside must be quoted, and the quote written \"\"";
        csv->at++;
    }
    const char *end = csv->at;
    while (end > start && is_blank(end[-1]))
        end--;
    strbuf_append(out, start, (size_t)(end - start));
    return NULL;
}

/* One field, up to the comma or line break that follows it. */
static const char *take_field(struct csv *csv, struct csv_row *row)
{
    if (row->n_fields == CSV_MAX_FIELDS)
        return "too many fields in one row; the limit is 128";
    row->fields[row->n_fields].offset = row->text.length;
    row->fields[row->n_fields].line = csv->line;
    row->n_fields++;
    skip_blanks(csv);
    bool quoted = csv->at < csv->end && *csv->at == '"';
    const char *reason = quoted ? take_quoted(csv, &row->text) : take_plain(csv, &row->text);
    strbuf_add_char(&row->text, '\0');
    return reason;
}

/* Skips blank lines. Returns whether anything follows. */
static bool find_row(struct csv *csv)
{
    while (csv->at < csv->end) {
        struct csv ahead = *csv;
        skip_blanks(&ahead);
        if (!at_break(&ahead))
            return true;
        *csv = ahead;
        skip_break(csv);
    }
    return false;
}

int csv_next(struct csv *csv, struct csv_row *row, const char **ret_reason, unsigned *ret_line)
{
    strbuf_reset(&row->text);
    row->n_fields = 0;
    if (!find_row(csv))
        return 0;
    row->line = csv->line;
    for (;;) {
        const char *reason = take_field(csv, row);
        if (reason) {
            *ret_reason = reason;
            *ret_line = row->fields[row->n_fields - 1].line;
            csv->at = csv->end;
            return -EINVAL;
        }
        if (at_break(csv))
            break;
        csv->at++; /* the comma */
    }
    skip_break(csv);
    return 1;
}
