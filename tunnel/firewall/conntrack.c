/* Removes connection tracking entries: a dump, then one request for each that was picked. */
#include "tunnel/firewall/conntrack.h"

#include "agent/base/descriptor.h"
#include "tunnel/os/netlink.h"
#include "tunnel/os/tcp_socket.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>

#define TUPLE_BYTES 128    /* IPv6 with its ports takes 68 */
#define ROUND_ENTRIES 4096 /* picked from one dump; what is more, from another */
#define ROUNDS 64

/* Who began the connection, and to where: the tuple of its original direction. */
struct flow {
    struct ip_network source, destination; /* hosts */
    uint8_t protocol;
    uint16_t port; /* of the destination; 0: this protocol has none */
    uint16_t source_port;
    bool is_midway; /* TCP: the kernel did not see it begin */
};

/* What a request to delete an entry consists of. */
struct conntrack_entry {
    uint8_t family;
    bool has_id, has_zone;
    uint32_t id;   /* as the kernel wrote them */
    uint16_t zone; /* of both directions; of one it is in the tuple */
    size_t tuple_bytes;
    uint8_t tuple[TUPLE_BYTES];
};

struct conntrack_search {
    bool (*is_wanted)(const struct conntrack_search *search, const struct flow *flow);
    const struct firewall_lease_state *leases;
    size_t n_leases;
    const struct ifaddrs *addresses;
    bool is_open;
    size_t n_found;
    struct strbuf found; /* struct entry, one after the other */
};

/* ---- Reading an entry ---- */

static const struct nlattr *find_in(const struct nlattr *outer, uint16_t type)
{
    return outer ? netlink_find(netlink_value(outer), netlink_value_bytes(outer), type) : NULL;
}

static int read_host(const struct nlattr *addresses, uint8_t family, bool is_source,
                     struct ip_network *ret_host)
{
    bool is_v4 = family == AF_INET;
    uint16_t type = is_source ? (is_v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC)
                              : (is_v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST);
    const struct nlattr *address = find_in(addresses, type);
    size_t size = is_v4 ? 4 : 16;
    if (!address || netlink_value_bytes(address) != size)
        return -EBADMSG;
    *ret_host = (struct ip_network){.family = family, .prefix = (uint8_t)(8 * size)};
    memcpy(ret_host->bytes, netlink_value(address), size);
    return 0;
}

/* Of TCP alone: the kernel lets pass what is outside the window of a connection that it found. */
static bool is_midway(const struct nlattr *protocol)
{
    const struct nlattr *flags =
        find_in(find_in(protocol, CTA_PROTOINFO_TCP), CTA_PROTOINFO_TCP_FLAGS_ORIGINAL);
    struct nf_ct_tcp_flags value;
    if (!flags || netlink_value_bytes(flags) != sizeof(value))
        return false;
    memcpy(&value, netlink_value(flags), sizeof(value));
    return value.flags & IP_CT_TCP_FLAG_BE_LIBERAL;
}

static int read_flow(const struct nlattr *tuple, uint8_t family, struct flow *ret_flow)
{
    const struct nlattr *addresses = find_in(tuple, CTA_TUPLE_IP);
    const struct nlattr *transport = find_in(tuple, CTA_TUPLE_PROTO);
    const struct nlattr *protocol = find_in(transport, CTA_PROTO_NUM);
    struct flow flow = {0};
    if (!protocol || netlink_value_bytes(protocol) != 1 ||
        (family != AF_INET && family != AF_INET6) ||
        read_host(addresses, family, true, &flow.source) < 0 ||
        read_host(addresses, family, false, &flow.destination) < 0)
        return -EBADMSG;
    flow.protocol = *(const uint8_t *)netlink_value(protocol);
    (void)netlink_be16(netlink_value(transport), netlink_value_bytes(transport), CTA_PROTO_DST_PORT,
                       &flow.port);
    (void)netlink_be16(netlink_value(transport), netlink_value_bytes(transport), CTA_PROTO_SRC_PORT,
                       &flow.source_port);
    *ret_flow = flow;
    return 0;
}

static void conntrack_note(struct conntrack_search *search, uint8_t family,
                           const struct nlattr *tuple, const struct nlattr *id,
                           const struct nlattr *zone)
{
    struct conntrack_entry entry = {.family = family, .tuple_bytes = netlink_value_bytes(tuple)};
    if (entry.tuple_bytes > sizeof(entry.tuple))
        return; /* of a protocol that this file does not look at */
    memcpy(entry.tuple, netlink_value(tuple), entry.tuple_bytes);
    entry.has_id = id && netlink_value_bytes(id) == sizeof(entry.id);
    if (entry.has_id)
        memcpy(&entry.id, netlink_value(id), sizeof(entry.id));
    entry.has_zone = zone && netlink_value_bytes(zone) == sizeof(entry.zone);
    if (entry.has_zone)
        memcpy(&entry.zone, netlink_value(zone), sizeof(entry.zone));
    strbuf_append(&search->found, &entry, sizeof(entry));
    search->n_found++;
}

static void consider(const struct nlmsghdr *message, void *context)
{
    struct conntrack_search *search = context;
    struct nfgenmsg header;
    if (message->nlmsg_len < NLMSG_LENGTH(sizeof(header)) || search->n_found == ROUND_ENTRIES)
        return;
    memcpy(&header, NLMSG_DATA(message), sizeof(header));
    const uint8_t *attributes = (const uint8_t *)message + NLMSG_LENGTH(sizeof(header));
    size_t length = message->nlmsg_len - NLMSG_LENGTH(sizeof(header));
    const struct nlattr *tuple = netlink_find(attributes, length, CTA_TUPLE_ORIG);
    struct flow flow;
    if (!tuple || read_flow(tuple, header.nfgen_family, &flow) < 0)
        return;
    flow.is_midway = is_midway(netlink_find(attributes, length, CTA_PROTOINFO));
    if (search->is_wanted(search, &flow))
        conntrack_note(search, header.nfgen_family, tuple, netlink_find(attributes, length, CTA_ID),
                       netlink_find(attributes, length, CTA_ZONE));
}

