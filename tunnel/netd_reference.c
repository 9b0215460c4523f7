/* netd.conf for a reader: the commented example file, and the reference of each key. */
#include "config/nearest.h"
#include "config/table.h"
#include "tunnel/netd_config.h"
#include "tunnel/netd_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS 96

/* ---- One key ---- */

static void put_type(const struct option *row, struct strbuf *out)
{
    switch (row->type) {
    case OPTION_INT:
        strbuf_addf(out, "whole number, %.0f to %.0f", row->min, row->max);
        break;
    case OPTION_ENUM:
        for (size_t i = 0; row->names[i]; i++)
            strbuf_addf(out, "%s\"%s\"", i ? " or " : "", row->names[i]);
        break;
    case OPTION_TEXT_LIST:
        strbuf_addf(out, "list of %.0f to %.0f texts", row->min, row->max);
        break;
    case OPTION_PATH:
        strbuf_add(out, "file name");
        break;
    default: /* the other types are all texts to a reader, and their bounds say nothing to him */
        strbuf_add(out, "text");
        break;
    }
    if (row->unit)
        strbuf_addf(out, " (%s)", row->unit);
}

/* The default as the file would say it; "" when there is none. */
static void put_default(const struct option_table *table, const struct option *row,
                        struct strbuf *out)
{
    void *values = table_new(table);
    if (row->fallback)
        value_print(row, values, out);
    table_free(table, values);
    free(values);
}

static void explain_row(const struct option_table *table, const struct option *row,
                        struct strbuf *out)
{
    strbuf_addf(out, "%s.%s\n  %s\n  type:    ", table->path, row->key, row->help);
    put_type(row, out);
    strbuf_add(out, "\n  default: ");
    size_t before = out->length;
    put_default(table, row, out);
    if (out->length == before)
        strbuf_add(out, row->flags & OPTION_REQUIRED ? "required" : "none");
    if (row->example)
        strbuf_addf(out, "\n  example: %s", row->example);
    strbuf_add(out, "\n  reload:  needs a restart of sallyport-netd; the firewall's keys also by "
                    "`sallyport firewall apply`\n");
}

static void explain_table(const struct option_table *table, struct strbuf *out)
{
    strbuf_addf(out, "%s\n  %s\n", table->path, table->help);
    for (size_t i = 0; i < table->n_rows; i++)
        strbuf_addf(out, "  %s.%s\n      %s\n", table->path, table->rows[i].key,
                    table->rows[i].help);
}

int netd_config_explain(const char *key, struct strbuf *out)
{
    struct nearest nearest = {.word = key ? key : ""};
    char whole[FULL_KEY_BYTES], best[FULL_KEY_BYTES] = "";
    for (size_t i = 0; netd_config_tables[i]; i++) {
        const struct option_table *table = netd_config_tables[i];
        if (!key || strcmp(key, table->path) == 0)
            explain_table(table, out);
        if (key && strcmp(key, table->path) == 0)
            return 0;
        for (size_t j = 0; key && j < table->n_rows; j++) {
            size_t before = nearest.best ? nearest.distance : SIZE_MAX;
            (void)full_key(table->path, table->rows[j].key, whole, sizeof(whole));
            if (strcmp(key, whole) == 0) {
                explain_row(table, &table->rows[j], out);
                return 0;
            }
            nearest_offer(&nearest, whole);
            if (nearest.best && nearest.distance < before)
                (void)snprintf(best, sizeof(best), "%s", whole);
        }
    }
    if (!key)
        return 0;
    strbuf_addf(out, "there is no key \"%.64s\" in netd.conf%s%s%s\n", key,
                best[0] ? "; did you mean \"" : "", best, best[0] ? "\"?" : "");
    return -ENOENT;
}

/* ---- The example ---- */

static void put_comment(const char *indent, const char *text, struct strbuf *out)
{
    while (*text) {
        size_t room = COLUMNS - strlen(indent) - 2, length = strlen(text);
        if (length > room) {
            length = room;
            while (length > 0 && text[length] != ' ')
                length--;
        }
        strbuf_addf(out, "%s# %.*s\n", indent, (int)length, text);
        text += length + (text[length] == ' ');
    }
}

static void put_row(const struct option_table *table, const struct option *row, const char *indent,
                    struct strbuf *out)
{
    CLEANUP(strbuf_free) struct strbuf fallback = STRBUF_EMPTY;
    put_default(table, row, &fallback);
    put_comment(indent, row->help, out);
    bool is_shown = row->example != NULL;
    strbuf_addf(out, "%s%s%s = %s;\n", indent, is_shown ? "" : "#", row->key,
                row->example      ? row->example
                : fallback.length ? fallback.data
                                  : "\"\"");
}

static void put_rows(const struct option_table *table, const char *indent, struct strbuf *out)
{
    put_comment(indent, table->help, out);
    for (size_t i = 0; i < table->n_rows; i++)
        put_row(table, &table->rows[i], indent, out);
}

/* The keys of a list's elements as comments, and one element in one line. */
static void put_list(const struct option_table *table, const char *name, const char *elements,
                     struct strbuf *out)
{
    strbuf_add_char(out, '\n');
    put_comment("    ", table->help, out);
    for (size_t i = 0; i < table->n_rows; i++) {
        CLEANUP(strbuf_free) struct strbuf line = STRBUF_EMPTY;
        strbuf_addf(&line, "  %s: %s", table->rows[i].key, table->rows[i].help);
        put_comment("    ", line.data, out);
    }
    strbuf_addf(out, "    %s = (%s);\n", name, elements);
}

void netd_config_example(struct strbuf *out)
{
    strbuf_add(out,
               "# Configuration of sallyport-netd, the warden: firewall and maintenance tunnel.\n"
               "# Belongs to root, and nobody else may write it. Check with: sallyport-netd -t\n"
               "# A line that begins with #key shows the default.\n\n");
    strbuf_add(out, "firewall: {\n");
    put_rows(&netd_firewall_table, "    ", out);
    put_list(&netd_exception_table, "exceptions", "", out);
    strbuf_add(out, "    # for example: exceptions = ( { interface = \"eth1\"; "
                    "source = \"192.168.10.20\"; port = 22; } );\n");
    put_list(&netd_egress_table, "egress_allow", "", out);
    strbuf_add(out, "};\n\npaths: {\n");
    put_rows(&netd_paths_table, "    ", out);
    strbuf_add(out, "};\n\naccess: {\n");
    put_rows(&netd_access_table, "    ", out);
    strbuf_add(out, "};\n\ntunnel: {\n");
    put_rows(&netd_tunnel_table, "    ", out);
    strbuf_add(out, "\n    hub = {\n");
    put_rows(&netd_hub_table, "        ", out);
    strbuf_add(out, "    };\n");
    put_list(
        &netd_service_table, "services",
        "\n        { name = \"ssh\"; protocol = \"tcp\"; port = 22; },\n"
        "        { name = \"plc1\"; protocol = \"tcp\"; port = 502; target = \"192.168.10.5\"; "
        "interface = \"eth1\"; }\n    ",
        out);
    strbuf_add(out, "};\n");
}
