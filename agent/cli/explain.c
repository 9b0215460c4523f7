/* `sallyport explain`: the reference of configuration keys. */
#include "config/print/explain.h"
#include "agent/cli/cli.h"
#include "config/print/key_docs.h"
#include "drivers/driver.h"
#include "tunnel/config/netd_options.h"
#include "tunnel/config/netd_reference.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *cli_explain_row_json(const struct key_doc *topic, const struct option *row)
{
    CLEANUP(strbuf_free) struct strbuf type = STRBUF_EMPTY, fallback = STRBUF_EMPTY;
    char key[256];
    (void)snprintf(key, sizeof(key), "%s.%s", topic->path, row->key);
    option_print_type(row, &type);
    option_print_default(topic->table, row, &fallback);
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:s?}", "key", key, "meaning", row->help,
                     "type", strbuf_text(&type), "default", strbuf_text(&fallback), "required",
                     (row->flags & OPTION_REQUIRED) != 0, "reload", option_reload_text(row), "unit",
                     row->unit);
}

/* Whether KEY names this row: by its table, its full key, or its last word. */
static bool is_meant(const char *key, const struct key_doc *topic, const struct option *row)
{
    char full_key[256];
    (void)snprintf(full_key, sizeof(full_key), "%s.%s", topic->path, row->key);
    return !key || strcmp(key, topic->path) == 0 || strcmp(key, full_key) == 0 ||
           strcmp(key, row->key) == 0;
}

static void cli_explain_print_json(const char *key)
{
    CLEANUP(key_docs_free) struct key_docs topics;
    json_t *keys = json_array();
    key_docs_make(drivers_for_config(), &topics);
    for (size_t i = 0; i < topics.length; i++) {
        const struct option_table *table = topics.items[i].table;
        for (size_t j = 0; j < table->n_rows; j++) {
            if (is_meant(key, &topics.items[i], &table->rows[j]))
                json_array_append_new(keys,
                                      cli_explain_row_json(&topics.items[i], &table->rows[j]));
        }
    }
    for (size_t i = 0; netd_option_tables[i]; i++) {
        struct key_doc topic = {.table = netd_option_tables[i]};
        (void)snprintf(topic.path, sizeof(topic.path), "%s", topic.table->path);
        for (size_t j = 0; j < topic.table->n_rows; j++) {
            if (is_meant(key, &topic, &topic.table->rows[j]))
                json_array_append_new(keys, cli_explain_row_json(&topic, &topic.table->rows[j]));
        }
    }
    json_t *document = json_pack("{s:o}", "keys", keys);
    (void)cli_print_json(document);
}

/* Whether KEY begins with a group of netd.conf: then the nearest keys of that file are suggested.
 */
static bool names_netd_group(const char *key)
{
    for (size_t i = 0; netd_option_tables[i]; i++) {
        const char *path = netd_option_tables[i]->path;
        size_t length = strlen(path);
        if (strncmp(key, path, length) == 0 && key[length] == '.')
            return true;
    }
    return false;
}

static int run_explain(const struct cli_context *context, int argc, char **argv)
{
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY, netd = STRBUF_EMPTY;
    if (argc > 2)
        return cli_usage(context);
    bool is_agents = config_explain(argv[1], drivers_for_config(), &out) == 0;
    bool is_netds = netd_reference_explain(argv[1], &netd) == 0;
    if (!is_agents && !is_netds) {
        const char *text = strbuf_text(names_netd_group(argv[1]) ? &netd : &out);
        return cli_fail(CLI_FAILED, argv[0], "%.*s", (int)strcspn(text, "\n"), text);
    }
    if (context->json)
        cli_explain_print_json(argv[1]);
    else
        cli_print(stdout, "%s%s%s", is_agents ? strbuf_text(&out) : "",
                  is_agents && is_netds ? "\n" : "", is_netds ? strbuf_text(&netd) : "");
    return CLI_DONE;
}

const struct cli_command command_explain = {
    .name = "explain",
    .usage = "[KEY]",
    .help = "explains configuration keys",
    .run = run_explain,
};
