/*
 * What an action of `sallyport operator` is, and what all actions share. An action is one file that
 * defines `const struct operator_action operator_action_NAME`, and one row in operator.c. Main
 * thread only.
 */
#ifndef SALLYPORT_AGENT_CLI_OPERATOR_OPERATOR_SHARED_H
#define SALLYPORT_AGENT_CLI_OPERATOR_OPERATOR_SHARED_H

#include "agent/cli/cli.h"
#include "agent/cli/operator/operator_config.h"

#include <jansson.h>

struct operator_action {
    const char *name, *usage; /* USAGE follows the name */
    /* ARGV[0] is the name of the action. Returns an enum cli_exit. */
    int (*run)(const struct cli_context *context, const struct operator_action *action, int argc,
               char **argv);
};

/* Prints the usage line of ACTION on stderr; returns CLI_USAGE. */
int operator_usage(const struct operator_action *action);

/*
 * Loads the file given with -c, else this user's. Returns CLI_DONE and the owned result, or
 * CLI_FAILED after printing what is wrong with it.
 */
int operator_load(const struct cli_context *context, const char *name,
                  struct operator_config **ret_config);

/* Prints DOCUMENT on stdout and frees it; in ASCII, so that it contains no control sequence. */
int operator_print_json(json_t *document);

/* Local date and time; "?" for a time that cannot be converted. */
const char *operator_time_text(long long timestamp_ms, char *text, size_t size);

#endif
