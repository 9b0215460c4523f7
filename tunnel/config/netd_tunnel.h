/* The group `tunnel` of netd.conf. Pure; any thread. */
#ifndef SALLYPORT_TUNNEL_CONFIG_NETD_TUNNEL_H
#define SALLYPORT_TUNNEL_CONFIG_NETD_TUNNEL_H

#include "config/load/section.h"
#include "tunnel/config/netd_settings.h"

/*
 * Reads the group of ROOT, the file, into CONFIG, which is all zero; reports what is wrong. Its
 * texts belong to CONFIG, and netd_config_free() frees them.
 */
void netd_read_tunnel(const struct section *root, struct tunnel_config *config);

#endif
