/* The subcommands of `sallyport`. */
#ifndef SALLYPORT_AGENT_CLI_COMMANDS_H
#define SALLYPORT_AGENT_CLI_COMMANDS_H

#include "agent/cli/cli.h"

/* All of them, in the order of the help; NULL-terminated. */
extern const struct cli_command *const cli_commands[];

/* The one called NAME, or NULL. */
const struct cli_command *cli_find_command(const char *name);

#endif
