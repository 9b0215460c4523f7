/* The two documents that are generated from the tables: the reference, and the example file. */
#include "config/print/reference.h"

#include "agent/base/memory.h"
#include "config/print/key_docs.h"
#include "config/schema/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMENT_COLUMNS 96

/* Appends the text that PRINT makes, fit for a cell of a Markdown table. */
static void print_cell(const struct strbuf *text, struct strbuf *out)
{
    for (size_t i = 0; i < text->length; i++) {
        if (text->data[i] == '|')
            strbuf_add_char(out, '\\');
        strbuf_add_char(out, text->data[i]);
    }
}

static void print_reference_row(const struct key_doc *topic, const struct option *row,
                                struct strbuf *out)
{
    CLEANUP(strbuf_free) struct strbuf type = STRBUF_EMPTY, fallback = STRBUF_EMPTY;
    CLEANUP(strbuf_free) struct strbuf help = STRBUF_EMPTY;
    option_print_type(row, &type);
    option_print_default(topic->table, row, &fallback);
    strbuf_add(&help, row->help);
    strbuf_addf(out, "| `%s` | ", row->key);
    print_cell(&type, out);
    strbuf_add(out, " | ");
    print_cell(&fallback, out);
    strbuf_addf(out, " | %s | ", option_reload_text(row));
    print_cell(&help, out);
    strbuf_add(out, " |\n");
}

void config_reference(const struct config_driver *const *drivers, struct strbuf *out)
{
    CLEANUP(key_docs_free) struct key_docs topics;
    key_docs_make(drivers, &topics);
    strbuf_add(out,
               "# Keys of sallyport.conf\n\n"
               "Generated from the tables in the source; `sallyport explain KEY` prints the same.\n"
               "The keys of a driver are in the same group as the general ones.\n");
    for (size_t i = 0; i < topics.length; i++) {
        const struct key_doc *topic = &topics.items[i];
        strbuf_addf(out, "\n## %s\n\n%s\n\n", topic->path, topic->help);
        strbuf_add(out, "| key | value | default | a change | meaning |\n|---|---|---|---|---|\n");
        for (size_t j = 0; j < topic->table->n_rows; j++)
            print_reference_row(topic, &topic->table->rows[j], out);
    }
}

/* Appends TEXT as comment lines of a bearable width. */
static void print_comment(const char *text, const char *indent, struct strbuf *out)
{
    size_t width = COMMENT_COLUMNS - strlen(indent);
    while (*text) {
        size_t length = strlen(text);
        if (length > width) {
            length = width;
            while (length > 0 && text[length] != ' ')
                length--;
            length = length ? length : width;
        }
        strbuf_addf(out, "%s# %.*s\n", indent, (int)length, text);
        text += length;
        text += *text == ' ';
    }
}

static const char *given_for(const struct config_given *given, const char *key)
{
    for (; given && given->key; given++) {
        if (strcmp(given->key, key) == 0)
            return given->value;
    }
    return NULL;
}

static bool is_shown(const struct option *row)
{
    return (row->flags & (OPTION_REQUIRED | OPTION_SHOWN)) != 0;
}

static void print_assignment(const struct option_table *table, const struct option *row,
                             const struct config_given *given, bool shown, const char *indent,
                             struct strbuf *out)
{
    const char *value = given_for(given, row->key);
    strbuf_addf(out, "%s%s%s = ", indent, shown ? "" : "#", row->key);
    if (value)
        strbuf_add(out, value);
    else if (row->example)
        value_print_literal(row, row->example, out);
    else
        option_print_default(table, row, out);
    strbuf_add(out, ";\n");
}

static void print_example_row(const struct option_table *table, const struct option *row,
                              const struct config_given *given, const char *indent,
                              struct strbuf *out)
{
    print_comment(row->help, indent, out);
    print_assignment(table, row, given, is_shown(row), indent, out);
}

