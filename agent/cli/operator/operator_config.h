/*
 * operator.conf, the configuration of a technician's computer: the keys of `uplink` in
 * sallyport.conf, but at the top of the file, and `ssh_key`. Main thread only.
 */
#ifndef SALLYPORT_AGENT_CLI_OPERATOR_OPERATOR_CONFIG_H
#define SALLYPORT_AGENT_CLI_OPERATOR_OPERATOR_CONFIG_H

#include "config/schema/config.h"

struct operator_config {
    struct config_uplink uplink; /* client_id is never NULL: the user name and a random number */
    char *ssh_key;               /* NULL when unset */
};

extern const struct option_table operator_table; /* the keys beside those of `uplink` */

/*
 * The file of this user: $XDG_CONFIG_HOME/sallyport/operator.conf, else the same under ~/.config.
 * Owned by the caller.
 */
char *operator_config_path(void);

/* The home folder of this user, owned by the caller. */
char *operator_home(void);

/*
 * Loads the file at PATH; file names may begin with "~/". All problems go to FINDINGS. Returns 0
 * and the owned result when there was no error, else -EINVAL.
 */
int operator_config_load(const char *path, struct findings *findings,
                         struct operator_config **ret_config);

/* Accepts NULL, returns NULL. */
struct operator_config *operator_config_free(struct operator_config *config);

/* Appends all keys for operator.conf(5), enclosed by the marks of config/print/manual.h. */
void operator_config_manual(struct strbuf *out);

#endif
