/*
 * CSV as RFC 4180 describes it, row by row: commas, fields in double quotes where they need it,
 * lines ended by LF or CRLF. Pure; works in the caller's text and takes no copy of it.
 */
#ifndef SALLYPORT_CONFIG_LOAD_CSV_H
#define SALLYPORT_CONFIG_LOAD_CSV_H

#include "agent/base/strbuf.h"

#include <stddef.h>

#define CSV_MAX_FIELDS 128

struct csv {
    const char *at, *end;
    unsigned line; /* of `at`, counting from 1 */
};

struct csv_row {
    unsigned line; /* where it begins */
    size_t n_fields;
    struct {
        size_t offset; /* of the field's text in `text`, NUL-terminated */
        unsigned line; /* where the field begins: a quoted one may contain line breaks */
    } fields[CSV_MAX_FIELDS];
    struct strbuf text; /* owned; reused from row to row */
};

#define CSV_ROW_EMPTY                                                                              \
    {                                                                                              \
        .text = STRBUF_EMPTY                                                                       \
    }

/* Begins at TEXT, past a byte order mark. */
void csv_begin(struct csv *csv, const char *text, size_t length);

/*
 * Reads the next row that is not blank. Blanks around an unquoted field are dropped. Returns 1,
 * or 0 at the end; or -EINVAL with what is wrong in RET_REASON (a constant) and where in
 * RET_LINE: nothing after it can be read.
 */
int csv_next(struct csv *csv, struct csv_row *row, const char **ret_reason, unsigned *ret_line);

/* Field INDEX of the row, "" when the row is shorter. */
const char *csv_field(const struct csv_row *row, size_t index);

void csv_row_free(struct csv_row *row); /* fit for CLEANUP() */

#endif
