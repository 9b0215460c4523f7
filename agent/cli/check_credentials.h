/* What `sallyport check` finds in the files that `uplink` names. */
#ifndef SALLYPORT_AGENT_CLI_CHECK_CREDENTIALS_H
#define SALLYPORT_AGENT_CLI_CHECK_CREDENTIALS_H

#include "config/schema/config.h"
#include "config/schema/finding.h"

/*
 * Adds what the agent could not use: certificates, keys, passwords and revocation lists that are
 * damaged, out of date, of the wrong kind, or do not belong together. Files that are missing or
 * open to all are those of config_check_files().
 */
void check_credentials(const struct config *config, struct findings *findings);

/*
 * Adds files that the user of the agent, NAME, cannot read. Does nothing unless the caller is root
 * and there is such a user.
 */
void check_agent_access(const struct config *config, const char *name, struct findings *findings);

#endif
