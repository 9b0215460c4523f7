/* The options of a subcommand, and the numbers and durations in them. Pure but for messages. */
#ifndef SALLYPORT_AGENT_CLI_OPTIONS_H
#define SALLYPORT_AGENT_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What an option that may be repeated has given. */
struct cli_texts {
    const char *items[16];
    size_t length;
};

/* One option of a subcommand, "--NAME VALUE" or "-N VALUE"; exactly one of the targets is set. */
struct cli_option {
    const char *name;  /* with its dashes */
    const char **text; /* takes any text */
    long long *number; /* takes a whole number within min..max, decimal or 0x hexadecimal */
    long long min, max;
    bool *flag;              /* takes no value: set to true */
    struct cli_texts *texts; /* takes any text, and may be given again */
};

/*
 * Takes the options out of ARGV, wherever they are, and moves the other words to the front,
 * after argv[0]. OPTIONS ends with a row without a name. Returns how many words are left, or -1
 * after a message on stderr.
 */
int cli_options(int argc, char **argv, const struct cli_option *options);

/* Parses a whole number within MIN..MAX, decimal or 0x hexadecimal. */
bool cli_parse_number(const char *text, long long min, long long max, long long *ret_value);

/*
 * Parses "45s", "90m", "1h30m", "2d" or plain seconds, below 2^32 s. The caller checks whether a
 * time is allowed.
 */
bool cli_parse_duration(const char *text, uint32_t *ret_seconds);

#endif
