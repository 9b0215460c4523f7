/*
 * The lockdown before the network, without the loop: the built-in rules at once, then those of a
 * configuration that root vouches for. Main thread only.
 */
#ifndef SALLYPORT_TUNNEL_FIREWALL_FIREWALL_BOOT_H
#define SALLYPORT_TUNNEL_FIREWALL_FIREWALL_BOOT_H

#include "agent/base/strbuf.h"
#include "tunnel/config/netd_config.h"

/* Appends the rules of CONFIG for nft, behind a line with their digest. */
void firewall_boot_text(const struct netd_config *config, struct strbuf *out);

/*
 * Writes firewall_boot_text() to PATH (`nft -c`, fsync, rename), for an administrator to read:
 * nothing loads it. 0 or a negative errno.
 */
int firewall_write_boot_file(const struct netd_config *config, const char *path,
                             struct strbuf *problem);

/* Loads the built-in rules and cuts connections that others began. 0, or a negative errno: open. */
int firewall_lockdown(struct strbuf *problem);

/* Loads the rules of CONFIG in their place. 0, or a negative errno: the built-in ones stay. */
int firewall_lockdown_as(const struct netd_config *config, struct strbuf *problem);

#endif
