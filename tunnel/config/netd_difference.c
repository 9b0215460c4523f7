/* Two configurations, compared: member by member, as text where it is text. */
#include "tunnel/config/netd_difference.h"

#include <string.h>

static bool is_same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_same_hub(const struct tunnel_hub *a, const struct tunnel_hub *b)
{
    return is_same_text(a->public_key, b->public_key) &&
           is_same_text(a->endpoint_host, b->endpoint_host) &&
           a->endpoint_port == b->endpoint_port && ip_network_equal(&a->address, &b->address) &&
           is_same_text(a->preshared_key_file, b->preshared_key_file);
}

static bool is_same_service(const struct tunnel_service *a, const struct tunnel_service *b)
{
    return is_same_text(a->name, b->name) && a->protocol == b->protocol && a->port == b->port &&
           a->is_behind == b->is_behind && ip_network_equal(&a->target, &b->target) &&
           is_same_text(a->interface.text, b->interface.text);
}

static bool is_same_tunnel(const struct tunnel_config *a, const struct tunnel_config *b)
{
    if (a->is_configured != b->is_configured || !is_same_text(a->gateway, b->gateway) ||
        !ip_network_equal(&a->address, &b->address) ||
        !is_same_text(a->private_key_file, b->private_key_file) || !is_same_hub(&a->hub, &b->hub) ||
        a->max_ttl_s != b->max_ttl_s || a->idle_close_s != b->idle_close_s ||
        a->keepalive_s != b->keepalive_s || a->mtu != b->mtu || a->approval != b->approval ||
        a->n_sources != b->n_sources || a->n_services != b->n_services)
        return false;
    for (size_t i = 0; i < a->n_sources; i++) {
        if (!ip_network_equal(&a->sources[i], &b->sources[i]))
            return false;
    }
    for (size_t i = 0; i < a->n_services; i++) {
        if (!is_same_service(&a->services[i], &b->services[i]))
            return false;
    }
    return true;
}

const char *netd_config_difference(const struct netd_config *a, const struct netd_config *b)
{
    if (!is_same_text(a->paths.state_dir, b->paths.state_dir) ||
        !is_same_text(a->paths.runtime_dir, b->paths.runtime_dir))
        return "paths";
    if (!is_same_text(a->access.agent_user, b->access.agent_user) ||
        !is_same_text(a->access.admin_group, b->access.admin_group) ||
        !is_same_text(a->access.allowed_signers, b->access.allowed_signers) ||
        !is_same_text(a->access.revoked_keys, b->access.revoked_keys))
        return "access";
    return is_same_tunnel(&a->tunnel, &b->tunnel) ? NULL : "tunnel";
}
