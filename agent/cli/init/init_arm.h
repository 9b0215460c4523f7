/* Arming for the first time, and the answer to an arming that waits. */
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
 * Starts netd under the eyes of a guardian, and returns once somebody has confirmed it
 * (CLI_DONE), or it was undone.
 */
int init_arm(const struct init_arming *arming);

int init_confirm(bool keep); /* `init --confirm` and `--undo`: tells the guardian */

#endif
