/*
 * What takes both configuration files to tell: whether netd's rules let the agent reach what its
 * own file names, and nothing else. For `sallyport check` and `init`. Pure.
 */
#ifndef SALLYPORT_AGENT_CLI_CHECK_REACH_H
#define SALLYPORT_AGENT_CLI_CHECK_REACH_H

#include "config/schema/config.h"
#include "tunnel/config/netd_config.h"

/*
 * With the group `agent`: an error for each broker, proxy and line that it does not permit, and a
 * warning for each entry that nothing uses. Without: a warning that has the whole group, and one
 * for each broker or proxy that egress = "strict" does not let out. NETD_FILE: where NETD is from.
 */
void check_reach(const struct config *agent, const struct netd_config *netd, const char *netd_file,
                 struct findings *findings);

#endif
