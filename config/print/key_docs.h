/*
 * Every table of keys of sallyport.conf with the name that the documents use for it: "uplink",
 * "buses", "buses.modbus_tcp", "devices.tags.modbus_tcp". Everything that explains, documents or
 * demonstrates keys walks these.
 */
#ifndef SALLYPORT_CONFIG_SCHEMA_KEY_DOCS_H
#define SALLYPORT_CONFIG_SCHEMA_KEY_DOCS_H

#include "config/schema/config.h"

struct key_doc {
    char path[128];
    const char *help; /* one sentence */
    const struct option_table *table;
};

struct key_docs {
    struct key_doc *items;
    size_t length;
};

void key_docs_make(const struct config_driver *const *drivers, struct key_docs *ret_topics);
void key_docs_free(struct key_docs *topics); /* fit for CLEANUP() */

/* What is known of one key, as text. All append to OUT. */
void option_print_type(const struct option *row, struct strbuf *out);
/* As it would be written, "required", or "none". */
void option_print_default(const struct option_table *table, const struct option *row,
                          struct strbuf *out);
const char *option_reload_text(const struct option *row);

#endif
