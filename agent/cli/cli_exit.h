/* How a subcommand ends. */
#ifndef SALLYPORT_AGENT_CLI_CLI_EXIT_H
#define SALLYPORT_AGENT_CLI_CLI_EXIT_H

/* Exit codes, the same for every subcommand. */
enum cli_exit {
    CLI_DONE = 0,
    CLI_FAILED = 1,      /* refused or failed; the reason is on stderr */
    CLI_USAGE = 2,       /* wrong arguments */
    CLI_UNREACHABLE = 3, /* the daemon cannot be reached */
};

#endif
