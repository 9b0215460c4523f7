/*
 * The lockdown before the network, without configuration and loop: a ruleset that was expanded and
 * checked when the configuration was applied, or the built-in one. Main thread only.
 */
#ifndef SALLYPORT_TUNNEL_FIREWALL_FIREWALL_BOOT_H
#define SALLYPORT_TUNNEL_FIREWALL_FIREWALL_BOOT_H

#include "agent/base/strbuf.h"
#include "tunnel/config/netd_config.h"

/* Writes the checked, expanded boot file (`nft -c`, fsync, rename). 0 or a negative errno. */
int firewall_write_boot_file(const struct netd_config *config, const char *path,
                             struct strbuf *problem);

/*
 * Loads PATH (at most 1 MiB) or, if that is missing or broken, the built-in rules. Returns 0 for
 * the file, 1 for the built-in rules, a negative errno when neither could be loaded; what is wrong
 * with the file goes to PROBLEM.
 */
int firewall_lockdown(const char *path, struct strbuf *problem);

#endif