/* ---- Deleting ---- */

static int delete_entry(int socket, const struct conntrack_entry *entry)
{
    const struct nfgenmsg header = {.nfgen_family = entry->family, .version = NFNETLINK_V0};
    struct netlink_request request;
    netlink_begin(&request, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE, 0, &header,
                  sizeof(header));
    netlink_put(&request, CTA_TUPLE_ORIG | NLA_F_NESTED, entry->tuple, entry->tuple_bytes);
    if (entry->has_zone)
        netlink_put(&request, CTA_ZONE, &entry->zone, sizeof(entry->zone));
    if (entry->has_id) /* not another that came since */
        netlink_put(&request, CTA_ID, &entry->id, sizeof(entry->id));
    return netlink_ask(socket, &request, NULL, NULL);
}

/* Returns how many were deleted: all that were found, but for those that ended by themselves. */
static int delete_found(int socket, const struct conntrack_search *search)
{
    int deleted = 0;
    for (size_t i = 0; i < search->n_found; i++) {
        struct conntrack_entry entry;
        memcpy(&entry, search->found.data + i * sizeof(entry), sizeof(entry));
        int problem = delete_entry(socket, &entry);
        if (problem < 0 && problem != -ENOENT)
            return problem;
        deleted += problem == 0;
    }
    return deleted;
}

static int delete_round(int socket, struct conntrack_search *search)
{
    const struct nfgenmsg header = {.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0};
    struct netlink_request request;
    search->n_found = 0;
    strbuf_reset(&search->found);
    netlink_begin(&request, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, NLM_F_DUMP, &header,
                  sizeof(header));
    int result = netlink_ask(socket, &request, consider, search);
    return result < 0 ? result : delete_found(socket, search);
}

static int delete_all(struct conntrack_search *search)
{
    CLEANUP(descriptor_close) int socket = netlink_open(NETLINK_NETFILTER, 0);
    if (socket < 0)
        return socket;
    int deleted = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        int result = delete_round(socket, search);
        if (result < 0) {
            deleted = result;
            break;
        }
        deleted += result;
        if (search->n_found < ROUND_ENTRIES)
            break;
    }
    strbuf_free(&search->found);
    return deleted;
}

/* ---- What is picked ---- */

static bool is_under_lease(const struct conntrack_search *search, const struct flow *flow)
{
    for (size_t i = 0; i < search->n_leases; i++) {
        const struct firewall_lease *lease = &search->leases[i].lease;
        if (lease->protocol == flow->protocol && lease->port == flow->port &&
            ip_network_contains(&lease->source, &flow->source) &&
            ip_network_contains(&lease->destination, &flow->destination))
            return true;
    }
    return false;
}

static bool is_own_address(const struct ifaddrs *addresses, const struct ip_network *host)
{
    if (host->family == AF_INET && host->bytes[0] == 127)
        return true;
    for (const struct ifaddrs *at = addresses; at; at = at->ifa_next) {
        if (!at->ifa_addr || at->ifa_addr->sa_family != host->family)
            continue;
        const void *bytes =
            host->family == AF_INET
                ? (const void *)&((const struct sockaddr_in *)(const void *)at->ifa_addr)->sin_addr
                : &((const struct sockaddr_in6 *)(const void *)at->ifa_addr)->sin6_addr;
        if (memcmp(bytes, host->bytes, host->prefix / 8) == 0)
            return true;
    }
    return false;
}

/*
 * While there were no rules, anybody could write this machine's address as the source: the kernel
 * takes that from no wire with IPv4, but with IPv6, and tracks a flow that this machine seems to
 * have begun. Of TCP, its sockets tell; the others begin again with their next packet.
 */
static bool may_be_forged(const struct conntrack_search *search, const struct flow *flow)
{
    return search->is_open && flow->source.family == AF_INET6 &&
           is_own_address(search->addresses, &flow->source) &&
           !(flow->protocol == IPPROTO_TCP &&
             tcp_socket_has(&flow->source, flow->source_port, &flow->destination, flow->port));
}

static bool is_foreign(const struct conntrack_search *search, const struct flow *flow)
{
    if (may_be_forged(search, flow))
        return true;
    if ((flow->protocol != IPPROTO_TCP && flow->protocol != IPPROTO_SCTP) ||
        is_under_lease(search, flow))
        return false;
    if (flow->is_midway || (flow->protocol == IPPROTO_SCTP && search->is_open))
        return true;
    return !is_own_address(search->addresses, &flow->source);
}

int conntrack_forget(const struct firewall_lease_state *leases, size_t n_leases)
{
    struct conntrack_search search = {
        .is_wanted = is_under_lease, .leases = leases, .n_leases = n_leases};
    return n_leases > 0 ? delete_all(&search) : 0;
}

int conntrack_cut(const struct firewall_lease_state *kept, size_t n_kept, bool is_open)
{
    struct ifaddrs *addresses;
    if (getifaddrs(&addresses) < 0)
        return -errno;
    struct conntrack_search search = {.is_wanted = is_foreign,
                                      .leases = kept,
                                      .n_leases = n_kept,
                                      .addresses = addresses,
                                      .is_open = is_open};
    int result = delete_all(&search);
    freeifaddrs(addresses);
    return result;
}
