/* `sallyport operator`: the actions of a technician. */
#include "agent/cli/operator/operator_shared.h"

#include <stdio.h>
#include <string.h>

/* In the order of the help. The file of each defines `operator_action_NAME`. */
/* clang-format off */
#define ACTIONS(row) \
    row(keygen) \
    row(list) \
    row(watch) \
    row(open) \
    row(extend) \
    row(close)
/* clang-format on */

#define DECLARE(name) extern const struct operator_action operator_action_##name;
ACTIONS(DECLARE)

#define ADDRESS(name) &operator_action_##name,
static const struct operator_action *const actions[] = {ACTIONS(ADDRESS) NULL};

static void print_actions(FILE *out)
{
    for (size_t i = 0; actions[i]; i++)
        cli_print(out, "usage: sallyport operator %s %s\n", actions[i]->name, actions[i]->usage);
}

static int run_operator(const struct cli_context *context, int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && actions[i]; i++) {
        if (strcmp(argv[1], actions[i]->name) == 0)
            return actions[i]->run(context, actions[i], argc - 1, argv + 1);
    }
    print_actions(stderr);
    return CLI_USAGE;
}

const struct cli_command command_operator = {
    .name = "operator",
    .usage = "keygen | list | watch | open | extend | close",
    .help =
        "on a technician's computer: lists gateways through the broker, sends them signed commands",
    .run = run_operator,
    .print_more = print_actions,
};
