/* The keys of netd.conf: the only place that declares them. */
#include "tunnel/config/netd_options.h"

#include "agent/base/macros.h"
#include "tunnel/config/netd_settings.h"

#include <stddef.h>

/* A change of any key needs a restart, or a trial of the firewall's. */
#define MEMBER(owner, name)                                                                        \
    .key = #name, .offset = offsetof(struct owner, name), .reload = RELOAD_RESTART
#define TABLE(table_path, struct_name, table_rows, table_help)                                     \
    {                                                                                              \
        .path = (table_path), .help = (table_help), .rows = (table_rows),                          \
        .n_rows = ARRAY_LENGTH(table_rows), .size = sizeof(struct struct_name)                     \
    }

static const char *const egress_names[] = {"open", "strict", NULL};
static const char *const approval_names[] = {"none", "local", NULL};
static const char *const side_names[] = {"wan", "plant", NULL};
static const char *const protocol_names[] = {"tcp", "udp", NULL};
static const char *const exception_protocol_names[] = {"tcp", "udp", "icmp", NULL};

static const struct option firewall_rows[] = {
    {MEMBER(raw_firewall, wan), .type = OPTION_TEXT_LIST, .max = NETD_MAX_INTERFACES,
     .help = "Interfaces towards the internet; a trailing * makes a pattern. DHCP replies are "
             "accepted here and nowhere else.",
     .example = "[ \"eth0\" ]"},
    {MEMBER(raw_firewall, plant), .type = OPTION_TEXT_LIST, .max = NETD_MAX_INTERFACES,
     .help = "Interfaces towards the plant; a trailing * makes a pattern.",
     .example = "[ \"eth1\" ]"},
    {MEMBER(raw_firewall, egress), .type = OPTION_ENUM, .names = egress_names, .fallback = "open",
     .help = "What the gateway itself may send: \"open\" is everything, \"strict\" only answers, "
             "DHCP, the plant, the hub, name servers, time servers, and what egress_allow lists: "
             "brokers and proxy as well."},
    {MEMBER(raw_firewall, egress_lease_s), .type = OPTION_INT, .unit = "s", .min = 5, .max = 86400,
     .fallback = "300",
     .help = "How long an address of egress_allow, ntp or agent.may_reach may be reached after its "
             "name had it last, and a fifth more; names are asked for again after half of it."},
    {MEMBER(raw_firewall, dns), .type = OPTION_TEXT_LIST, .max = NETD_MAX_DNS,
     .help =
         "The addresses of the name servers that egress = \"strict\" and the group `agent` let "
         "out; when the list is empty, those of /etc/resolv.conf, which DHCP may have written."},
    {MEMBER(raw_firewall, ntp), .type = OPTION_TEXT_LIST, .max = NETD_MAX_NTP,
     .help = "With egress = \"strict\": the time servers, names or addresses."},
};
const struct option_table netd_firewall_table =
    TABLE("firewall", raw_firewall, firewall_rows,
          "The firewall: everything that is not listed stays closed, on every interface.");

static const struct option exception_rows[] = {
    {MEMBER(raw_exception, interface), .type = OPTION_TEXT, .flags = OPTION_REQUIRED, .min = 1,
     .max = 15, .help = "The interface where it comes in; a trailing * makes a pattern.",
     .example = "\"eth1\""},
    {MEMBER(raw_exception, source), .type = OPTION_TEXT, .flags = OPTION_REQUIRED, .min = 2,
     .max = 63, .help = "Who may connect: an address or a network, IPv4 or IPv6.",
     .example = "\"192.168.10.20/32\""},
    {MEMBER(raw_exception, protocol), .type = OPTION_ENUM, .names = exception_protocol_names,
     .fallback = "tcp",
     .help = "The transport; \"icmp\" is ping: ten echo requests a second, IPv4 or IPv6 as source "
             "is, and nothing else."},
    {MEMBER(raw_exception, port), .type = OPTION_PORTS, .min = 1, .max = 65535,
     .help = "The port on this gateway, or a range as a text: \"5000-5010\". Required, but none "
             "with protocol = \"icmp\".",
     .example = "22"},
};
const struct option_table netd_exception_table =
    TABLE("firewall.exceptions", raw_exception, exception_rows,
          "A port, or ping, that stays open to one network on one interface; each is reported.");

