/* netd.conf for a reader. */
#include "tunnel/config/netd_reference.h"

#include "config/print/key_docs.h"
#include "config/print/manual.h"
#include "config/schema/did_you_mean.h"
#include "config/schema/table.h"
#include "tunnel/config/netd_options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define COLUMNS 96

/* ---- One key ---- */

/* What a change takes, for a person. */
static const char *change_text(const struct option_table *table, const struct option *row)
{
    (void)row;
    return strncmp(table->path, "firewall", 8) == 0 || table == &netd_reach_table
               ? "needs a restart of sallyport-netd, or `sallyport firewall apply --confirm 60`"
               : "needs a restart of sallyport-netd";
}

static void netd_reference_explain_row(const struct option_table *table, const struct option *row,
                                       struct strbuf *out)
{
    strbuf_addf(out, "%s.%s\n  %s\n  type:    ", table->path, row->key, row->help);
    option_print_type(row, out);
    strbuf_add(out, "\n  default: ");
    option_print_default(table, row, out);
    if (row->example)
        strbuf_addf(out, "\n  example: %s", row->example);
    strbuf_addf(out, "\n  reload:  %s\n", change_text(table, row));
}

static void explain_table(const struct option_table *table, struct strbuf *out)
{
    strbuf_addf(out, "%s\n  %s\n", table->path, table->help);
    for (size_t i = 0; i < table->n_rows; i++)
        strbuf_addf(out, "  %s.%s\n      %s\n", table->path, table->rows[i].key,
                    table->rows[i].help);
}

int netd_reference_explain(const char *key, struct strbuf *out)
{
    struct did_you_mean nearest = {.word = key ? key : ""};
    char whole[FULL_KEY_BYTES], best[FULL_KEY_BYTES] = "";
    for (size_t i = 0; netd_option_tables[i]; i++) {
        const struct option_table *table = netd_option_tables[i];
        if (!key || strcmp(key, table->path) == 0)
            explain_table(table, out);
        if (key && strcmp(key, table->path) == 0)
            return 0;
        for (size_t j = 0; key && j < table->n_rows; j++) {
            size_t before = nearest.best ? nearest.distance : SIZE_MAX;
            (void)full_key(table->path, table->rows[j].key, whole, sizeof(whole));
            if (strcmp(key, whole) == 0) {
                netd_reference_explain_row(table, &table->rows[j], out);
                return 0;
            }
            did_you_mean_offer(&nearest, whole);
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
    put_comment(indent, row->help, out);
    strbuf_addf(out, "%s%s%s = ", indent, row->example ? "" : "#", row->key);
    if (row->example)
        strbuf_add(out, row->example);
    else if (row->fallback)
        option_print_default(table, row, out);
    else
        strbuf_add(out, row->type == OPTION_TEXT_LIST ? "[ ]" : "\"\"");
    strbuf_add(out, ";\n");
}

static void put_rows(const struct option_table *table, const char *indent, struct strbuf *out)
{
    put_comment(indent, table->help, out);
    for (size_t i = 0; i < table->n_rows; i++)
        put_row(table, &table->rows[i], indent, out);
}

/* The keys of a list's elements as comments, and one element in one line. */
static void netd_reference_put_list(const struct option_table *table, const char *name,
                                    const char *elements, struct strbuf *out)
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

void netd_reference_example(struct strbuf *out)
{
    strbuf_add(out, "# Configuration of sallyport-netd: firewall and maintenance tunnel.\n"
                    "# Only root may write this file. Check with: sallyport-netd -t\n"
                    "# A line that begins with #key shows the default.\n\n");
    strbuf_add(out, "firewall: {\n");
    put_rows(&netd_firewall_table, "    ", out);
    netd_reference_put_list(&netd_exception_table, "exceptions", "", out);
    strbuf_add(out, "    # for example: exceptions = ( { interface = \"eth1\"; "
                    "source = \"192.168.10.20\"; port = 22; },\n"
                    "    #   { interface = \"eth1\"; source = \"192.168.10.0/24\"; "
                    "protocol = \"icmp\"; } );\n");
    netd_reference_put_list(&netd_egress_table, "egress_allow", "", out);
    strbuf_add(out, "    # for example: egress_allow = ( "
                    "{ destination = \"broker.example.com\"; port = 8883; } );\n"
                    "};\n\nagent: {");
    netd_reference_put_list(&netd_reach_table, "may_reach",
                            "\n        { destination = \"broker.example.com\"; port = 8883; },\n"
                            "        { destination = \"192.168.10.5\"; port = 502; }\n    ",
                            out);
    strbuf_add(out, "};\n\npaths: {\n");
    put_rows(&netd_paths_table, "    ", out);
    strbuf_add(out, "};\n\naccess: {\n");
    put_rows(&netd_access_table, "    ", out);
    strbuf_add(out, "};\n\ntunnel: {\n");
    put_rows(&netd_tunnel_table, "    ", out);
    strbuf_add(out, "\n    hub = {\n");
    put_rows(&netd_hub_table, "        ", out);
    strbuf_add(out, "    };\n");
    netd_reference_put_list(
        &netd_service_table, "services",
        "\n        { name = \"ssh\"; protocol = \"tcp\"; port = 22; },\n"
        "        { name = \"plc1\"; protocol = \"tcp\"; port = 502; target = \"192.168.10.5\"; "
        "interface = \"eth1\"; }\n    ",
        out);
    strbuf_add(out, "};\n");
}

/* ---- The manual page ---- */

void netd_reference_manual(struct strbuf *out)
{
    strbuf_add(out, MANUAL_BEGIN);
    for (size_t i = 0; netd_option_tables[i]; i++)
        manual_print_table(netd_option_tables[i], netd_option_tables[i]->path,
                           netd_option_tables[i]->help, change_text, out);
    strbuf_add(out, MANUAL_END);
}
