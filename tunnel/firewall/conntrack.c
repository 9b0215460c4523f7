/* Removes connection tracking entries of leases that ended: one dump, then one request for each. */
#include "tunnel/firewall/conntrack.h"

#include "agent/base/descriptor.h"
#include "tunnel/os/netlink.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>

struct search {
    const struct firewall_lease *leases;
    size_t n_leases;
    struct strbuf found; /* struct netlink_request, one after the other */
};

static const struct nfgenmsg ipv4 = {.nfgen_family = AF_INET, .version = NFNETLINK_V0};

/* Who began the connection, and to where: the tuple of its original direction. */
static int read_tuple(const struct nlattr *tuple, struct firewall_lease *ret_lease)
{
    const void *parts = netlink_value(tuple);
    size_t length = netlink_value_bytes(tuple);
    const struct nlattr *addresses = netlink_find(parts, length, CTA_TUPLE_IP);
    const struct nlattr *transport = netlink_find(parts, length, CTA_TUPLE_PROTO);
    if (!addresses || !transport)
        return -EBADMSG;
    const struct nlattr *source =
        netlink_find(netlink_value(addresses), netlink_value_bytes(addresses), CTA_IP_V4_SRC);
    const struct nlattr *destination =
        netlink_find(netlink_value(addresses), netlink_value_bytes(addresses), CTA_IP_V4_DST);
    const struct nlattr *protocol =
        netlink_find(netlink_value(transport), netlink_value_bytes(transport), CTA_PROTO_NUM);
    if (!source || !destination || !protocol || netlink_value_bytes(source) != 4 ||
        netlink_value_bytes(destination) != 4 || netlink_value_bytes(protocol) != 1)
        return -EBADMSG;
    struct firewall_lease lease = {
        .source = {.family = AF_INET, .prefix = 32},
        .destination = {.family = AF_INET, .prefix = 32},
        .protocol = *(const uint8_t *)netlink_value(protocol),
    };
    memcpy(lease.source.bytes, netlink_value(source), 4);
    memcpy(lease.destination.bytes, netlink_value(destination), 4);
    if (netlink_be16(netlink_value(transport), netlink_value_bytes(transport), CTA_PROTO_DST_PORT,
                     &lease.port) < 0)
        return -EBADMSG;
    *ret_lease = lease;
    return 0;
}

static bool is_under(const struct search *search, const struct firewall_lease *flow)
{
    for (size_t i = 0; i < search->n_leases; i++) {
        const struct firewall_lease *lease = &search->leases[i];
        if (lease->protocol == flow->protocol && lease->port == flow->port &&
            ip_network_contains(&lease->source, &flow->source) &&
            ip_network_contains(&lease->destination, &flow->destination))
            return true;
    }
    return false;
}

static void consider(const struct nlmsghdr *message, void *context)
{
    struct search *search = context;
    if (message->nlmsg_len < NLMSG_LENGTH(sizeof(struct nfgenmsg)))
        return;
    const uint8_t *attributes = (const uint8_t *)message + NLMSG_LENGTH(sizeof(struct nfgenmsg));
    size_t length = message->nlmsg_len - NLMSG_LENGTH(sizeof(struct nfgenmsg));
    const struct nlattr *tuple = netlink_find(attributes, length, CTA_TUPLE_ORIG);
    const struct nlattr *id = netlink_find(attributes, length, CTA_ID);
    struct firewall_lease flow;
    if (!tuple || netlink_value_bytes(tuple) > NETLINK_REQUEST_BYTES / 2 ||
        read_tuple(tuple, &flow) < 0 || !is_under(search, &flow))
        return;
    struct netlink_request request;
    netlink_begin(&request, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE, 0, &ipv4,
                  sizeof(ipv4));
    netlink_put(&request, CTA_TUPLE_ORIG | NLA_F_NESTED, netlink_value(tuple),
                netlink_value_bytes(tuple));
    if (id && netlink_value_bytes(id) == sizeof(uint32_t)) /* not another that came since */
        netlink_put(&request, CTA_ID, netlink_value(id), sizeof(uint32_t));
    strbuf_append(&search->found, &request, sizeof(request));
}

static int delete_found(int socket, const struct strbuf *found)
{
    int deleted = 0;
    for (size_t at = 0; at < found->length; at += sizeof(struct netlink_request)) {
        struct netlink_request request;
        memcpy(&request, found->data + at, sizeof(request));
        int problem = netlink_ask(socket, &request, NULL, NULL);
        if (problem < 0 && problem != -ENOENT) /* it may have ended by itself */
            return problem;
        deleted += problem == 0;
    }
    return deleted;
}

int conntrack_forget(const struct firewall_lease *leases, size_t n_leases)
{
    if (n_leases == 0)
        return 0;
    CLEANUP(descriptor_close) int socket = netlink_open(NETLINK_NETFILTER, 0);
    if (socket < 0)
        return socket;
    struct search search = {.leases = leases, .n_leases = n_leases};
    struct netlink_request request;
    netlink_begin(&request, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, NLM_F_DUMP, &ipv4,
                  sizeof(ipv4));
    int result = netlink_ask(socket, &request, consider, &search);
    if (result == 0)
        result = delete_found(socket, &search.found);
    strbuf_free(&search.found);
    return result;
}