static const struct option egress_rows[] = {
    {MEMBER(raw_egress, destination), .type = OPTION_TEXT, .flags = OPTION_REQUIRED, .min = 1,
     .max = NETD_HOST_BYTES - 1,
     .help = "Where to: a name, an address or a network, IPv4 or IPv6; \"0.0.0.0/0\" for "
             "everywhere.",
     .example = "\"broker.example.com\""},
    {MEMBER(raw_egress, protocol), .type = OPTION_ENUM, .names = protocol_names, .fallback = "tcp",
     .help = "The transport."},
    {MEMBER(raw_egress, port), .type = OPTION_INT, .flags = OPTION_REQUIRED, .min = 1, .max = 65535,
     .help = "The port of the destination.", .example = "8883"},
};
const struct option_table netd_egress_table =
    TABLE("firewall.egress_allow", raw_egress, egress_rows,
          "With egress = \"strict\": one destination that the gateway itself may reach; the "
          "broker, a proxy, a package server. The agent may reach it as well, networks only "
          "outside the plant.");

static const struct option reach_rows[] = {
    {MEMBER(raw_reach, destination), .type = OPTION_TEXT, .flags = OPTION_REQUIRED, .min = 1,
     .max = NETD_HOST_BYTES - 1,
     .help =
         "Where to: an address or a network, IPv4 or IPv6, or a name. A service of this gateway "
         "itself needs its address, or \"localhost\": a network or a name does not take it in.",
     .example = "\"192.168.10.5\""},
    {MEMBER(raw_reach, protocol), .type = OPTION_ENUM, .names = protocol_names, .fallback = "tcp",
     .help = "The transport."},
    {MEMBER(raw_reach, port), .type = OPTION_INT, .flags = OPTION_REQUIRED, .min = 1, .max = 65535,
     .help = "The port of the destination.", .example = "502"},
    {MEMBER(raw_reach, side), .type = OPTION_ENUM, .names = side_names, .fallback = "wan",
     .help = "Of a name: where its addresses must be, so that a name server that lies cannot send "
             "the agent to the other side. \"plant\": behind an interface of firewall.plant; "
             "\"wan\": anywhere else. An address needs no side."},
};
const struct option_table netd_reach_table =
    TABLE("agent.may_reach", raw_reach, reach_rows,
          "One destination that the agent may reach: its brokers, its proxy, its Modbus devices. "
          "With the group `agent` its user reaches only these, firewall.egress_allow and name "
          "servers; without it everything but services of this gateway itself.");

static const struct option paths_rows[] = {
    {MEMBER(netd_paths, state_dir), .type = OPTION_PATH, .fallback = "/var/lib/sallyport-netd",
     .help = "The folder for the audit trail and the ruleset that is loaded at boot."},
    {MEMBER(netd_paths, runtime_dir), .type = OPTION_PATH, .fallback = "/run/sallyport-netd",
     .help = "The folder for the socket, netd.sock."},
};
const struct option_table netd_paths_table =
    TABLE("paths", netd_paths, paths_rows, "Where netd keeps its files.");

static const struct option access_rows[] = {
    {MEMBER(netd_access, agent_user), .type = OPTION_NAME, .fallback = "sallyport",
     .help = "The user that the agent runs as, a name or a number; it may ask for the status, "
             "hand over signed commands and close a session."},
    {MEMBER(netd_access, admin_group), .type = OPTION_NAME, .fallback = "sallyport-admin",
     .help = "The group whose members may open, extend and approve sessions on site, as root may; "
             "a name or a number."},
    {MEMBER(netd_access, allowed_signers), .type = OPTION_PATH,
     .fallback = "/etc/sallyport/allowed_signers",
     .help =
         "The operators' keys, in OpenSSH's ALLOWED SIGNERS format: each line needs "
         "namespaces=\"sallyport\" and an Ed25519 or hardware-backed Ed25519 key. Owned by root; "
         "read again for every command. Without it every signed command is refused."},
    {MEMBER(netd_access, revoked_keys), .type = OPTION_PATH,
     .fallback = "/etc/sallyport/revoked_keys",
     .help = "Keys that no longer count, whatever allowed_signers says: an OpenSSH KRL, or public "
             "keys one a line. Owned by root; read again for every command; may be missing."},
};
const struct option_table netd_access_table = TABLE(
    "access", netd_access, access_rows, "Who may talk to netd, and whose signed commands count.");

