/*
 * netd's configuration, netd.conf: root-owned, loaded and checked in full, immutable
 * afterwards. netd and the command line may read it; the agent never does.
 */
#ifndef SALLYPORT_TUNNEL_CONFIG_NETD_CONFIG_H
#define SALLYPORT_TUNNEL_CONFIG_NETD_CONFIG_H

#include "config/schema/finding.h"
#include "tunnel/config/netd_settings.h"

#define NETD_CONFIG_DEFAULT_PATH "/etc/sallyport/netd.conf"

/*
 * Reads PATH. All problems go to FINDINGS. Returns 0 and the owned result when there was no error,
 * else -EINVAL. Refuses a file, or a folder of it, that others than root (or the caller) may write.
 */
int netd_config_load(const char *path, struct findings *findings, struct netd_config **ret_config);

/* Whether PATH is there, and nobody but root may write it or replace it in its folder. */
bool netd_config_is_roots(const char *path);

/* Always returns NULL; accepts NULL. */
struct netd_config *netd_config_free(struct netd_config *config);

/* The service NAME, or NULL. */
const struct tunnel_service *netd_config_service(const struct netd_config *config,
                                                 const char *name);

#endif
