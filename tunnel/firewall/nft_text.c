/*
 * The ruleset as text. Everything is decided by tables that the kernel evaluates in this order:
 * the tunnel's branch first, then replies, then what a gateway cannot live without, then the
 * configured exceptions. A lease is looked up for every packet, never remembered by an
 * `established` rule, so that it ends when its element times out, whoever is alive then.
 *
 * Replies means replies: a packet passes because it answers a connection that this machine began.
 * Connection tracking alone does not know who began one: of a connection that it did not follow
 * from its first packet (nf_conntrack_tcp_loose), the next packet that this machine sends would
 * make it ours. So ours begin with a SYN, in output too; what others began passes neither
 * way; and conntrack.c removes what was followed wrongly while these rules were not there.
 *
 * Nothing is answered: the kernel also answers what it judges before the hook `input` (options, hop
 * limits, fragments that never become whole), so that output lets no ICMP out but questions of this
 * machine's own and what neighbours on the link need.
 */
#include "tunnel/firewall/nft_text.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

const char *const nft_text_counter_names[] = {"dropped_in", "dropped_forward", "dropped_out",
                                              "spoofed", NULL};

static_assert(FIREWALL_MAX_LEASES == NETD_MAX_SERVICES * NETD_MAX_SOURCES,
              "every service for every source");

#define TCP_IPV4_HEADER_BYTES 40 /* RFC 9293 3.7.1, RFC 791 3.1: without options */

static const char *protocol_name(uint8_t protocol)
{
    return protocol == IPPROTO_UDP ? "udp" : "tcp";
}

static const char *family_keyword(int family)
{
    return family == AF_INET6 ? "ip6" : "ip";
}

/* "ip saddr 10.0.0.0/8", or only the family for everything of it: 0.0.0.0/0 is no real match. */
static void add_address(struct strbuf *out, const char *side, const struct ip_network *network)
{
    char text[IP_NETWORK_TEXT_BYTES];
    if (network->prefix == 0)
        strbuf_addf(out, "meta nfproto %s", network->family == AF_INET6 ? "ipv6" : "ipv4");
    else
        strbuf_addf(out, "%s %s %s", family_keyword(network->family), side,
                    ip_network_format(network, text));
}

/* ---- Elements ---- */

static bool is_through(const struct firewall_lease *lease)
{
    return lease->interface[0] != '\0';
}

bool nft_text_is_covered(const struct firewall_lease_state *leases, size_t n_leases, size_t at)
{
    const struct firewall_lease *lease = &leases[at].lease;
    for (size_t i = 0; i < n_leases; i++) {
        const struct firewall_lease *other = &leases[i].lease;
        if (i == at || leases[i].remaining_ms <= 0 || !firewall_lease_is_same_place(lease, other) ||
            !ip_network_contains(&other->source, &lease->source))
            continue;
        if (other->source.prefix < lease->source.prefix || i < at)
            return true;
    }
    return false;
}

static void nft_text_add_lease(struct strbuf *out, const struct firewall_lease_state *state)
{
    const struct firewall_lease *lease = &state->lease;
    char source[IP_NETWORK_TEXT_BYTES], destination[IP_NETWORK_TEXT_BYTES];
    if (!is_through(lease))
        strbuf_add(out, "\"" TUNNEL_INTERFACE "\" . ");
    strbuf_addf(out, "%s . %s . %s . %u", ip_network_format(&lease->source, source),
                ip_network_format(&lease->destination, destination), protocol_name(lease->protocol),
                lease->port);
    if (is_through(lease))
        strbuf_addf(out, " . \"%s\"", lease->interface);
    strbuf_addf(out, " counter packets 0 bytes %" PRIu64 " timeout %" PRId64 "ms", state->bytes,
                state->remaining_ms);
}

/* The sets of destinations; each exists if the rules look it up. */
static const struct egress_set {
    const char *name;
    int family;
    bool is_agents;
} egress_sets[] = {{NFT_TEXT_EGRESS4, AF_INET, false},
                   {NFT_TEXT_EGRESS6, AF_INET6, false},
                   {NFT_AGENT_SET4, AF_INET, true},
                   {NFT_AGENT_SET6, AF_INET6, true}};