static const struct option tunnel_rows[] = {
    {MEMBER(raw_tunnel, gateway), .type = OPTION_TEXT, .flags = OPTION_REQUIRED, .min = 3,
     .max = 129, .help = "What a signed command must name: the site and the id of this gateway.",
     .example = "\"plant-7/gw-0042\""},
    {MEMBER(raw_tunnel, address), .type = OPTION_TEXT, .flags = OPTION_REQUIRED, .min = 7,
     .max = 18, .help = "The IPv4 address of this gateway inside the tunnel.",
     .example = "\"10.254.1.42\""},
    {MEMBER(raw_tunnel, private_key_file), .type = OPTION_PATH, .flags = OPTION_REQUIRED,
     .help = "The WireGuard private key of this gateway; made at the first start when missing.",
     .example = "\"/etc/sallyport/netd/wireguard.key\""},
    {MEMBER(raw_tunnel, sources), .type = OPTION_TEXT_LIST, .flags = OPTION_REQUIRED, .min = 1,
     .max = NETD_MAX_SOURCES,
     .help = "Who may use an open session: IPv4 networks as seen inside the tunnel.",
     .example = "[ \"10.254.0.0/24\" ]"},
    {MEMBER(raw_tunnel, max_ttl_s), .type = OPTION_INT, .unit = "s", .min = 1, .max = 604800,
     .flags = OPTION_REQUIRED,
     .help = "The longest session, extensions included. It has no default: a limit is chosen.",
     .example = "28800"},
    {MEMBER(raw_tunnel, idle_close_s), .type = OPTION_INT, .unit = "s", .min = 1, .max = 86400,
     .flags = OPTION_REQUIRED,
     .help = "A session through which nothing has passed for so long is closed. It has no default.",
     .example = "900"},
    {MEMBER(raw_tunnel, keepalive_s), .type = OPTION_INT, .unit = "s", .min = 1, .max = 3600,
     .fallback = "25", .help = "How often an open tunnel shows itself to routers on the way."},
    {MEMBER(raw_tunnel, mtu), .type = OPTION_INT, .unit = "bytes", .min = 1280, .max = 9000,
     .fallback = "1360", .help = "The largest packet inside the tunnel."},
    {MEMBER(raw_tunnel, approval), .type = OPTION_ENUM, .names = approval_names, .fallback = "none",
     .help = "\"local\": every opening waits up to 15 minutes for `sallyport tunnel approve` on "
             "site."},
};
const struct option_table netd_tunnel_table =
    TABLE("tunnel", raw_tunnel, tunnel_rows,
          "The maintenance tunnel; without this group none can ever be opened.");

static const struct option hub_rows[] = {
    {MEMBER(raw_hub, public_key), .type = OPTION_TEXT, .flags = OPTION_REQUIRED, .min = 44,
     .max = 44, .help = "The WireGuard public key of the hub, 44 characters.",
     .example = "\"w2h8S6S0yyzcV4X3g1Uq8pGq8qnJzTzYc0m4kq1O1nE=\""},
    {MEMBER(raw_hub, endpoint), .type = OPTION_TEXT, .flags = OPTION_REQUIRED, .min = 3, .max = 260,
     .help = "Where the hub listens, UDP: NAME:PORT, ADDRESS:PORT or [IPV6]:PORT.",
     .example = "\"vpn.example.com:443\""},
    {MEMBER(raw_hub, address), .type = OPTION_TEXT, .flags = OPTION_REQUIRED, .min = 7, .max = 18,
     .help = "The IPv4 address of the hub inside the tunnel.", .example = "\"10.254.0.1\""},
    {MEMBER(raw_hub, preshared_key_file), .type = OPTION_PATH,
     .help = "A key that both sides share beside the others, against later attackers."},
};
const struct option_table netd_hub_table =
    TABLE("tunnel.hub", raw_hub, hub_rows, "The central site.");

static const struct option service_rows[] = {
    {MEMBER(raw_service, name), .type = OPTION_NAME, .flags = OPTION_REQUIRED,
     .help = "How a command names it.", .example = "\"ssh\""},
    {MEMBER(raw_service, protocol), .type = OPTION_ENUM, .names = protocol_names, .fallback = "tcp",
     .help = "The transport."},
    {MEMBER(raw_service, port), .type = OPTION_INT, .flags = OPTION_REQUIRED, .min = 1,
     .max = 65535, .help = "The port.", .example = "22"},
    {MEMBER(raw_service, target), .type = OPTION_TEXT, .min = 7, .max = 18,
     .help = "The IPv4 address of a device that the gateway reaches; without it the service is the "
             "gateway's own."},
    {MEMBER(raw_service, interface), .type = OPTION_TEXT, .min = 1, .max = 15,
     .help = "The interface through which the target is reached; required with a target."},
};
const struct option_table netd_service_table =
    TABLE("tunnel.services", raw_service, service_rows, "One thing that a session may open.");

const struct option_table *const netd_option_tables[] = {
    &netd_firewall_table, &netd_exception_table,
    &netd_egress_table,   &netd_reach_table,
    &netd_paths_table,    &netd_access_table,
    &netd_tunnel_table,   &netd_hub_table,
    &netd_service_table,  NULL};
