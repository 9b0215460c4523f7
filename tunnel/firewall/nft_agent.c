/*
 * The rules that bind the agent's user. Their order matters:
 *
 * 1. Nothing goes into the tunnel, nothing answers what another program began.
 * 2. To this gateway itself (all its addresses are behind "lo"): single hosts of agent.may_reach
 *    and name servers of this machine. The rest is refused: a network or egress_allow never opens
 *    a service of this gateway.
 * 3. Without the group `agent` that is all, and the other rules go on.
 * 4. Hosts of may_reach, addresses of names, networks of may_reach, hosts of egress_allow and name
 *    servers.
 * 5. What is left for the plant is refused: a network of egress_allow means the world outside.
 * 6. Networks of egress_allow. The rest is refused.
 *
 * Each packet is judged anew, so that a destination that netd.conf does not name any more is cut
 * off at once. The exception are TCP connections to the port of a name, which live on when the
 * name has other addresses by now, or when netd does not run.
 *
 * A refused packet is answered on this machine, so that the agent need not wait for a timeout, by
 * an ICMP error that no device or router sends for TCP or UDP to a healthy host: connect() fails
 * with ENOPROTOOPT (IPv4) or EACCES (IPv6), and the agent can say whose refusal that is.
 */
#include "tunnel/firewall/nft_agent.h"

#include <inttypes.h>

#define DNS_PORT 53

static const char *protocol_name(uint8_t protocol)
{
    return protocol == IPPROTO_UDP ? "udp" : "tcp";
}

/* ---- Destinations ---- */

static bool is_same_port(const struct firewall_egress *a, const struct firewall_egress *b)
{
    return a->destination.family == b->destination.family && a->protocol == b->protocol &&
           a->port == b->port;
}

static bool is_written_host(const struct firewall_egress *entry)
{
    return ip_network_is_host(&entry->destination) && !entry->is_time;
}

static bool came_before(const struct firewall_egress *list, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (is_written_host(&list[i]) && is_same_port(&list[i], &list[at]) &&
            ip_network_equal(&list[i].destination, &list[at].destination))
            return true;
    }
    return false;
}

static bool has_earlier_port(const struct firewall_egress *list, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (is_written_host(&list[i]) && is_same_port(&list[i], &list[at]))
            return true;
    }
    return false;
}

/* One rule for all hosts of LIST with the family, protocol and port of element FIRST. */
static void write_hosts_of_port(const struct firewall_egress *list, size_t n, size_t first,
                                struct strbuf *out)
{
    char text[IP_NETWORK_TEXT_BYTES];
    const char *family = list[first].destination.family == AF_INET6 ? "ip6" : "ip";
    strbuf_addf(out, "\t\t%s daddr { %s", family,
                ip_network_format(&list[first].destination, text));
    for (size_t i = first + 1; i < n; i++) {
        if (is_written_host(&list[i]) && is_same_port(&list[i], &list[first]) &&
            !came_before(list, i))
            strbuf_addf(out, ", %s", ip_network_format(&list[i].destination, text));
    }
    strbuf_addf(out, " } %s dport %u accept\n", protocol_name(list[first].protocol),
                list[first].port);
}

static void write_hosts(const struct firewall_egress *list, size_t n, struct strbuf *out)
{
    for (size_t i = 0; i < n; i++) {
        if (is_written_host(&list[i]) && !has_earlier_port(list, i))
            write_hosts_of_port(list, n, i, out);
    }
}

static void write_networks(const struct firewall_egress *list, size_t n, struct strbuf *out)
{
    char text[IP_NETWORK_TEXT_BYTES];
    for (size_t i = 0; i < n; i++) {
        const struct ip_network *network = &list[i].destination;
        if (ip_network_is_host(network) || list[i].is_time)
            continue;
        if (network->prefix == 0)
            strbuf_addf(out, "\t\tmeta nfproto %s", network->family == AF_INET6 ? "ipv6" : "ipv4");
        else
            strbuf_addf(out, "\t\t%s daddr %s", network->family == AF_INET6 ? "ip6" : "ip",
                        ip_network_format(network, text));
        strbuf_addf(out, " %s dport %u accept\n", protocol_name(list[i].protocol), list[i].port);
    }
}

