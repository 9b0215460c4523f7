/* The table of subcommands: a new one is one file and one row. */
#include "agent/cli/commands.h"

#include <string.h>

/* In the order of the help. The file of each defines `const struct cli_command command_NAME`. */
/* clang-format off */
#define COMMANDS(row) \
    row(init) \
    row(status) \
    row(watch) \
    row(read) \
    row(scan) \
    row(tunnel) \
    row(firewall) \
    row(journal) \
    row(operator) \
    row(check) \
    row(explain) \
    row(reload)
/* clang-format on */

#define DECLARE(name) extern const struct cli_command command_##name;
COMMANDS(DECLARE)

#define ADDRESS(name) &command_##name,
const struct cli_command *const cli_commands[] = {COMMANDS(ADDRESS) NULL};

const struct cli_command *cli_find_command(const char *name)
{
    for (size_t i = 0; cli_commands[i]; i++) {
        if (strcmp(cli_commands[i]->name, name) == 0)
            return cli_commands[i];
    }
    return NULL;
}
