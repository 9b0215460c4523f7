/* What netd.conf says against the machine and the agent's own addresses; part of `check`. */
#ifndef SALLYPORT_AGENT_CLI_CHECK_MACHINE_H
#define SALLYPORT_AGENT_CLI_CHECK_MACHINE_H

#include "config/schema/config.h"
#include "config/schema/finding.h"
#include "tunnel/config/netd_config.h"

/*
 * Errors: an interface that joins WAN and plant, or is on neither side; a network that the machine
 * reaches and the tunnel's addresses cut off. Only on the machine that NETD, the file at PATH, is
 * for: one that has an interface of firewall.wan or firewall.plant.
 */
void check_machine(const struct netd_config *netd, const char *path, struct findings *findings);

/* Errors: a broker, proxy or device of AGENT has an address that belongs to the tunnel. */
void check_tunnel_addresses(const struct config *agent, const struct netd_config *netd,
                            struct findings *findings);

#endif