void config_print_rows(const struct option_table *table, const struct config_given *given,
                       const char *indent, struct strbuf *out)
{
    for (size_t i = 0; i < table->n_rows; i++) {
        const struct option *row = &table->rows[i];
        print_comment(row->help, indent, out);
        print_assignment(table, row, given, given_for(given, row->key) != NULL, indent, out);
    }
}

static void print_example_rows(const struct option_table *table, const struct config_given *given,
                               const char *indent, struct strbuf *out)
{
    for (size_t i = 0; i < table->n_rows; i++)
        print_example_row(table, &table->rows[i], given, indent, out);
}

/* General keys: with their comments in the first element of a list, bare in the others. */
static void print_general_rows(const struct option_table *table, const struct config_given *given,
                               const char *indent, bool first, struct strbuf *out)
{
    for (size_t i = 0; i < table->n_rows; i++) {
        if (first)
            print_example_row(table, &table->rows[i], given, indent, out);
        else if (is_shown(&table->rows[i]))
            print_assignment(table, &table->rows[i], given, true, indent, out);
    }
}

static void print_example_group(const struct option_table *table, struct strbuf *out)
{
    strbuf_add_char(out, '\n');
    print_comment(table->help, "", out);
    strbuf_addf(out, "%s: {\n", table->path);
    print_example_rows(table, NULL, "  ", out);
    strbuf_add(out, "};\n");
}

static void print_example_bus(const struct config_driver *driver, bool first, struct strbuf *out)
{
    char name[128], quoted[128];
    (void)snprintf(name, sizeof(name), "\"line-%s\"", driver->name);
    (void)snprintf(quoted, sizeof(quoted), "\"%s\"", driver->name);
    const struct config_given names[] = {{"name", name}, {"driver", quoted}, {NULL, NULL}};
    print_comment(driver->help, "  ", out);
    strbuf_add(out, "  {\n");
    print_general_rows(&config_bus_table, names, "    ", first, out);
    print_example_rows(&driver->bus, NULL, "    ", out);
    strbuf_add(out, "  }");
}

static void print_example_device(const struct config_driver *driver, bool first, struct strbuf *out)
{
    char bus[128], name[128];
    (void)snprintf(bus, sizeof(bus), "\"line-%s\"", driver->name);
    (void)snprintf(name, sizeof(name), "\"device-%s\"", driver->name);
    const struct config_given names[] = {{"name", name}, {"bus", bus}, {NULL, NULL}};
    strbuf_add(out, "  {\n");
    print_general_rows(&config_device_table, names, "    ", first, out);
    print_example_rows(&driver->device, NULL, "    ", out);
    strbuf_add(out, "    tags = (\n      {\n");
    print_general_rows(&config_tag_table, NULL, "        ", first, out);
    print_example_rows(&driver->tag, NULL, "        ", out);
    strbuf_add(out, "      }\n    );\n  }");
}

void config_example(const struct config_driver *const *drivers, struct strbuf *out)
{
    print_comment(
        "The configuration of sallyportd. Lines that begin with #KEY show the default, or "
        "an example where there is none. `sallyport check` finds mistakes, `sallyport "
        "explain KEY` says more about a key. The files of conf.d beside this one may add "
        "to `buses` and `devices`.",
        "", out);
    print_example_group(&config_gateway_table, out);
    print_example_group(&config_uplink_table, out);
    print_example_group(&config_outbox_table, out);
    strbuf_add_char(out, '\n');
    print_comment(config_bus_table.help, "", out);
    strbuf_addf(out, "%s: (\n", config_bus_table.path);
    for (size_t i = 0; drivers[i]; i++) {
        print_example_bus(drivers[i], i == 0, out);
        strbuf_add(out, drivers[i + 1] ? ",\n" : "\n");
    }
    strbuf_add(out, ");\n\n");
    print_comment(config_device_table.help, "", out);
    strbuf_addf(out, "%s: (\n", config_device_table.path);
    for (size_t i = 0; drivers[i]; i++) {
        print_example_device(drivers[i], i == 0, out);
        strbuf_add(out, drivers[i + 1] ? ",\n" : "\n");
    }
    strbuf_add(out, ");\n");
}
