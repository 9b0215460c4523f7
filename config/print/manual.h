/*
 * Tables of keys as sections of a manual page, in the mdoc(7) language. Of a page in packaging/man
 * the part between the two marks is made from the tables, by the target generate-docs; a test
 * fails when it is stale. Pure; any thread.
 */
#ifndef SALLYPORT_CONFIG_PRINT_MANUAL_H
#define SALLYPORT_CONFIG_PRINT_MANUAL_H

#include "config/schema/config.h"
#include "config/schema/option.h"

/* The lines of a page that enclose what is generated. */
#define MANUAL_BEGIN                                                                               \
    ".\\\" From here on made from the tables of keys by the target generate-docs.\n"
#define MANUAL_END ".\\\" End of what is generated.\n"

/* What a change of the key at ROW requires, as text without a full stop; NULL: nothing. */
typedef const char *manual_change(const struct option_table *table, const struct option *row);

/*
 * Appends TEXT as lines of a page: each sentence begins a line, no line is longer than 78 bytes if
 * its words allow it, no character is treated as markup, text in backquotes is bold.
 */
void manual_print_text(const char *text, struct strbuf *out);

/* Appends a subsection called PATH with one item for each key of TABLE. HELP: one sentence. */
void manual_print_table(const struct option_table *table, const char *path, const char *help,
                        manual_change *change, struct strbuf *out);

/* Appends all keys of sallyport.conf, enclosed by the marks; what the page must contain. */
void manual_print_config(const struct config_driver *const *drivers, struct strbuf *out);

#endif
