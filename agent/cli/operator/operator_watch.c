/* `sallyport operator watch`: what gateways publish, line by line as it comes. */
#include "agent/cli/operator/operator_json.h"
#include "agent/cli/operator/operator_link.h"
#include "agent/cli/operator/operator_shared.h"
#include "agent/cli/options.h"

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME "operator watch"
#define VALUE_BYTES 256 /* of one value, as text */

struct operator_watch_watch {
    struct operator_link *link;
    bool json;
    long long count, seen; /* messages; count 0: until interrupted */
};

/* One value in readable form, without control sequences whatever it is. */
static void operator_watch_put_value(const json_t *value, struct strbuf *out)
{
    char printable[VALUE_BYTES];
    CLEANUP(memory_free_pointer)
    char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    text_show(printable, sizeof(printable), text ? text : json_string_value(value));
    strbuf_add(out, printable);
}

/* " KEY=VALUE" for each member except those that appear elsewhere in the line. */
static void put_members(json_t *object, struct strbuf *out)
{
    static const char *const elsewhere[] = {"event", "stream", "seq", "timestamp", "hash"};
    char printable[VALUE_BYTES];
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        bool skip = false;
        for (size_t i = 0; i < ARRAY_LENGTH(elsewhere); i++)
            skip = skip || strcmp(key, elsewhere[i]) == 0;
        if (skip)
            continue;
        text_show(printable, sizeof(printable), key);
        strbuf_addf(out, " %s=", printable);
        operator_watch_put_value(value, out);
    }
}

static void put_data(json_t *object, const char *topic, struct strbuf *out)
{
    char printable[VALUE_BYTES];
    const char *key;
    json_t *error;
    text_show(printable, sizeof(printable), topic + strlen("data/"));
    strbuf_addf(out, "%s%s", printable,
                json_is_true(json_object_get(object, "historical")) ? " (historical)" : "");
    put_members(json_object_get(object, "values"), out);
    json_object_foreach(json_object_get(object, "errors"), key, error)
    {
        text_show(printable, sizeof(printable), key);
        strbuf_addf(out, " %s=(", printable);
        operator_watch_put_value(error, out);
        strbuf_add_char(out, ')');
    }
}

static void put_event(json_t *object, const char *topic, struct strbuf *out)
{
    const json_t *event = json_object_get(object, "event");
    (void)topic;
    strbuf_add(out, "event ");
    if (event)
        operator_watch_put_value(event, out);
    put_members(object, out);
}

static void put_status(const struct operator_message *message, struct strbuf *out)
{
    struct operator_status status;
    operator_status_parse(message->payload, message->length, &status);
    strbuf_addf(out, "status %s", status.state);
    if (status.tunnel[0])
        strbuf_addf(out, " tunnel=%s firewall=%s", status.tunnel, status.firewall);
    if (status.backlog >= 0)
        strbuf_addf(out, " backlog=%lld", status.backlog);
}

static void put_reply(json_t *object, const char *topic, struct strbuf *out)
{
    (void)topic;
    strbuf_add(out, "reply");
    put_members(object, out);
}

/* What follows time and gateway in a line; false for messages that are not shown. */
static bool put_message(const struct operator_message *message, json_t *object, struct strbuf *out)
{
    static const struct {
        const char *topic;
        bool is_prefix;
        void (*put)(json_t *object, const char *topic, struct strbuf *out);
    } topics[] = {
        {"data/", true, put_data}, {"event", false, put_event}, {"reply", false, put_reply}};
    if (strcmp(message->topic, "status") == 0) {
        put_status(message, out);
        return true;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(topics); i++) {
        const char *topic = topics[i].topic;
        if (topics[i].is_prefix ? strncmp(message->topic, topic, strlen(topic)) != 0
                                : strcmp(message->topic, topic) != 0)
            continue;
        if (json_is_object(object))
            topics[i].put(object, message->topic, out);
        else
            strbuf_addf(out, "%s: not a valid message, %zu bytes%s", topic, message->length,
                        message->is_cut ? ", or more" : "");
        return true;
    }
    return false; /* challenges and commands */
}