static bool has_set(const struct nft_text *ruleset, bool is_agents)
{
    return is_agents ? ruleset->agent != 0 : ruleset->config->firewall.egress == EGRESS_STRICT;
}

bool nft_text_has_set(const struct nft_text *ruleset, const struct egress_lease *lease)
{
    return has_set(ruleset, lease->is_agents);
}

static bool is_egress_for(const struct egress_lease *lease, const struct egress_set *set)
{
    return lease->remaining_ms > 0 && lease->destination.family == set->family &&
           lease->is_agents == set->is_agents;
}

static void add_egress(struct strbuf *out, const struct egress_lease *lease)
{
    char text[IP_NETWORK_TEXT_BYTES];
    strbuf_addf(out, "%s . %s . %u timeout %" PRId64 "ms",
                ip_network_format(&lease->destination, text), protocol_name(lease->protocol),
                lease->port, lease->remaining_ms);
}

static void add_separator(struct strbuf *out, size_t *count, const char *first, const char *next)
{
    strbuf_add(out, (*count)++ == 0 ? first : next);
}

/* The leases of one of the two sets; returns how many there were. */
static size_t nft_text_add_leases(struct strbuf *out, const struct firewall_lease_state *leases,
                                  size_t n_leases, bool through, const char *first,
                                  const char *next)
{
    size_t count = 0;
    for (size_t i = 0; i < n_leases; i++) {
        if (leases[i].remaining_ms <= 0 || is_through(&leases[i].lease) != through ||
            nft_text_is_covered(leases, n_leases, i))
            continue;
        add_separator(out, &count, first, next);
        nft_text_add_lease(out, &leases[i]);
    }
    return count;
}

static size_t add_all_egress(struct strbuf *out, const struct nft_text *ruleset,
                             const struct egress_set *set, const char *first, const char *next)
{
    size_t count = 0;
    for (size_t i = 0; i < ruleset->n_egress; i++) {
        if (!is_egress_for(&ruleset->egress[i], set))
            continue;
        add_separator(out, &count, first, next);
        add_egress(out, &ruleset->egress[i]);
    }
    return count;
}

#define IN_SET_FIRST "\t\telements = {\n\t\t\t"
#define IN_SET_NEXT ",\n\t\t\t"
#define IN_SET_END "\n\t\t}\n"

static void write_egress_set(const struct nft_text *ruleset, const struct egress_set *set,
                             struct strbuf *out)
{
    strbuf_addf(out,
                "\tset %s {\n"
                "\t\ttypeof %s daddr . meta l4proto . th dport\n"
                "\t\tsize 2048\n\t\tflags timeout\n",
                set->name, family_keyword(set->family));
    if (add_all_egress(out, ruleset, set, IN_SET_FIRST, IN_SET_NEXT))
        strbuf_add(out, IN_SET_END);
    strbuf_add(out, "\t}\n");
}

static void write_sets(const struct nft_text *ruleset, struct strbuf *out)
{
    strbuf_add(out, "\tset " NFT_TEXT_LEASE_IN " {\n"
                    "\t\ttypeof iifname . ip saddr . ip daddr . meta l4proto . th dport\n"
                    "\t\tsize 512\n\t\tflags interval, timeout\n\t\tcounter\n");
    if (nft_text_add_leases(out, ruleset->leases, ruleset->n_leases, false, IN_SET_FIRST,
                            IN_SET_NEXT))
        strbuf_add(out, IN_SET_END);
    /* Five fields, because nft 1.0.6 cannot print a sixth; "spt*" is matched by the rules. */
    strbuf_add(out, "\t}\n\tset " NFT_TEXT_LEASE_THROUGH " {\n"
                    "\t\ttypeof ip saddr . ip daddr . meta l4proto . th dport . oifname\n"
                    "\t\tsize 512\n\t\tflags interval, timeout\n\t\tcounter\n");
    if (nft_text_add_leases(out, ruleset->leases, ruleset->n_leases, true, IN_SET_FIRST,
                            IN_SET_NEXT))
        strbuf_add(out, IN_SET_END);
    strbuf_add(out, "\t}\n");
    for (size_t i = 0; i < ARRAY_LENGTH(egress_sets); i++) {
        if (has_set(ruleset, egress_sets[i].is_agents))
            write_egress_set(ruleset, &egress_sets[i], out);
    }
}

