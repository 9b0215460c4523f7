/* egress = "strict": destinations that the gateway itself may reach for a while. */
#include "tunnel/egress.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

int egress_read(const struct sockaddr_storage *address, uint8_t protocol, int64_t timeout_ms,
                struct egress_lease *ret_lease)
{
    struct egress_lease lease = {.protocol = protocol, .remaining_ms = timeout_ms};
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (address->ss_family == AF_INET) {
        memcpy(&v4, address, sizeof(v4));
        memcpy(lease.destination.bytes, &v4.sin_addr, sizeof(v4.sin_addr));
        lease.destination.prefix = 32;
        lease.port = ntohs(v4.sin_port);
    } else if (address->ss_family == AF_INET6) {
        memcpy(&v6, address, sizeof(v6));
        memcpy(lease.destination.bytes, &v6.sin6_addr, sizeof(v6.sin6_addr));
        lease.destination.prefix = 128;
        lease.port = ntohs(v6.sin6_port);
    } else {
        return -EINVAL;
    }
    lease.destination.family = address->ss_family;
    if (!ip_network_is_unicast_host(&lease.destination) || lease.port == 0 || timeout_ms <= 0 ||
        (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP))
        return -EINVAL;
    *ret_lease = lease;
    return 0;
}

static bool is_same_place(const struct egress_lease *a, const struct egress_lease *b)
{
    return ip_network_equal(&a->destination, &b->destination) && a->protocol == b->protocol &&
           a->port == b->port;
}

/* What is leased now, but for PLACE and what ran out. */
static size_t others(const struct rules *rules, const struct egress_lease *place,
                     struct egress_lease kept[RULESET_MAX_EGRESS])
{
    struct egress_lease all[RULESET_MAX_EGRESS];
    size_t n = rules_egress(rules, all, RULESET_MAX_EGRESS), n_kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (all[i].remaining_ms > 0 && !is_same_place(&all[i], place))
            kept[n_kept++] = all[i];
    }
    return n_kept;
}

int egress_allow(struct rules *rules, const struct egress_lease *lease)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    struct egress_lease egress[RULESET_MAX_EGRESS];
    size_t n = others(rules, lease, egress);
    if (n == RULESET_MAX_EGRESS)
        return -E2BIG;
    egress[n++] = *lease;
    return rules_set_egress(rules, egress, n, &problem);
}

int egress_forget(struct rules *rules, const struct egress_lease *lease)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    struct egress_lease egress[RULESET_MAX_EGRESS];
    return rules_set_egress(rules, egress, others(rules, lease, egress), &problem);
}
