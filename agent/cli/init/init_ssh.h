/* The SSH session that this process runs in. */
#ifndef SALLYPORT_AGENT_CLI_INIT_INIT_SSH_H
#define SALLYPORT_AGENT_CLI_INIT_INIT_SSH_H

#include <stdbool.h>

/* The SSH session that this runs in. */
struct init_ssh {
    char source[64], local[64]; /* addresses: of the client, and of this machine */
    unsigned port;              /* of this machine */
};

/* Looks above sudo as well. Returns false, *RET_SSH untouched, when this is not an SSH session. */
bool init_ssh_find(struct init_ssh *ret_ssh);

#endif
