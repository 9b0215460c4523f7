/* The groups `firewall` and `agent` of netd.conf. Pure; any thread. */
#ifndef SALLYPORT_TUNNEL_CONFIG_NETD_FIREWALL_H
#define SALLYPORT_TUNNEL_CONFIG_NETD_FIREWALL_H

#include "config/load/section.h"
#include "tunnel/config/netd_settings.h"

/* Reads both groups of ROOT, the file, into CONFIG, which is all zero; reports what is wrong. */
void netd_read_firewall(const struct section *root, struct firewall_config *config);

#endif
