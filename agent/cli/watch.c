/* `sallyport watch`: a live table of values, updated in place. */
#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "agent/cli/ask.h"
#include "agent/cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define TIMEOUT_MS 10000

struct watch {
    const char *device; /* NULL: all */
    long long count;    /* updates; 0: until interrupted */
    long long interval_ms;
    bool in_place; /* a terminal */
};

/* Rows that fit, 0 for no limit. */
static size_t screen_rows(const struct watch *watch)
{
    struct winsize size;
    if (!watch->in_place || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row < 4)
        return 0;
    return size.ws_row;
}

static void print_row(const struct watch *watch, const char *device, const json_t *tag)
{
    char when[16] = "";
    long long timestamp_ms = ask_number(tag, "timestamp");
    time_t seconds = (time_t)(timestamp_ms / 1000);
    struct tm local;
    if (localtime_r(&seconds, &local))
        (void)strftime(when, sizeof(when), "%T", &local);
    const char *error = ask_text(tag, "error", NULL);
    char *value = error ? memory_printf("(%s)", error)
                        : json_dumps(json_object_get(tag, "value"),
                                     JSON_ENCODE_ANY | JSON_REAL_PRECISION(10));
    (void)printf("%-20.20s %-24.24s %20s %-8.8s %s.%03lld%s\n", device, ask_text(tag, "tag", "?"),
                 value ? value : "?", ask_text(tag, "unit", ""), when, timestamp_ms % 1000,
                 watch->in_place ? "\033[K" : "");
    free(value);
}

static void print_table(const struct watch *watch, const json_t *devices)
{
    size_t rows = screen_rows(watch), used = 1, hidden = 0, i, j;
    json_t *device, *tag;
    if (watch->in_place)
        (void)fputs("\033[H", stdout); /* home; every line clears its own rest */
    (void)printf("%-20s %-24s %20s %-8s %s%s\n", "DEVICE", "TAG", "VALUE", "UNIT", "READ AT",
                 watch->in_place ? "\033[K" : "");
    json_array_foreach(devices, i, device)
    {
        json_array_foreach(json_object_get(device, "tags"), j, tag)
        {
            if (rows && used + 2 >= rows) {
                hidden++;
                continue;
            }
            print_row(watch, ask_text(device, "device", "?"), tag);
            used++;
        }
    }
    if (hidden)
        (void)printf("... and %zu more: name a device\033[K\n", hidden);
    (void)fputs(watch->in_place ? "\033[J" : "\n", stdout);
    (void)fflush(stdout);
}

/* One update; returns an enum cli_exit. */
static int update(const struct cli_context *context, const struct watch *watch, int agent)
{
    json_t *request = json_pack("{s:s}", "command", "values");
    if (watch->device)
        json_object_set_new(request, "device", json_string(watch->device));
    json_t *answer = ask(agent, "watch", request, TIMEOUT_MS);
    if (!answer)
        return CLI_UNREACHABLE;
    if (!ask_is_ok(answer, "watch")) {
        json_decref(answer);
        return CLI_FAILED;
    }
    json_t *devices = json_object_get(answer, "values");
    if (context->json) {
        (void)json_dumpf(devices, stdout, JSON_COMPACT);
        (void)putchar('\n');
        (void)fflush(stdout);
    } else {
        print_table(watch, devices);
    }
    json_decref(answer);
    return CLI_DONE;
}

static int run(const struct cli_context *context, const struct watch *watch, int agent)
{
    int64_t due_ns = clock_mono_ns();
    if (watch->in_place)
        (void)fputs("\033[2J", stdout);
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

int cli_watch(const struct cli_context *context, int argc, char **argv)
{
    struct watch watch = {.interval_ms = 500, .in_place = !context->json && isatty(STDOUT_FILENO)};
    const struct cli_option options[] = {
        {.name = "--count", .number = &watch.count, .min = 1, .max = 1000000},
        {.name = "--interval", .number = &watch.interval_ms, .min = 50, .max = 3600000},
        {.name = NULL},
    };
    int words = cli_options(argc, argv, options);
    if (words < 0 || words > 2)
        return cli_usage("watch");
    watch.device = words == 2 ? argv[1] : NULL;
    struct config *config = ask_load(context);
    if (!config)
        return CLI_FAILED;
    CLEANUP(descriptor_close) int agent = ask_connect(config);
    int code = agent < 0 ? ask_unreachable("watch", config, agent) : run(context, &watch, agent);
    config_free(config);
    return code;
}
