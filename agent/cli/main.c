/* `sallyport`: takes the shared options out of the arguments and calls one subcommand. */
#include "agent/cli/commands.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_AGENT_FILE "/etc/sallyport/sallyport.conf"
#define DEFAULT_NETD_FILE "/etc/sallyport/netd.conf"

static int cli_main_print_help(FILE *out)
{
    cli_print(out, "usage: sallyport [-c FILE] [-n FILE] [--json] COMMAND ...\n\n");
    for (size_t i = 0; cli_commands[i]; i++)
        cli_print(out, "  %-9s %s\n            %s\n", cli_commands[i]->name, cli_commands[i]->usage,
                  cli_commands[i]->help);
    cli_print(out, "\n  -c FILE  the agent's configuration, " DEFAULT_AGENT_FILE "\n"
                   "  -n FILE  netd's configuration, " DEFAULT_NETD_FILE "\n"
                   "  --json   print JSON\n"
                   "  -h, -V   print this help, or that of COMMAND; print the version\n\n"
                   "Exit codes: 0 done, 1 refused or failed, 2 usage, 3 the daemon cannot be "
                   "reached.\n");
    return CLI_DONE;
}

/* `sallyport --help`, or the help of the command named before it. */
static int print_help_of(const char *name)
{
    const struct cli_command *command = name ? cli_find_command(name) : NULL;
    if (!command)
        return cli_main_print_help(stdout);
    cli_print(stdout, "usage: sallyport %s %s\n\n  %s\n", command->name, command->usage,
              command->help);
    if (command->print_more) {
        cli_print(stdout, "\n");
        command->print_more(stdout);
    }
    return CLI_DONE;
}

static int missing_file(const char *option)
{
    cli_print(stderr, "sallyport: %s needs a file name\n", option);
    return CLI_USAGE;
}

/*
 * Takes one shared option at ARGV[*AT]; NAME: the command, or NULL before it. Returns -1 when it is
 * none, -2 to go on, or an exit code.
 */
static int take_shared(struct cli_context *context, const char *name, int argc, char **argv,
                       int *at)
{
    const char *word = argv[*at];
    if (strcmp(word, "--json") == 0) {
        context->json = true;
    } else if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0) {
        return print_help_of(name);
    } else if (strcmp(word, "-V") == 0 || strcmp(word, "--version") == 0) {
        cli_print(stdout, "sallyport " SALLYPORT_VERSION "\n");
        return CLI_DONE;
    } else if (strcmp(word, "-c") == 0) {
        if (++*at >= argc)
            return missing_file("-c");
        context->agent_file = argv[*at];
        context->agent_file_given = true;
    } else if (strcmp(word, "-n") == 0) {
        if (++*at >= argc)
            return missing_file("-n");
        context->netd_file = argv[*at];
        context->netd_file_given = true;
    } else {
        return -1;
    }
    return -2;
}

int main(int argc, char **argv)
{
    struct cli_context context = {.agent_file = DEFAULT_AGENT_FILE, .netd_file = DEFAULT_NETD_FILE};
    int kept = 0;
    bool literal = false;
    (void)signal(SIGPIPE, SIG_DFL); /* `sallyport watch | head` ends quietly */
    for (int at = 1; at < argc; at++) {
        if (!literal && strcmp(argv[at], "--") == 0) {
            literal = true;
            continue;
        }
        int outcome =
            literal ? -1 : take_shared(&context, kept > 0 ? argv[0] : NULL, argc, argv, &at);
        if (outcome >= 0)
            return outcome;
        if (outcome == -1)
            argv[kept++] = argv[at];
    }
    argv[kept] = NULL;
    if (kept == 0) {
        (void)cli_main_print_help(stderr);
        return CLI_USAGE;
    }
    const struct cli_command *command = cli_find_command(argv[0]);
    if (!command) {
        cli_print(stderr, "sallyport: there is no command \"%s\"; see sallyport --help\n", argv[0]);
        return CLI_USAGE;
    }
    context.command = command;
    int code = command->run(&context, kept, argv);
    if (fflush(stdout) != 0 && code == CLI_DONE)
        code = CLI_FAILED;
    return code;
}
