/*
 * The keys of netd.conf, one row each, and the plain values that a file gives before they are
 * checked and typed. For what reads, explains or writes the file.
 */
#ifndef SALLYPORT_TUNNEL_CONFIG_NETD_OPTIONS_H
#define SALLYPORT_TUNNEL_CONFIG_NETD_OPTIONS_H

#include "config/schema/option.h"

struct raw_firewall {
    struct text_list wan, plant, dns, ntp;
    int egress;
    int64_t egress_lease_s;
};

struct raw_exception {
    char *interface, *source;
    int protocol;
    char *port; /* "22" or "5000-5010"; NULL with "icmp" */
};

struct raw_egress {
    char *destination;
    int protocol;
    int64_t port;
};

struct raw_reach { /* of agent.may_reach */
    char *destination;
    int protocol, side;
    int64_t port;
};

struct raw_tunnel {
    char *gateway, *address, *private_key_file;
    struct text_list sources;
    int64_t max_ttl_s, idle_close_s, keepalive_s, mtu;
    int approval;
};

struct raw_hub {
    char *public_key, *endpoint, *address, *preshared_key_file;
};

struct raw_service {
    char *name, *target, *interface;
    int protocol;
    int64_t port;
};

extern const struct option_table netd_firewall_table, netd_exception_table, netd_egress_table,
    netd_reach_table, netd_paths_table, netd_access_table, netd_tunnel_table, netd_hub_table,
    netd_service_table;

/* All of them, NULL-terminated. */
extern const struct option_table *const netd_option_tables[];

#endif
