/* What a trial of new rules cannot change. Pure; any thread. */
#ifndef SALLYPORT_TUNNEL_CONFIG_NETD_DIFFERENCE_H
#define SALLYPORT_TUNNEL_CONFIG_NETD_DIFFERENCE_H

#include "tunnel/config/netd_settings.h"

/*
 * The first group other than `firewall` and `agent`, which a trial may change, in which the two
 * are not the same ("tunnel", ...), or NULL.
 */
const char *netd_config_difference(const struct netd_config *a, const struct netd_config *b);

#endif
