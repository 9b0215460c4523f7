/*
 * What netd.conf says, checked and typed. Values; netd_config.h reads and frees them.
 */
#ifndef SALLYPORT_TUNNEL_CONFIG_NETD_SETTINGS_H
#define SALLYPORT_TUNNEL_CONFIG_NETD_SETTINGS_H

#include "tunnel/model/address.h"

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NETD_MAX_INTERFACES 16 /* wan and plant, each */
#define NETD_MAX_EXCEPTIONS 64
#define NETD_MAX_EGRESS 64 /* elements of firewall.egress_allow */
#define NETD_MAX_DNS 8
#define NETD_MAX_NTP 8
#define NETD_MAX_NAMES 24       /* of egress_allow and ntp together */
#define NETD_MAX_REACH 512      /* elements of agent.may_reach */
#define NETD_MAX_REACH_NAMES 16 /* those of them that are names */
#define NETD_MAX_SERVICES 16
#define NETD_MAX_SOURCES 8
#define NETD_NAME_BYTES 65  /* of a service, with its NUL */
#define NETD_HOST_BYTES 254 /* of a host name, with its NUL */

enum netd_egress { /* names: "open", "strict" */
                   EGRESS_OPEN,
                   EGRESS_STRICT,
};

enum netd_side { /* names: "wan", "plant" */
                 NETD_SIDE_WAN,
                 NETD_SIDE_PLANT,
};

enum netd_approval { /* names: "none", "local" */
                     APPROVAL_NONE,
                     APPROVAL_LOCAL,
};

/* An interface name, or the start of one: "eth1", "wwan*". Never "lo", never "spt...". */
struct interface_pattern {
    char text[IFNAMSIZ]; /* with the '*' when it is a pattern */
};

/* Ports, or ping, that stay open: to one host or network on one interface. */
struct firewall_exception {
    struct interface_pattern interface;
    struct ip_network source; /* IPv4 or IPv6 */
    uint8_t
        protocol; /* IPPROTO_TCP, IPPROTO_UDP, or IPPROTO_ICMP: echo requests of either family */
    uint16_t port, last_port; /* host order, 1..65535, the first not above the last; 0 with ICMP */
};

/* A destination that egress = "strict", or the agent's list, allows. */
struct firewall_egress {
    struct ip_network destination; /* IPv4 or IPv6; a whole network is allowed */
    uint8_t protocol;
    uint16_t port;
    bool is_time; /* of firewall.ntp: not the agent's business */
    size_t entry; /* of agent.may_reach: its number there, counted from 0 */
};

/* The same by name: whatever addresses the name has, each for a limited time. */
struct firewall_name {
    char host[NETD_HOST_BYTES];
    uint8_t protocol;
    uint16_t port;
    int side;       /* enum netd_side: where its addresses must be */
    bool is_time;   /* of firewall.ntp */
    bool is_agents; /* of agent.may_reach: for the agent alone */
    size_t entry;   /* its number there */
};

/* The group `agent`: what the agent's user may reach. Part of what a trial of rules changes. */
struct agent_config {
    bool is_bound; /* there is such a group: nothing but this, egress_allow and name servers */
    struct firewall_egress reach[2 * NETD_MAX_REACH]; /* "localhost" has two addresses */
    size_t n_reach;
    unsigned lines[NETD_MAX_REACH]; /* of the file, by number of the entry */
    size_t n_entries;               /* elements of may_reach */
    uint32_t n_destinations;        /* the same with those of egress_allow */
};

struct firewall_config {
    struct interface_pattern wan[NETD_MAX_INTERFACES];
    size_t n_wan;
    struct interface_pattern plant[NETD_MAX_INTERFACES];
    size_t n_plant;
    int egress; /* enum netd_egress */
    struct firewall_exception exceptions[NETD_MAX_EXCEPTIONS];
    size_t n_exceptions;
    struct agent_config agent;
    /* The rest with EGRESS_STRICT or a bound agent. Addresses of egress_allow, dns and ntp: */
    struct firewall_egress allow[NETD_MAX_EGRESS + 2 * NETD_MAX_DNS + NETD_MAX_NTP];
    size_t n_allow;
    struct firewall_name names[NETD_MAX_NAMES + NETD_MAX_REACH_NAMES];
    size_t n_names;
    bool dns_is_fixed; /* else the name servers are those of /etc/resolv.conf */
    int64_t egress_lease_s;
};

struct tunnel_service {
    char name[NETD_NAME_BYTES];
    uint8_t protocol;
    uint16_t port;
    bool is_behind;           /* a device that the gateway reaches: the two below are set */
    struct ip_network target; /* one IPv4 host */
    struct interface_pattern interface; /* an exact name: where the target is reached */
};

struct tunnel_hub {
    char *public_key;    /* 44 characters of base64, checked */
    char *endpoint_host; /* a name or an address */
    uint16_t endpoint_port;
    struct ip_network address; /* one IPv4 host: the hub inside the tunnel */
    char *preshared_key_file;  /* NULL when unset */
};

struct tunnel_config {
    bool is_configured; /* false: no `tunnel` group; every opening is refused as unknown-service */
    char *gateway;      /* "site/id", what a signed command must name */
    struct ip_network address; /* one IPv4 host: the gateway inside the tunnel */
    char *private_key_file;
    struct tunnel_hub hub;
    struct ip_network sources[NETD_MAX_SOURCES]; /* IPv4 */
    size_t n_sources;
    int64_t max_ttl_s, idle_close_s, keepalive_s, mtu;
    struct tunnel_service services[NETD_MAX_SERVICES];
    size_t n_services;
    int approval; /* enum netd_approval */
};

struct netd_paths {
    char *state_dir, *runtime_dir;
};

struct netd_access {
    char *agent_user, *admin_group;       /* whose connections are accepted; names or numbers */
    char *allowed_signers, *revoked_keys; /* whose signed commands are; files that may be missing */
};

/* netd_config_difference() has to know every member but `firewall`. */
struct netd_config {
    struct firewall_config firewall;
    struct netd_paths paths;
    struct netd_access access;
    struct tunnel_config tunnel;
    char *text; /* the file as it was read */
};

#endif
