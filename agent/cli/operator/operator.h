/*
 * `sallyport operator`: one function for each action, called by operator.c with ARGV[0] as the
 * action's name. They return an enum cli_exit. Main thread only.
 */
#ifndef SALLYPORT_AGENT_CLI_OPERATOR_OPERATOR_H
#define SALLYPORT_AGENT_CLI_OPERATOR_OPERATOR_H

#include "agent/cli/cli.h"
#include "agent/cli/operator/operator_config.h"

#include <jansson.h>

int operator_keygen(const struct cli_context *context, int argc, char **argv);
int operator_list(const struct cli_context *context, int argc, char **argv);
int operator_watch(const struct cli_context *context, int argc, char **argv);
int operator_command(const struct cli_context *context, int argc, char **argv); /* open and so on */

/* Prints how the action is called; returns CLI_USAGE. */
int operator_usage(const char *action);

/*
 * Loads the file given with -c, else this user's. Returns CLI_DONE and the owned result, or
 * CLI_FAILED after printing what is wrong with it.
 */
int operator_load(const struct cli_context *context, const char *name,
                  struct operator_config **ret_config);

/* Prints DOCUMENT on stdout and frees it; in ASCII, so that nothing in it commands a terminal. */
int operator_print_json(json_t *document);

/* Local date and time; "?" for what is none. */
const char *operator_time_text(long long timestamp_ms, char *text, size_t size);

#endif