static bool is_tcp_name(const struct firewall_name *name, int side)
{
    return name->protocol == IPPROTO_TCP && name->side == side;
}

/* Connections that exist to the ports of the names at SIDE. INTERFACE: "" for any. */
static void write_name_ports(const struct firewall_config *config, int side, const char *interface,
                             struct strbuf *out)
{
    for (size_t i = 0; i < config->n_names; i++) {
        const struct firewall_name *name = &config->names[i];
        bool is_known = !is_tcp_name(name, side);
        for (size_t j = 0; !is_known && j < i; j++)
            is_known = is_tcp_name(&config->names[j], side) && config->names[j].port == name->port;
        if (is_known)
            continue;
        strbuf_add(out, "\t\t");
        if (interface[0])
            strbuf_addf(out, "oifname \"%s\" ", interface);
        strbuf_addf(out, "ct state established tcp dport %u accept\n", name->port);
    }
}

/* ---- Chains ---- */

static void write_leased(struct strbuf *out)
{
    strbuf_add(out, "\t\tip daddr . meta l4proto . th dport @" NFT_AGENT_SET4 " accept\n"
                    "\t\tip6 daddr . meta l4proto . th dport @" NFT_AGENT_SET6 " accept\n");
}

static void write_bound(const struct firewall_config *config, struct strbuf *out)
{
    const struct agent_config *agent = &config->agent;
    write_hosts(agent->reach, agent->n_reach, out);
    write_leased(out);
    write_networks(agent->reach, agent->n_reach, out);
    write_hosts(config->allow, config->n_allow, out);
    for (size_t i = 0; i < config->n_plant; i++) {
        write_name_ports(config, NETD_SIDE_PLANT, config->plant[i].text, out);
        strbuf_addf(out, "\t\toifname \"%s\" goto agent_refused\n", config->plant[i].text);
    }
    write_name_ports(config, NETD_SIDE_WAN, "", out);
    write_networks(config->allow, config->n_allow, out);
    strbuf_add(out, "\t\tgoto agent_refused\n");
}

static void write_own(const struct agent_config *agent, struct strbuf *out)
{
    strbuf_add(out, "\tchain agent_own {\n");
    write_hosts(agent->reach, agent->n_reach, out);
    strbuf_addf(out,
                "\t\tip daddr { 127.0.0.53, 127.0.0.54 } udp dport %d accept\n"
                "\t\tip daddr { 127.0.0.53, 127.0.0.54 } tcp dport %d accept\n",
                DNS_PORT, DNS_PORT);
    write_leased(out);
    strbuf_add(out, "\t\tgoto agent_refused\n"
                    "\t}\n");
}

void nft_agent_write_branch(uid_t uid, struct strbuf *out)
{
    strbuf_addf(out, "\t\tmeta skuid %" PRIu32 " jump agent_out\n", (uint32_t)uid);
}

void nft_agent_write_chains(const struct firewall_config *config, const char *guard,
                            struct strbuf *out)
{
    strbuf_add(out, "\tchain agent_out {\n"
                    "\t\toifname \"spt*\" goto agent_refused\n"
                    "\t\tct state invalid counter name dropped_out drop\n"
                    "\t\tct direction reply counter name dropped_out drop\n"
                    "\t\tct state new tcp flags & (fin | syn | rst | ack) != syn "
                    "counter name dropped_out drop\n"
                    "\t\toifname \"lo\" goto agent_own\n");
    if (config->agent.is_bound) {
        strbuf_add(out, guard);
        write_bound(config, out);
    }
    strbuf_add(out, "\t}\n");
    write_own(&config->agent, out);
    strbuf_add(out, "\tchain agent_refused {\n"
                    "\t\tlimit rate 6/minute burst 10 packets log prefix \"sallyport agent: \" "
                    "level info\n"
                    "\t\tcounter name dropped_out\n"
                    "\t\tmeta nfproto ipv4 reject with icmp type prot-unreachable\n"
                    "\t\treject with icmpv6 type admin-prohibited\n"
                    "\t}\n");
}
