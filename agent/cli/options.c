/* The options of subcommands, and the values that they take. */
#include "agent/cli/options.h"

#include "agent/base/macros.h"
#include "agent/cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool cli_parse_number(const char *text, long long min, long long max, long long *ret_value)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, strncmp(text, "0x", 2) == 0 ? 16 : 10);
    if (errno || end == text || *end || value < min || value > max)
        return false;
    *ret_value = value;
    return true;
}

bool cli_parse_duration(const char *text, uint32_t *ret_seconds)
{
    static const struct {
        char letter;
        unsigned long seconds;
    } units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}, {'\0', 1}};
    unsigned long total = 0;
    do {
        char *end;
        if (*text < '0' || *text > '9')
            return false;
        unsigned long number = strtoul(text, &end, 10), seconds = 0;
        for (size_t i = 0; i < ARRAY_LENGTH(units); i++)
            seconds = units[i].letter == *end ? units[i].seconds : seconds;
        if (seconds == 0 || number > (UINT32_MAX - total) / seconds)
            return false;
        total += number * seconds;
        text = *end ? end + 1 : end;
    } while (*text);
    *ret_seconds = (uint32_t)total;
    return true;
}

static const struct cli_option *options_find(const struct cli_option *options, const char *name)
{
    for (; options->name; options++) {
        if (strcmp(options->name, name) == 0)
            return options;
    }
    return NULL;
}

/* Takes the value of OPTION; returns false after a message. */
static bool options_take(const char *command, const struct cli_option *option, const char *value)
{
    if (option->text) {
        *option->text = value;
        return true;
    }
    if (option->texts && option->texts->length < ARRAY_LENGTH(option->texts->items)) {
        option->texts->items[option->texts->length++] = value;
        return true;
    }
    if (option->texts) {
        (void)cli_fail(CLI_USAGE, command, "%s: given more than %zu times", option->name,
                       ARRAY_LENGTH(option->texts->items));
        return false;
    }
    if (cli_parse_number(value, option->min, option->max, option->number))
        return true;
    (void)cli_fail(CLI_USAGE, command, "%s: \"%s\" is not a whole number from %lld to %lld",
                   option->name, value, option->min, option->max);
    return false;
}

int cli_options(int argc, char **argv, const struct cli_option *options)
{
    int kept = 1;
    for (int at = 1; at < argc; at++) {
        const struct cli_option *option = options_find(options, argv[at]);
        if (!option && strncmp(argv[at], "--", 2) != 0) {
            argv[kept++] = argv[at];
            continue;
        }
        if (!option) {
            (void)cli_fail(CLI_USAGE, argv[0], "unknown option %s", argv[at]);
            return -1;
        }
        if (option->flag) {
            *option->flag = true;
            continue;
        }
        if (at + 1 >= argc) {
            (void)cli_fail(CLI_USAGE, argv[0], "%s needs a value", argv[at]);
            return -1;
        }
        if (!options_take(argv[0], option, argv[++at]))
            return -1;
    }
    argv[kept] = NULL;
    return kept;
}