void nft_text_write_leases(const struct firewall_lease_state *leases, size_t n_leases,
                           struct strbuf *out)
{
    strbuf_add(out, "flush set inet " FIREWALL_TABLE " " NFT_TEXT_LEASE_IN "\n"
                    "flush set inet " FIREWALL_TABLE " " NFT_TEXT_LEASE_THROUGH "\n");
    if (nft_text_add_leases(out, leases, n_leases, false,
                            "add element inet " FIREWALL_TABLE " " NFT_TEXT_LEASE_IN " {\n\t",
                            ",\n\t"))
        strbuf_add(out, "\n}\n");
    if (nft_text_add_leases(out, leases, n_leases, true,
                            "add element inet " FIREWALL_TABLE " " NFT_TEXT_LEASE_THROUGH " {\n\t",
                            ",\n\t"))
        strbuf_add(out, "\n}\n");
}

void nft_text_write_egress(const struct nft_text *ruleset, struct strbuf *out)
{
    for (size_t i = 0; i < ARRAY_LENGTH(egress_sets); i++) {
        CLEANUP(strbuf_free) struct strbuf first = STRBUF_EMPTY;
        const struct egress_set *set = &egress_sets[i];
        if (!has_set(ruleset, set->is_agents))
            continue;
        strbuf_addf(out, "flush set inet " FIREWALL_TABLE " %s\n", set->name);
        strbuf_addf(&first, "add element inet " FIREWALL_TABLE " %s {\n\t", set->name);
        if (add_all_egress(out, ruleset, set, strbuf_text(&first), ",\n\t"))
            strbuf_add(out, "\n}\n");
    }
}

/* ---- Chains ---- */

/* One rule for each address of technicians and hub; sets would refuse networks that overlap. */
static void write_technicians(const struct tunnel_config *tunnel, const char *match,
                              const char *counter, struct strbuf *out)
{
    char text[IP_NETWORK_TEXT_BYTES];
    for (size_t i = 0; i < tunnel->n_sources; i++)
        strbuf_addf(out, "\t\t%s %s counter name %s drop\n", match,
                    ip_network_format(&tunnel->sources[i], text), counter);
    if (tunnel->hub.address.family == AF_INET)
        strbuf_addf(out, "\t\t%s %s counter name %s drop\n", match,
                    ip_network_format(&tunnel->hub.address, text), counter);
}

/*
 * What a packet from elsewhere cannot carry: the tunnel's addresses as its source, and this
 * machine's own address in the tunnel as its destination, also in an ICMP error about a flow there.
 */
static void write_tunnel_arrival(const struct tunnel_config *tunnel, struct strbuf *out)
{
    char text[IP_NETWORK_TEXT_BYTES];
    write_technicians(tunnel, "iifname != \"spt*\" ip saddr", "spoofed", out);
    if (tunnel->address.family != AF_INET)
        return;
    (void)ip_network_format(&tunnel->address, text);
    strbuf_addf(out,
                "\t\tiifname != \"spt*\" ip saddr %s counter name spoofed drop\n"
                "\t\tiifname != \"spt*\" ip daddr %s counter name spoofed drop\n",
                text, text);
}

/*
 * What belongs into the tunnel leaves nowhere else: when a session has ended its route is gone, and
 * what a service still sends to a technician would take the default route. For output_lock, behind
 * what takes care of the tunnel.
 */
static void write_tunnel_departure(const struct tunnel_config *tunnel, struct strbuf *out)
{
    char text[IP_NETWORK_TEXT_BYTES];
    write_technicians(tunnel, "ip daddr", "dropped_out", out);
    if (tunnel->address.family != AF_INET)
        return;
    (void)ip_network_format(&tunnel->address, text);
    strbuf_addf(out,
                "\t\tip saddr %s counter name dropped_out drop\n"
                "\t\tip daddr %s counter name dropped_out drop\n",
                text, text);
}

