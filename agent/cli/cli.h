/*
 * What a subcommand of `sallyport` is: one file that defines `const struct cli_command
 * command_NAME`, and one row in the table of commands.c. The options that all subcommands share
 * (-c, -n, --json, -h, -V) are taken out of the arguments before its function is called.
 */
#ifndef SALLYPORT_AGENT_CLI_CLI_H
#define SALLYPORT_AGENT_CLI_CLI_H

#include "agent/cli/cli_exit.h"
#include "agent/cli/cli_print.h"

#include <stdbool.h>
#include <stdio.h>

struct cli_command;

struct cli_context {
    const struct cli_command *command; /* the subcommand that runs; NULL before it is known */
    const char *agent_file;            /* -c, default /etc/sallyport/sallyport.conf */
    const char *netd_file;             /* -n, default /etc/sallyport/netd.conf */
    bool agent_file_given, netd_file_given;
    bool json; /* --json: one JSON document on stdout instead of text */
};

struct cli_command {
    const char *name;
    const char *usage; /* what follows the name: "LINE --unit N ..." */
    const char *help;  /* one sentence */
    /* ARGV[0] is the name. Returns an enum cli_exit. */
    int (*run)(const struct cli_context *context, int argc, char **argv);
    void (*print_more)(FILE *out); /* what `NAME --help` says beyond USAGE; NULL: nothing */
};

/* "sallyport: NAME: TEXT" on stderr, one line whatever is in it; returns CODE. */
int cli_fail(int code, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Prints the usage line of the command that is run on stderr; returns CLI_USAGE. */
int cli_usage(const struct cli_context *context);

#endif
