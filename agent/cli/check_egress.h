/*
 * What takes both configuration files to tell: whether egress = "strict" lets the agent
 * reach the broker or proxy that its own file names. For `sallyport check`. Pure.
 */
#ifndef SALLYPORT_AGENT_CLI_CHECK_EGRESS_H
#define SALLYPORT_AGENT_CLI_CHECK_EGRESS_H

#include "config/schema/config.h"
#include "tunnel/config/netd_config.h"

void check_egress(const struct config *agent, const struct netd_config *netd,
                  struct findings *findings);

#endif
