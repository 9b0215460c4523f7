/* The tables of keys by name, and what can be said of any key. */
#include "config/print/key_docs.h"

#include "agent/base/memory.h"
#include "config/schema/table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void add(struct key_docs *topics, const struct option_table *table, const char *path,
                const char *driver, const char *help)
{
    struct key_doc *topic = &topics->items[topics->length++];
    *topic = (struct key_doc){.help = help, .table = table};
    (void)snprintf(topic->path, sizeof(topic->path), "%s%s%s", path, driver ? "." : "",
                   driver ? driver : "");
}

static void add_with_drivers(struct key_docs *topics, const struct option_table *general,
                             const struct config_driver *const *drivers, size_t table_offset)
{
    add(topics, general, general->path, NULL, general->help);
    for (size_t i = 0; drivers[i]; i++) {
        const struct option_table *table =
            (const struct option_table *)((const char *)drivers[i] + table_offset);
        if (table->n_rows > 0)
            add(topics, table, general->path, drivers[i]->name, drivers[i]->help);
    }
}

void key_docs_make(const struct config_driver *const *drivers, struct key_docs *ret_topics)
{
    size_t n_drivers = 0;
    while (drivers[n_drivers])
        n_drivers++;
    *ret_topics = (struct key_docs){
        .items = memory_zeroed(6 + 3 * n_drivers, sizeof(*ret_topics->items)),
    };
    add(ret_topics, &config_gateway_table, "gateway", NULL, config_gateway_table.help);
    add(ret_topics, &config_uplink_table, "uplink", NULL, config_uplink_table.help);
    add(ret_topics, &config_outbox_table, "outbox", NULL, config_outbox_table.help);
    add_with_drivers(ret_topics, &config_bus_table, drivers, offsetof(struct config_driver, bus));
    add_with_drivers(ret_topics, &config_device_table, drivers,
                     offsetof(struct config_driver, device));
    add_with_drivers(ret_topics, &config_tag_table, drivers, offsetof(struct config_driver, tag));
}

void key_docs_free(struct key_docs *topics)
{
    free(topics->items);
    *topics = (struct key_docs){NULL, 0};
}

static void print_names(const struct option *row, struct strbuf *out)
{
    for (size_t i = 0; row->names && row->names[i]; i++)
        strbuf_addf(out, "%s\"%s\"", i ? ", " : "", row->names[i]);
}

void option_print_type(const struct option *row, struct strbuf *out)
{
    double max = row->max > 0 ? row->max : 1024;
    switch (row->type) {
    case OPTION_BOOL:
        strbuf_add(out, "true or false");
        return;
    case OPTION_INT:
        strbuf_add(out, "whole number, ");
        value_print_range(row, out);
        return;
    case OPTION_FLOAT:
        strbuf_add(out, "number, ");
        value_print_range(row, out);
        return;
    case OPTION_ENUM:
        strbuf_add(out, "one of ");
        print_names(row, out);
        return;
    case OPTION_TEXT:
        strbuf_addf(out, "text, %.0f to %.0f bytes", row->min, max);
        return;
    case OPTION_PORTS:
        strbuf_add(out, "whole number, ");
        value_print_range(row, out);
        strbuf_add(out, ", or two as a text, \"FIRST-LAST\"");
        return;
    case OPTION_BYTES:
        strbuf_addf(out, "text with any characters (\\r, \\n, \\xNN), %.0f to %.0f bytes", row->min,
                    max);
        return;
    case OPTION_NAME:
        strbuf_add(out, "name, 1 to 64 of A-Z a-z 0-9 _ . -");
        return;
    case OPTION_ID:
        strbuf_add(out, "name, 1 to 64 of A-Z a-z 0-9 _ -");
        return;
    case OPTION_PATH:
        strbuf_add(out, "file name");
        if (row->names) {
            strbuf_add(out, ", or ");
            print_names(row, out);
        }
        return;
    case OPTION_TEXT_LIST:
        strbuf_addf(out, "list of %.0f to %.0f texts", row->min, max);
        return;
    }
}

void option_print_default(const struct option_table *table, const struct option *row,
                          struct strbuf *out)
{
    if (row->flags & OPTION_REQUIRED) {
        strbuf_add(out, "required");
        return;
    }
    void *values = table_new(table);
    if (row->fallback && value_is_set(row, values))
        value_print(row, values, out);
    else
        strbuf_add(out, "none");
    table_free(table, values);
    free(values);
}

const char *option_reload_text(const struct option *row)
{
    switch (row->reload) {
    case RELOAD_LIVE:
        return "at once";
    case RELOAD_LINE:
        return "restarts the line";
    case RELOAD_UPLINK:
        return "reconnects to the broker";
    case RELOAD_RESTART:
        return "needs a restart of the service";
    }
    return "";
}
