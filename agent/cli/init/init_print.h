/* The two configuration files as text. Pure. */
#ifndef SALLYPORT_AGENT_CLI_INIT_INIT_PRINT_H
#define SALLYPORT_AGENT_CLI_INIT_INIT_PRINT_H

#include "agent/base/strbuf.h"
#include "agent/cli/init/init_answers.h"
#include "agent/cli/reach.h"

/* Append the commented files. The answers are complete; findings come from loading the result. */
int init_print_agent_file(const struct init_answers *answers, struct strbuf *out,
                          struct problem *ret_problem);
void init_print_netd_file(const struct init_answers *answers, struct strbuf *out);

/* Appends to netd's file the group `agent`, which permits NEEDS. */
void init_print_reach(const struct reach_needs *needs, struct strbuf *out);

#endif
