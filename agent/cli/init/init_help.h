/* What `sallyport init --help` says of the options. */
#ifndef SALLYPORT_AGENT_CLI_INIT_INIT_HELP_H
#define SALLYPORT_AGENT_CLI_INIT_INIT_HELP_H

#include <stdio.h>

void init_print_options(FILE *out);

#endif
