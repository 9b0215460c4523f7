/* The files of a first configuration: written, checked and moved into place, all or none. */
#ifndef SALLYPORT_AGENT_CLI_INIT_INIT_FILES_H
#define SALLYPORT_AGENT_CLI_INIT_INIT_FILES_H

#include "agent/cli/init/init_answers.h"

#include <stdio.h>

struct init_place {
    const char *root;   /* "" or a folder in front of every path */
    const char *folder; /* where the files go: "/etc/sallyport" */
    bool force;         /* replace what is there, and keep a copy */
};

/*
 * Writes all files or none: into a folder beside the target, checks them there as `sallyport check`
 * does, then moves them into place. Says what it did. Returns CLI_DONE, or an exit code after
 * saying why not.
 */
int init_write(const struct init_place *place, const struct init_answers *answers, FILE *out);

#endif
