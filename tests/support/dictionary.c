/* The fuzzer's dictionary. */
#include "tests/support/dictionary.h"

#include "config/print/key_docs.h"
#include "drivers/driver.h"

static void print_row(const struct option *row, struct strbuf *out)
{
    strbuf_addf(out, "\"%s = \"\n", row->key);
    for (size_t i = 0; row->names && row->names[i]; i++)
        strbuf_addf(out, "\"\\\"%s\\\"\"\n", row->names[i]);
}

void dictionary_print(struct strbuf *out)
{
    static const char *const marks[] = {"gateway: {", "uplink: {", "outbox: {",  "buses: (",
                                        "devices: (", "tags = (",  "},{",        "};",
                                        ");",         "[ ",        " ]",         "/*",
                                        "*/",         "true",      "0x7fffffffL"};
    CLEANUP(key_docs_free) struct key_docs topics;
    strbuf_add(out, "# Made from the tables of keys: build the target generate-docs.\n");
    for (size_t i = 0; i < ARRAY_LENGTH(marks); i++)
        strbuf_addf(out, "\"%s\"\n", marks[i]);
    for (size_t i = 0; drivers_for_config()[i]; i++)
        strbuf_addf(out, "\"\\\"%s\\\"\"\n", drivers_for_config()[i]->name);
    key_docs_make(drivers_for_config(), &topics);
    for (size_t i = 0; i < topics.length; i++) {
        for (size_t j = 0; j < topics.items[i].table->n_rows; j++)
            print_row(&topics.items[i].table->rows[j], out);
    }
}