static bool operator_watch_print_text(const struct operator_message *message, json_t *object)
{
    CLEANUP(strbuf_free) struct strbuf line = STRBUF_EMPTY;
    char when[32];
    long long timestamp_ms = json_integer_value(json_object_get(object, "timestamp"));
    if (!put_message(message, object, &line))
        return false;
    if (timestamp_ms <= 0)
        timestamp_ms = clock_wall_ms();
    cli_print(stdout, "%s.%03lld %s/%s %s\n", operator_time_text(timestamp_ms, when, sizeof(when)),
              timestamp_ms % 1000, message->gateway.site, message->gateway.id, strbuf_text(&line));
    return true;
}

static void print_line(const struct operator_message *message, bool is_json)
{
    CLEANUP(strbuf_free) struct strbuf line = STRBUF_EMPTY;
    char topic[VALUE_BYTES];
    text_show(topic, sizeof(topic), message->topic);
    json_t *text = json_string(topic);
    CLEANUP(memory_free_pointer)
    char *quoted = json_dumps(text, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    json_decref(text);
    strbuf_addf(&line, "{\"gateway\":\"%s/%s\",\"topic\":%s,\"retained\":%s,",
                message->gateway.site, message->gateway.id, quoted,
                message->is_retained ? "true" : "false");
    if (is_json) {
        strbuf_add(&line, "\"message\":");
        operator_json_add(message->payload, message->length, &line);
    } else {
        strbuf_addf(&line, "\"other_bytes\":%zu", message->length);
    }
    cli_print(stdout, "%s}\n", strbuf_text(&line));
}

static void operator_watch_on_received(void *context, const struct operator_message *message)
{
    struct operator_watch_watch *watch = context;
    if (watch->count && watch->seen == watch->count)
        return;
    json_t *object = operator_json_parse(message->payload, message->length);
    bool shown = watch->json || operator_watch_print_text(message, object);
    if (watch->json)
        print_line(message, object != NULL);
    json_decref(object);
    if (shown)
        watch->seen++;
    if (fflush(stdout) != 0 || (watch->count && watch->seen == watch->count))
        operator_link_enough(watch->link); /* `| head` has seen enough as well */
}

static int operator_watch_run(const struct cli_context *context,
                              const struct operator_config *config, const char *gateway,
                              long long count)
{
    struct operator_watch_watch watch = {.json = context->json, .count = count};
    const struct operator_ear ear = {.received = operator_watch_on_received, .context = &watch};
    CLEANUP(memory_free_pointer) char *filter = memory_printf("%s/#", gateway ? gateway : "+/+");
    int code = operator_link_new(config, NAME, filter, &ear, &watch.link);
    if (code == CLI_DONE && !(count && watch.seen == count))
        (void)operator_link_wait(watch.link, INT64_MAX);
    if (ferror(stdout))
        code = CLI_FAILED;
    operator_link_free(watch.link, code);
    return code;
}

static int run_operator_watch(const struct cli_context *context,
                              const struct operator_action *action, int argc, char **argv)
{
    long long count = 0;
    struct operator_gateway gateway;
    const struct cli_option options[] = {
        {.name = "--count", .number = &count, .min = 1, .max = 1000000000}, {.name = NULL}};
    int words = cli_options(argc, argv, options);
    if (words < 1 || words > 2)
        return operator_usage(action);
    if (words == 2 && !operator_gateway_parse(argv[1], &gateway))
        return cli_fail(CLI_USAGE, NAME, "\"%s\" is not SITE/ID", argv[1]);
    struct operator_config *config = NULL;
    int code = operator_load(context, NAME, &config);
    if (code == CLI_DONE)
        code = operator_watch_run(context, config, words == 2 ? argv[1] : NULL, count);
    operator_config_free(config);
    return code;
}

const struct operator_action operator_action_watch = {"watch", "[SITE/ID] [--count N]",
                                                      run_operator_watch};
