/* `sallyport operator list`: every gateway whose state this user may see. */
#include "agent/cli/operator/operator_link.h"
#include "agent/cli/operator/operator_shared.h"
#include "agent/cli/options.h"

#include "agent/base/clock.h"
#include "agent/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME "operator list"
#define MAX_GATEWAYS 4096 /* more are not shown, and a message says so */
/* The broker does not say when it has sent all retained states: a pause has to serve as the sign.
 */
#define QUIET_MS 1000
#define LONGEST_MS 10000

struct row {
    struct operator_gateway gateway;
    struct operator_status status;
};

struct list {
    struct operator_link *link;
    struct row *rows;
    size_t length, capacity, dropped;
};

static int list_compare(const void *a, const void *b)
{
    const struct operator_gateway *one = &((const struct row *)a)->gateway;
    const struct operator_gateway *other = &((const struct row *)b)->gateway;
    int order = strcmp(one->site, other->site);
    return order ? order : strcmp(one->id, other->id);
}

/* The row of the gateway, or a new one; NULL when there is no room for more. */
static struct row *list_find_row(struct list *list, const struct operator_gateway *gateway)
{
    struct row wanted = {.gateway = *gateway};
    for (size_t i = 0; i < list->length; i++) {
        if (list_compare(&list->rows[i], &wanted) == 0)
            return &list->rows[i];
    }
    if (list->length == MAX_GATEWAYS)
        return NULL;
    if (list->length == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 64;
        list->rows = memory_resize(list->rows, list->capacity, sizeof(*list->rows));
    }
    list->rows[list->length] = wanted;
    return &list->rows[list->length++];
}

static void list_on_received(void *context, const struct operator_message *message)
{
    struct list *list = context;
    if (strcmp(message->topic, "status") != 0)
        return;
    operator_link_enough(list->link); /* one more; the wait starts again */
    if (message->length == 0)
        return; /* a retained state was removed */
    struct row *row = list_find_row(list, &message->gateway);
    if (row)
        operator_status_parse(message->payload, message->length, &row->status);
    else
        list->dropped++;
}

/* For WAIT_S, or until nothing more has come for a while. */
static void list_collect(struct list *list, long long wait_s)
{
    int64_t now_ns = clock_mono_ns();
    int64_t end_ns = now_ns + (wait_s ? wait_s * 1000 : LONGEST_MS) * CLOCK_NS_PER_MS;
    int64_t quiet_ns = QUIET_MS * CLOCK_NS_PER_MS;
    for (; now_ns < end_ns; now_ns = clock_mono_ns()) {
        int64_t until_ns = wait_s || end_ns - now_ns < quiet_ns ? end_ns : now_ns + quiet_ns;
        if (!operator_link_wait(list->link, until_ns) && !wait_s)
            return;
    }
}

static json_t *list_row_json(const struct row *row)
{
    const struct operator_status *status = &row->status;
    CLEANUP(memory_free_pointer)
    char *gateway = memory_printf("%s/%s", row->gateway.site, row->gateway.id);
    json_t *tunnel = json_pack("{s:s, s:s, s:s}", "state", status->tunnel, "services",
                               status->services, "opener", status->opener);
    if (status->remaining_s >= 0)
        json_object_set_new(tunnel, "remaining_s", json_integer(status->remaining_s));
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s, s:o}", "gateway", gateway, "state", status->state,
                  "version", status->version, "firewall", status->firewall, "tunnel", tunnel);
    if (status->backlog >= 0)
        json_object_set_new(object, "backlog", json_integer(status->backlog));
    if (status->timestamp_ms > 0)
        json_object_set_new(object, "last_seen", json_integer(status->timestamp_ms));
    return object;
}

static const char *or_dash(const char *text)
{
    return text[0] ? text : "-";
}

static void list_print_row(const struct row *row)
{
    const struct operator_status *status = &row->status;
    char seen[32], backlog[24] = "-", tunnel[96];
    CLEANUP(memory_free_pointer)
    char *gateway = memory_printf("%s/%s", row->gateway.site, row->gateway.id);
    if (status->backlog >= 0)
        (void)snprintf(backlog, sizeof(backlog), "%lld", status->backlog);
    if (status->remaining_s >= 0)
        (void)snprintf(tunnel, sizeof(tunnel), "%s %lld min", status->tunnel,
                       (status->remaining_s + 59) / 60);
    else
        (void)snprintf(tunnel, sizeof(tunnel), "%s", or_dash(status->tunnel));
    cli_print(stdout, "%-28s %-10s %-10s %-16s %-10s %8s  %s\n", gateway, status->state,
              or_dash(status->version), tunnel, or_dash(status->firewall), backlog,
              operator_time_text(status->timestamp_ms, seen, sizeof(seen)));
}

static void list_print_table(const struct list *list)
{
    cli_print(stdout, "%-28s %-10s %-10s %-16s %-10s %8s  %s\n", "GATEWAY", "STATE", "VERSION",
              "TUNNEL", "FIREWALL", "BACKLOG", "LAST SEEN");
    for (size_t i = 0; i < list->length; i++)
        list_print_row(&list->rows[i]);
}

static int list_print(const struct cli_context *context, struct list *list)
{
    int code = CLI_DONE;
    if (list->length > 0)
        qsort(list->rows, list->length, sizeof(*list->rows), list_compare);
    if (context->json) {
        json_t *gateways = json_array();
        for (size_t i = 0; i < list->length; i++)
            json_array_append_new(gateways, list_row_json(&list->rows[i]));
        code = operator_print_json(json_pack("{s:o}", "gateways", gateways));
    } else {
        list_print_table(list);
    }
    if (list->length == 0)
        (void)cli_fail(0, NAME,
                       "no gateway: none has published its state, or the broker's access "
                       "control list (ACL) lets this user see none");
    if (list->dropped > 0)
        (void)cli_fail(0, NAME, "more than %d gateways; name a site", MAX_GATEWAYS);
    return code;
}

static int list_run(const struct cli_context *context, const struct operator_config *config,
                    const char *site, long long wait_s)
{
    struct list list = {.link = NULL};
    const struct operator_ear ear = {.received = list_on_received, .context = &list};
    CLEANUP(memory_free_pointer) char *filter = memory_printf("%s/+/status", site ? site : "+");
    int code = operator_link_new(config, NAME, filter, &ear, &list.link);
    if (code == CLI_DONE) {
        list_collect(&list, wait_s);
        code = list_print(context, &list);
    }
    free(list.rows);
    operator_link_free(list.link, code);
    return code;
}

static int run_list(const struct cli_context *context, const struct operator_action *action,
                    int argc, char **argv)
{
    long long wait_s = 0;
    char site[OPERATOR_LEVEL_BYTES];
    const struct cli_option options[] = {
        {.name = "--wait", .number = &wait_s, .min = 1, .max = 3600}, {.name = NULL}};
    int words = cli_options(argc, argv, options);
    if (words < 1 || words > 2)
        return operator_usage(action);
    if (words == 2 && !operator_level_parse(argv[1], strlen(argv[1]), site))
        return cli_fail(CLI_USAGE, NAME, "a site is 1 to 64 of A-Z a-z 0-9 _ -");
    struct operator_config *config = NULL;
    int code = operator_load(context, NAME, &config);
    if (code == CLI_DONE)
        code = list_run(context, config, words == 2 ? site : NULL, wait_s);
    operator_config_free(config);
    return code;
}

const struct operator_action operator_action_list = {"list", "[SITE] [--wait SECONDS]", run_list};