static void write_maxseg(const struct tunnel_config *tunnel, const char *side, struct strbuf *out)
{
    /* ICMP "too big" does not pass the tunnel's rules, so that path MTU discovery cannot work. The
     * kernel only ever lowers the value. */
    if (tunnel->is_configured)
        strbuf_addf(out,
                    "\t\t%s \"spt*\" tcp flags & (syn | rst) == syn "
                    "tcp option maxseg size set %" PRId64 "\n",
                    side, tunnel->mtu - TCP_IPV4_HEADER_BYTES);
}

static void write_arrival(const struct netd_config *config, struct strbuf *out)
{
    strbuf_add(out, "\tchain arrival {\n"
                    "\t\ttype filter hook prerouting priority mangle - 10; policy accept;\n"
                    "\t\tiifname \"lo\" accept\n");
    write_maxseg(&config->tunnel, "iifname", out);
    strbuf_add(out, "\t\tip saddr 127.0.0.0/8 counter name spoofed drop\n"
                    "\t\tip daddr 127.0.0.0/8 counter name spoofed drop\n"
                    "\t\tip6 saddr ::1 counter name spoofed drop\n"
                    "\t\tip6 daddr ::1 counter name spoofed drop\n");
    if (config->tunnel.is_configured)
        write_tunnel_arrival(&config->tunnel, out);
    /* The reverse path is unknown while an interface gets its first address. */
    strbuf_add(out, "\t\ticmpv6 type { nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } "
                    "accept\n"
                    "\t\tudp sport 67 udp dport 68 accept\n"
                    "\t\tip6 saddr :: accept\n"
                    "\t\tfib saddr . iif oif missing counter name spoofed drop\n"
                    "\t}\n");
}

static void write_log(const char *prefix, struct strbuf *out)
{
    strbuf_addf(out,
                "\t\tlimit rate 6/minute burst 10 packets log prefix \"sallyport %s: \" "
                "level info\n",
                prefix);
}

/* "22" or "5000-5010". */
static void write_ports(const struct firewall_exception *exception, struct strbuf *out)
{
    strbuf_addf(out, "%u", exception->port);
    if (exception->last_port != exception->port)
        strbuf_addf(out, "-%u", exception->last_port);
}

static const char *icmp_keyword(const struct firewall_exception *exception)
{
    return exception->source.family == AF_INET6 ? "icmpv6" : "icmp";
}

static void write_exceptions(const struct firewall_config *config, struct strbuf *out)
{
    for (size_t i = 0; i < config->n_exceptions; i++) {
        const struct firewall_exception *exception = &config->exceptions[i];
        strbuf_addf(out, "\t\tiifname \"%s\" ", exception->interface.text);
        add_address(out, "saddr", &exception->source);
        if (exception->protocol == IPPROTO_ICMP) {
            strbuf_addf(out, " %s type echo-request limit rate 10/second burst 10 packets accept\n",
                        icmp_keyword(exception));
            continue;
        }
        strbuf_addf(out, " %s dport ", protocol_name(exception->protocol));
        write_ports(exception, out);
        strbuf_add(out, " accept\n");
    }
}

/* The only ICMP answers that get out: before write_silence(). */
static void write_echo_replies(const struct firewall_config *config, struct strbuf *out)
{
    for (size_t i = 0; i < config->n_exceptions; i++) {
        const struct firewall_exception *exception = &config->exceptions[i];
        if (exception->protocol != IPPROTO_ICMP)
            continue;
        strbuf_addf(out, "\t\toifname \"%s\" ", exception->interface.text);
        add_address(out, "daddr", &exception->source);
        strbuf_addf(out, " %s type echo-reply ct direction reply accept\n",
                    icmp_keyword(exception));
    }
}

/*
 * What answers an exception, also in a connection from before the rules: that one is wanted. With
 * TCP whatever begins nothing, for such a connection may be followed from its middle.
 */
