/*
 * The frame of `sallyport`. A subcommand is one file with one function and one row in the table
 * of commands.c; options that all share (-c, -n, --json, -h, -V) are taken out of the arguments
 * before the function is called.
 */
#ifndef SALLYPORT_AGENT_CLI_CLI_H
#define SALLYPORT_AGENT_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Exit codes, the same for every subcommand. */
enum cli_exit {
    CLI_DONE = 0,
    CLI_FAILED = 1,      /* refused or failed; the reason is on stderr */
    CLI_USAGE = 2,       /* the words of the call are off */
    CLI_UNREACHABLE = 3, /* the daemon cannot be reached */
};

struct cli_context {
    const char *agent_file; /* -c, default /etc/sallyport/sallyport.conf */
    const char *netd_file;  /* -n, default /etc/sallyport/netd.conf */
    bool agent_file_given, netd_file_given;
    bool json; /* --json: one JSON document on stdout instead of text */
};

struct cli_command {
    const char *name;
    const char *usage; /* what stands behind the name: "BUS --unit N ..." */
    const char *help;  /* one sentence */
    /* ARGV[0] is the name. Returns an enum cli_exit. */
    int (*run)(const struct cli_context *context, int argc, char **argv);
    void (*print_more)(FILE *out); /* what `NAME --help` says beyond USAGE; NULL: nothing */
};

/* All subcommands, in the order of the help; ends with a row without a name. */
extern const struct cli_command cli_commands[];

/* "sallyport: NAME: TEXT" on stderr; returns CODE. */
int cli_fail(int code, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Prints the usage line of the command called NAME on stderr; returns CLI_USAGE. */
int cli_usage(const char *name);

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
 * Takes the options out of ARGV, wherever they stand, and moves the other words to the front,
 * behind argv[0]. OPTIONS ends with a row without a name. Returns how many words are left, or -1
 * after a message on stderr.
 */
int cli_options(int argc, char **argv, const struct cli_option *options);

/* Parses a whole number within MIN..MAX, decimal or 0x hexadecimal. */
bool cli_parse_number(const char *text, long long min, long long max, long long *ret_value);

/*
 * Parses "45s", "90m", "1h30m", "2d" or plain seconds, below 2^32 s. Whether a time is allowed is
 * for somebody else to say.
 */
bool cli_parse_duration(const char *text, uint32_t *ret_seconds);

int cli_check(const struct cli_context *context, int argc, char **argv);
int cli_explain(const struct cli_context *context, int argc, char **argv);
int cli_status(const struct cli_context *context, int argc, char **argv);
int cli_init(const struct cli_context *context, int argc, char **argv);
int cli_watch(const struct cli_context *context, int argc, char **argv);
int cli_read(const struct cli_context *context, int argc, char **argv);
int cli_scan(const struct cli_context *context, int argc, char **argv);
int cli_tunnel(const struct cli_context *context, int argc, char **argv);
int cli_firewall(const struct cli_context *context, int argc, char **argv);
int cli_journal(const struct cli_context *context, int argc, char **argv);
int cli_operator(const struct cli_context *context, int argc, char **argv);

void cli_init_print_options(FILE *out);
void cli_operator_print_actions(FILE *out);

#endif
