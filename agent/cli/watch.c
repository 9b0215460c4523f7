/* `sallyport watch`: a live table of values, updated in place. */
#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "agent/cli/agent_client.h"
#include "agent/cli/cli.h"
#include "agent/cli/options.h"
#include "agent/payload/json_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define TIMEOUT_MS 10000
#define DIGITS "0123456789"

struct watch_watch {
    const char *device; /* NULL: all */
    long long count;    /* updates; 0: until interrupted */
    long long interval_ms;
    bool in_place; /* a terminal */
};

/* What fits on the screen; 0 for no limit. */
struct screen {
    size_t rows, value_columns;
};

static struct screen measure(const struct watch_watch *watch)
{
    struct winsize size;
    if (!watch->in_place || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row < 4)
        return (struct screen){0, 0};
    size_t others =
        16 + 20 + 8 + 12 + 4; /* the other columns of watch_print_row() and their blanks */
    return (struct screen){size.ws_row,
                           size.ws_col > others + 20 ? (size_t)size.ws_col - others : 20};
}

/* Sent before a line and not after it, where the cursor may be on its last character. */
static void clear_line(const struct watch_watch *watch)
{
    if (watch->in_place)
        cli_put(stdout, "\033[K");
}

/* Cuts TEXT, well-formed UTF-8, after COLUMNS characters (0: no limit). */
static void cut(char *text, size_t columns)
{
    size_t used = 0;
    for (; *text; text++) {
        if (((unsigned char)*text & 0xc0) == 0x80)
            continue; /* the rest of a character */
        if (columns && used++ == columns)
            *text = '\0';
        if (!*text)
            return;
    }
}

/* Blanks that pad TEXT to COLUMNS; printf counts bytes, not characters. */
static int padding(const char *text, int columns)
{
    for (; *text && columns > 0; text++)
        columns -= ((unsigned char)*text & 0xc0) != 0x80;
    return columns;
}

static void watch_print_row(const struct watch_watch *watch, size_t columns, const char *device,
                            const json_t *tag)
{
    char when[16] = "";
    long long timestamp_ms = agent_ask_number(tag, "timestamp");
    time_t seconds = (time_t)(timestamp_ms / 1000);
    struct tm local;
    if (localtime_r(&seconds, &local))
        (void)strftime(when, sizeof(when), "%T", &local);
    const char *error = agent_ask_text(tag, "error", NULL), *unit = agent_ask_text(tag, "unit", "");
    CLEANUP(memory_free_pointer)
    char *value =
        error ? memory_printf("(%s)", error) : memory_text(agent_ask_text(tag, "value", "?"));
    cut(value, columns);
    clear_line(watch);
    cli_print(stdout, "%-16.16s %-20.20s %*s%s %s%*s %s.%03lld\n", device,
              agent_ask_text(tag, "tag", "?"), padding(value, 20), "", value, unit,
              padding(unit, 8), "", when, timestamp_ms % 1000);
}

static void watch_print_table(const struct watch_watch *watch, const json_t *devices)
{
    const struct screen screen = measure(watch);
    size_t used = 1, hidden = 0, i, j;
    json_t *device, *tag;
    if (watch->in_place)
        cli_put(stdout, "\033[?7l\033[H"); /* lines are cut, not wrapped; home */
    clear_line(watch);
    cli_print(stdout, "%-16s %-20s %20s %-8s %s\n", "DEVICE", "TAG", "VALUE", "UNIT", "READ AT");
    json_array_foreach(devices, i, device)
    {
        json_array_foreach(json_object_get(device, "tags"), j, tag)
        {
            if (screen.rows && used + 2 >= screen.rows) {
                hidden++;
                continue;
            }
            watch_print_row(watch, screen.value_columns, agent_ask_text(device, "device", "?"),
                            tag);
            used++;
        }
    }
    if (hidden) {
        clear_line(watch);
        cli_print(stdout, "... and %zu more: name a device\n", hidden);
    }
    cli_put(stdout, watch->in_place ? "\033[J\033[?7h" : "\n");
    (void)fflush(stdout);
}

/* The sign, digits, fraction and exponent of RFC 8259, section 6. */
static bool is_number(const char *text)
{
    text += *text == '-';
    size_t whole = strspn(text, DIGITS);
    if (whole == 0 || (whole > 1 && *text == '0'))
        return false;
    text += whole;
    if (*text == '.') {
        size_t fraction = strspn(++text, DIGITS);
        if (fraction == 0)
            return false;
        text += fraction;
    }
    if (*text == 'e' || *text == 'E') {
        text += 1 + (text[1] == '+' || text[1] == '-');
        size_t exponent = strspn(text, DIGITS);
        return exponent > 0 && text[exponent] == '\0';
    }
    return *text == '\0';
}