static void write_exception_replies(const struct firewall_config *config, struct strbuf *out)
{
    for (size_t i = 0; i < config->n_exceptions; i++) {
        const struct firewall_exception *exception = &config->exceptions[i];
        if (exception->protocol == IPPROTO_ICMP)
            continue;
        strbuf_addf(out, "\t\toifname \"%s\" ", exception->interface.text);
        add_address(out, "daddr", &exception->source);
        strbuf_addf(out, " %s sport ", protocol_name(exception->protocol));
        write_ports(exception, out);
        strbuf_add(out, exception->protocol == IPPROTO_TCP
                            ? " tcp flags & (fin | syn | rst | ack) != syn accept\n"
                            : " ct direction reply accept\n");
    }
}

/*
 * A connection that outlived its session must not come to life in the next one, nor keep it from
 * being idle: what is no reply to, and no part of, a connection of this session begins with a SYN.
 * The same for what the gateway itself sends.
 */
static void write_fresh_only(const char *counter, struct strbuf *out)
{
    strbuf_addf(
        out,
        "\t\tct state invalid counter name %s drop\n"
        "\t\tct state new tcp flags & (fin | syn | rst | ack) != syn counter name %s drop\n",
        counter, counter);
}

/*
 * ICMP errors about what this machine sent, where its address is, so that path MTU discovery works;
 * no redirect, which would turn its way, and no source quench (RFC 6633).
 */
#define ERRORS_IN                                                                                  \
    "\t\tct state related icmp type { destination-unreachable, time-exceeded, "                    \
    "parameter-problem } fib daddr . iif type local accept\n"                                      \
    "\t\tct state related icmpv6 type { destination-unreachable, packet-too-big, "                 \
    "time-exceeded, parameter-problem } fib daddr . iif type local accept\n"

/*
 * Hop limit 255 proves that the sender is on the link: RFC 4861 11.2. Solicitations are limited,
 * because each may take a place in the kernel's table of neighbours, which has 1024 for all
 * interfaces, and keeps each for 5 s at least.
 */
#define NEIGHBOURS_IN                                                                              \
    "\t\ticmpv6 type nd-neighbor-solicit ip6 hoplimit 255 "                                        \
    "limit rate 50/second burst 100 packets accept\n"                                              \
    "\t\ticmpv6 type mld-listener-query ip6 saddr fe80::/10 ip6 hoplimit 1 "                       \
    "limit rate 10/second accept\n"

static void write_branches(const char *side, const struct interface_pattern *patterns, size_t n,
                           struct strbuf *out)
{
    for (size_t i = 0; i < n; i++)
        strbuf_addf(out, "\t\tiifname \"%s\" goto %s_%zu\n", patterns[i].text, side, i);
}

/*
 * What a gateway cannot live without. Each listed interface has limits of its own, so that a flood
 * at one does not stop the others; those that are not listed share theirs. An advertisement has no
 * limit: the kernel takes it only for an address that it has asked about, and keeps nothing else.
 */
static void write_neighbours(const struct firewall_config *config, struct strbuf *out)
{
    strbuf_add(out, "\tchain neighbours {\n"
                    "\t\ticmpv6 type nd-neighbor-advert ip6 hoplimit 255 accept\n");
    write_branches("wan", config->wan, config->n_wan, out);
    write_branches("plant", config->plant, config->n_plant, out);
    strbuf_add(out, NEIGHBOURS_IN "\t}\n");
    for (size_t i = 0; i < config->n_wan; i++)
        strbuf_addf(out,
                    "\tchain wan_%zu {\n" NEIGHBOURS_IN
                    "\t\tmeta nfproto ipv4 udp sport 67 udp dport 68 limit rate 10/second accept\n"
                    "\t\tip6 saddr fe80::/10 udp sport 547 udp dport 546 limit rate 10/second "
                    "accept\n"
                    "\t\ticmpv6 type nd-router-advert ip6 hoplimit 255 limit rate 10/second "
                    "accept\n"
                    "\t}\n",
                    i);
    for (size_t i = 0; i < config->n_plant; i++)
        strbuf_addf(out, "\tchain plant_%zu {\n" NEIGHBOURS_IN "\t}\n", i);
}

