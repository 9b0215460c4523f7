/* Arming for the first time, and confirms or undoes an arming that waits. */
#ifndef SALLYPORT_AGENT_CLI_INIT_INIT_ARM_H
#define SALLYPORT_AGENT_CLI_INIT_INIT_ARM_H

#include "tunnel/config/netd_config.h"

#include <stdbool.h>

struct init_arming {
    const struct netd_config *netd;
    int seconds; /* until it is undone */
    bool yes;    /* confirmed in advance */
    bool has_terminal;
};

/*
 * Starts netd while a guardian watches, and returns when the arming was confirmed (CLI_DONE) or
 * undone.
 */
int init_arm(const struct init_arming *arming);

int init_confirm(bool keep); /* `init --confirm` and `--undo`: tells the guardian */

#endif
