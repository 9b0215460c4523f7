/* What `sallyport check` finds, for subcommands that write files. */
#ifndef SALLYPORT_AGENT_CLI_CHECK_H
#define SALLYPORT_AGENT_CLI_CHECK_H

#include "agent/base/strbuf.h"

#include <stddef.h>

/*
 * Appends every finding about the files, a line each, to OUT; nothing about the machine, which may
 * be another one yet. Returns how many of them are errors.
 */
size_t check_files(const char *agent_file, const char *netd_file, struct strbuf *out);

#endif