/*
 * Writes the value, which the agent gives as a JSON text: a number as it stands, because the JSON
 * library has none above 2^63; a string is parsed and written again. False for anything else.
 */
static bool add_value(struct json_text *json, const char *value)
{
    static const char *const words[] = {"true", "false", "null"};
    bool is_plain = is_number(value);
    for (size_t i = 0; i < ARRAY_LENGTH(words); i++)
        is_plain = is_plain || strcmp(value, words[i]) == 0;
    json_t *string = is_plain ? NULL : json_loads(value, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    bool is_string = json_is_string(string);
    if (is_plain) {
        json_text_key(json, "value");
        json_text_insert(json, value, strlen(value));
    } else if (is_string) {
        json_text_bytes(json, "value", json_string_value(string), json_string_length(string));
    }
    json_decref(string);
    return is_plain || is_string;
}

static void watch_add_tag(struct json_text *json, const json_t *tag)
{
    static const char *const texts[] = {"error", "unit"};
    json_text_open_object(json, NULL);
    json_text_string(json, "tag", agent_ask_text(tag, "tag", "?"));
    json_text_i64(json, "timestamp", agent_ask_number(tag, "timestamp"));
    const char *value = agent_ask_text(tag, "value", NULL);
    if (value && !add_value(json, value)) {
        json_text_string(json, "error", "the agent gave no valid value");
        json_text_close_object(json);
        return;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        const char *text = agent_ask_text(tag, texts[i], NULL);
        if (text)
            json_text_string(json, texts[i], text);
    }
    json_text_close_object(json);
}

/* Not with the JSON library: the values come as their JSON texts. */
static void watch_print_json(const json_t *devices)
{
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    struct json_text json = JSON_TEXT(&out);
    const json_t *device, *tag;
    size_t i, j;
    json_text_open_array(&json, NULL);
    json_array_foreach(devices, i, device)
    {
        json_text_open_object(&json, NULL);
        json_text_string(&json, "device", agent_ask_text(device, "device", "?"));
        json_text_open_array(&json, "tags");
        json_array_foreach(json_object_get(device, "tags"), j, tag) watch_add_tag(&json, tag);
        json_text_close_array(&json);
        json_text_close_object(&json);
    }
    json_text_close_array(&json);
    strbuf_add_char(&out, '\n');
    cli_print(stdout, "%s", strbuf_text(&out));
    (void)fflush(stdout);
}

/* One update; returns an enum cli_exit. */
static int update(const struct cli_context *context, const struct watch_watch *watch, int agent)
{
    json_t *request = json_pack("{s:s}", "command", "values");
    if (watch->device)
        json_object_set_new(request, "device", json_string(watch->device));
    json_t *answer = agent_ask(agent, "watch", request, TIMEOUT_MS);
    if (!answer)
        return CLI_UNREACHABLE;
    if (!agent_is_ok(answer, "watch")) {
        json_decref(answer);
        return CLI_FAILED;
    }
    json_t *devices = json_object_get(answer, "values");
    if (context->json)
        watch_print_json(devices);
    else
        watch_print_table(watch, devices);
    json_decref(answer);
    return CLI_DONE;
}

static int watch_run(const struct cli_context *context, const struct watch_watch *watch, int agent)
{
    int64_t due_ns = clock_mono_ns();
    if (watch->in_place)
        cli_put(stdout, "\033[2J");
    for (long long done = 0; watch->count == 0 || done < watch->count; done++) {
        clock_sleep_until(due_ns);
        due_ns += watch->interval_ms * CLOCK_NS_PER_MS;
        int code = update(context, watch, agent);
        if (code != CLI_DONE)
            return code;
        if (ferror(stdout))
            return CLI_FAILED;
    }
    return CLI_DONE;
}

static int run_watch(const struct cli_context *context, int argc, char **argv)
{
    struct watch_watch watch = {.interval_ms = 500,
                                .in_place = !context->json && isatty(STDOUT_FILENO)};
    const struct cli_option options[] = {
        {.name = "--count", .number = &watch.count, .min = 1, .max = 1000000},
        {.name = "--interval", .number = &watch.interval_ms, .min = 50, .max = 3600000},
        {.name = NULL},
    };
    int words = cli_options(argc, argv, options);
    if (words < 0 || words > 2)
        return cli_usage(context);
    watch.device = words == 2 ? argv[1] : NULL;
    struct config *config = agent_find_config(context);
    if (!config)
        return CLI_FAILED;
    CLEANUP(descriptor_close) int agent = agent_connect(config);
    int code =
        agent < 0 ? agent_unreachable("watch", config, agent) : watch_run(context, &watch, agent);
    config_free(config);
    return code;
}

const struct cli_command command_watch = {
    .name = "watch",
    .usage = "[DEVICE] [--interval MS] [--count N]",
    .help = "shows a live table of values",
    .run = run_watch,
};