/*
 * Each chain whose policy is to drop also ends with a rule that drops. When a table is replaced the
 * kernel makes the new rules valid first, then unhooks the old chains, and only then gives the new
 * ones their policy: in that moment what no rule dropped would pass.
 */
static void write_input(const struct firewall_config *config, struct strbuf *out)
{
    strbuf_add(out, "\tchain input_lock {\n"
                    "\t\ttype filter hook input priority filter - 5; policy drop;\n"
                    "\t\tiifname \"lo\" accept\n"
                    "\t\tiifname \"spt*\" goto tunnel_in\n"
                    "\t\tct state established ct direction reply accept\n" ERRORS_IN
                    "\t\tjump neighbours\n");
    write_exceptions(config, out);
    write_log("in", out);
    strbuf_add(out, "\t\tcounter name dropped_in drop\n"
                    "\t}\n");
    write_neighbours(config, out);
    strbuf_add(out, "\tchain tunnel_in {\n");
    write_fresh_only("dropped_in", out);
    strbuf_add(out, "\t\tiifname . ip saddr . ip daddr . meta l4proto . th dport "
                    "@" NFT_TEXT_LEASE_IN " accept\n"
                    "\t\tcounter name dropped_in drop\n"
                    "\t}\n");
}

static void write_forward(const struct tunnel_config *tunnel, struct strbuf *out)
{
    strbuf_add(out, "\tchain forward_lock {\n"
                    "\t\ttype filter hook forward priority filter - 5; policy drop;\n");
    write_technicians(tunnel, "oifname != \"spt*\" ip daddr", "dropped_forward", out);
    strbuf_add(out, "\t\tiifname \"spt*\" goto tunnel_through\n"
                    "\t\toifname \"spt*\" ct direction reply "
                    "ip daddr . ip saddr . meta l4proto . th sport . iifname "
                    "@" NFT_TEXT_LEASE_THROUGH " accept\n");
    write_log("forward", out);
    strbuf_add(out, "\t\tcounter name dropped_forward drop\n"
                    "\t}\n"
                    "\tchain tunnel_through {\n");
    write_fresh_only("dropped_forward", out);
    strbuf_add(out, "\t\tip saddr . ip daddr . meta l4proto . th dport . oifname "
                    "@" NFT_TEXT_LEASE_THROUGH " accept\n"
                    "\t\tcounter name dropped_forward drop\n"
                    "\t}\n");
}

#define NEIGHBOURS_OUT                                                                             \
    "mld-listener-report, mld-listener-done, nd-router-solicit, nd-neighbor-solicit, "             \
    "nd-neighbor-advert, mld2-listener-report"

/*
 * No ICMP answer, whatever caused it: errors, redirects, echo replies. A machine that is no router
 * needs to send none; other ends of its own connections do without.
 */
static void write_silence(struct strbuf *out)
{
    strbuf_add(out, "\t\ticmp type != { echo-request, router-solicitation, timestamp-request } "
                    "counter name dropped_out drop\n"
                    "\t\ticmpv6 type != { echo-request, " NEIGHBOURS_OUT " } "
                    "counter name dropped_out drop\n");
}

static void write_strict(const struct firewall_config *config, struct strbuf *out)
{
    strbuf_add(out, "\t\tct state established accept\n"
                    "\t\ticmpv6 type { " NEIGHBOURS_OUT " } accept\n");
    for (size_t i = 0; i < config->n_plant; i++)
        strbuf_addf(out, "\t\toifname \"%s\" accept\n", config->plant[i].text);
    for (size_t i = 0; i < config->n_allow; i++) {
        strbuf_add(out, "\t\t");
        add_address(out, "daddr", &config->allow[i].destination);
        strbuf_addf(out, " %s dport %u accept\n", protocol_name(config->allow[i].protocol),
                    config->allow[i].port);
    }
    strbuf_add(out, "\t\tip daddr . meta l4proto . th dport @" NFT_TEXT_EGRESS4 " accept\n"
                    "\t\tip6 daddr . meta l4proto . th dport @" NFT_TEXT_EGRESS6 " accept\n");
    write_log("out", out);
    strbuf_add(out, "\t\tcounter name dropped_out drop\n");
}

/*
 * Drops what belongs to no connection that the gateway began. Its DHCP comes first, whose server
 * may have sent the first packet. An SCTP connection begins with the chunk INIT (RFC 9260 3.3.2;
 * the byte after the common header), as a TCP connection does with a SYN.
 */
static void write_own_only(struct strbuf *out)
{
    strbuf_add(out, "\t\tudp sport 68 udp dport 67 accept\n"
                    "\t\tudp sport 546 udp dport 547 accept\n"
                    "\t\tct direction reply counter name dropped_out drop\n");
    write_fresh_only("dropped_out", out);
    strbuf_add(out, "\t\tct state new meta l4proto sctp @th,96,8 != 1 "
                    "counter name dropped_out drop\n");
}

static void write_output(const struct firewall_config *config, const struct tunnel_config *tunnel,
                         uid_t agent, struct strbuf *out)
{
    bool is_strict = config->egress == EGRESS_STRICT;
    strbuf_addf(out,
                "\tchain output_lock {\n"
                "\t\ttype filter hook output priority filter - 5; policy %s;\n",
                is_strict ? "drop" : "accept");
    if (agent)
        nft_agent_write_branch(agent, out);
    strbuf_add(out, "\t\toifname \"lo\" accept\n"
                    "\t\toifname \"spt*\" goto tunnel_out\n");
    write_tunnel_departure(tunnel, out);
    write_echo_replies(config, out);
    write_silence(out);
    write_exception_replies(config, out);
    write_own_only(out);
    if (is_strict)
        write_strict(config, out);
    /* The direction comes first: a look-up counts its packet as payload of the lease. */
    strbuf_add(out,
               "\t}\n"
               "\tchain tunnel_out {\n"
               "\t\tct direction reply oifname . ip daddr . ip saddr . meta l4proto . th sport "
               "@" NFT_TEXT_LEASE_IN " accept\n"
               "\t\tcounter name dropped_out drop\n"
               "\t}\n");
    CLEANUP(strbuf_free) struct strbuf guard = STRBUF_EMPTY;
    write_tunnel_departure(tunnel, &guard);
    if (agent)
        nft_agent_write_chains(config, strbuf_text(&guard), out);
}

static void write_departure(const struct tunnel_config *tunnel, struct strbuf *out)
{
    if (!tunnel->is_configured)
        return;
    strbuf_add(out, "\tchain departure {\n"
                    "\t\ttype filter hook postrouting priority mangle; policy accept;\n");
    write_maxseg(tunnel, "oifname", out);
    /* A device has no route back into the tunnel. Only what a lease let through gets here. */
    strbuf_add(out, "\t}\n"
                    "\tchain hide_behind {\n"
                    "\t\ttype nat hook postrouting priority srcnat; policy accept;\n"
                    "\t\tiifname \"spt*\" masquerade\n"
                    "\t}\n");
}

void nft_text_write(const struct nft_text *ruleset, struct strbuf *out)
{
    const struct netd_config *config = ruleset->config;
    /* Adding the table first lets the deletion succeed when it is not there. */
    strbuf_add(out, "table inet " FIREWALL_TABLE "\n"
                    "delete table inet " FIREWALL_TABLE "\n"
                    "table inet " FIREWALL_TABLE " {\n");
    for (size_t i = 0; i < COUNTER_COUNT; i++)
        strbuf_addf(out, "\tcounter %s {\n\t}\n", nft_text_counter_names[i]);
    write_sets(ruleset, out);
    write_arrival(config, out);
    write_input(&config->firewall, out);
    write_forward(&config->tunnel, out);
    write_output(&config->firewall, &config->tunnel, ruleset->agent, out);
    write_departure(&config->tunnel, out);
    strbuf_add(out, "}\n");
}
