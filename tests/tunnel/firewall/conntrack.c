/*
 * Entries of connection tracking in the kernel, in a network of its own: which are deleted, and
 * which stay. They are made by hand, as the kernel would after the packets.
 */
#include "tunnel/firewall/conntrack.h"

#include "agent/base/descriptor.h"
#include "tests/support/private_network.h"
#include "tests/support/test.h"
#include "tunnel/os/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define OWN4 "192.0.2.1"
#define OWN6 "2001:db8::1"

struct made {
    const char *source, *destination;
    uint8_t protocol;
    uint16_t source_port, port;
    bool is_midway;
    uint16_t zone;
};

static void put_tuple(struct netlink_request *request, const struct made *made, bool reply)
{
    bool is_v4 = !strchr(made->source, ':');
    uint8_t source[16], destination[16];
    CU_ASSERT_EQUAL(inet_pton(is_v4 ? AF_INET : AF_INET6, made->source, source), 1);
    CU_ASSERT_EQUAL(inet_pton(is_v4 ? AF_INET : AF_INET6, made->destination, destination), 1);
    const uint16_t from = htons(reply ? made->port : made->source_port);
    const uint16_t to = htons(reply ? made->source_port : made->port);
    size_t size = is_v4 ? 4 : 16;
    size_t tuple = netlink_nest(request, reply ? CTA_TUPLE_REPLY : CTA_TUPLE_ORIG);
    size_t addresses = netlink_nest(request, CTA_TUPLE_IP);
    netlink_put(request, is_v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, reply ? destination : source, size);
    netlink_put(request, is_v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, reply ? source : destination, size);
    netlink_nest_end(request, addresses);
    size_t transport = netlink_nest(request, CTA_TUPLE_PROTO);
    netlink_put(request, CTA_PROTO_NUM, &made->protocol, sizeof(made->protocol));
    netlink_put(request, CTA_PROTO_SRC_PORT, &from, sizeof(from));
    netlink_put(request, CTA_PROTO_DST_PORT, &to, sizeof(to));
    netlink_nest_end(request, transport);
    netlink_nest_end(request, tuple);
}

static void put_state(struct netlink_request *request, const struct made *made)
{
    size_t info = netlink_nest(request, CTA_PROTOINFO);
    if (made->protocol == IPPROTO_TCP) {
        const uint8_t state = TCP_CONNTRACK_ESTABLISHED;
        const struct nf_ct_tcp_flags flags = {
            .flags = made->is_midway ? IP_CT_TCP_FLAG_BE_LIBERAL : 0,
            .mask = IP_CT_TCP_FLAG_BE_LIBERAL,
        };
        size_t tcp = netlink_nest(request, CTA_PROTOINFO_TCP);
        netlink_put(request, CTA_PROTOINFO_TCP_STATE, &state, sizeof(state));
        netlink_put(request, CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, &flags, sizeof(flags));
        netlink_put(request, CTA_PROTOINFO_TCP_FLAGS_REPLY, &flags, sizeof(flags));
        netlink_nest_end(request, tcp);
    } else if (made->protocol == IPPROTO_SCTP) {
        const uint8_t state = 4; /* SCTP_CONNTRACK_ESTABLISHED */
        const uint32_t tag = htonl(7);
        size_t sctp = netlink_nest(request, CTA_PROTOINFO_SCTP);
        netlink_put(request, CTA_PROTOINFO_SCTP_STATE, &state, sizeof(state));
        netlink_put(request, CTA_PROTOINFO_SCTP_VTAG_ORIGINAL, &tag, sizeof(tag));
        netlink_put(request, CTA_PROTOINFO_SCTP_VTAG_REPLY, &tag, sizeof(tag));
        netlink_nest_end(request, sctp);
    }
    netlink_nest_end(request, info);
}

static int ask(const struct made *made, uint16_t type, uint16_t flags)
{
    CLEANUP(descriptor_close) int socket = netlink_open(NETLINK_NETFILTER, 0);
    const struct nfgenmsg header = {.nfgen_family = strchr(made->source, ':') ? AF_INET6 : AF_INET,
                                    .version = NFNETLINK_V0};
    const uint32_t timeout_s = htonl(600), status = htonl(IPS_CONFIRMED | IPS_SEEN_REPLY);
    const uint16_t zone = htons(made->zone);
    struct netlink_request request;
    netlink_begin(&request, (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type), flags, &header,
                  sizeof(header));
    put_tuple(&request, made, false);
    if (zone)
        netlink_put(&request, CTA_ZONE, &zone, sizeof(zone));
    if (type == IPCTNL_MSG_CT_NEW) {
        put_tuple(&request, made, true);
        put_state(&request, made);
        netlink_put(&request, CTA_TIMEOUT, &timeout_s, sizeof(timeout_s));
        netlink_put(&request, CTA_STATUS, &status, sizeof(status));
    }
    return netlink_ask(socket, &request, NULL, NULL);
}

static void make(const struct made *made)
{
    CU_ASSERT_EQUAL(ask(made, IPCTNL_MSG_CT_NEW, NLM_F_CREATE | NLM_F_EXCL), 0);
}

static bool is_there(const struct made *made)
{
    return ask(made, IPCTNL_MSG_CT_GET, 0) == 0;
}

static void drop(const struct made *made)
{
    (void)ask(made, IPCTNL_MSG_CT_DELETE, 0);
}

struct judged {
    struct made made;
    bool stays, stays_when_open;
};

static const struct judged cases[] = {
    {{OWN4, "198.51.100.9", IPPROTO_TCP, 40000, 8883, false, 0}, true, true},
    /* Over IPv6 others can have written our address; no socket here has this connection. */
    {{OWN6, "2001:db8:9::9", IPPROTO_TCP, 40000, 8883, false, 0}, true, false},
    {{OWN6, "2001:db8:9::9", IPPROTO_UDP, 40000, 53, false, 0}, true, false},
    {{"127.0.0.53", "127.0.0.2", IPPROTO_TCP, 40000, 80, false, 0}, true, true},
    {{OWN4, "198.51.100.9", IPPROTO_SCTP, 40000, 9, false, 0}, true, false},
    {{OWN4, "198.51.100.9", IPPROTO_UDP, 40000, 53, false, 0}, true, true},
    /* Begun by others. */
    {{"198.51.100.9", OWN4, IPPROTO_TCP, 40001, 22, false, 0}, false, false},
    {{"198.51.100.9", OWN4, IPPROTO_TCP, 40002, 22, false, 5}, false, false},
    {{"2001:db8:9::9", OWN6, IPPROTO_TCP, 40001, 22, false, 0}, false, false},
    {{"198.51.100.9", OWN4, IPPROTO_SCTP, 40001, 9, false, 0}, false, false},
    {{"2001:db8:9::9", OWN6, IPPROTO_SCTP, 40001, 9, false, 0}, false, false},
    {{"10.254.0.7", OWN4, IPPROTO_TCP, 40003, 23, false, 0}, false, false},
    /* Found in the middle: who began it is not known. */
    {{OWN4, "198.51.100.9", IPPROTO_TCP, 22, 40004, true, 0}, false, false},
    {{OWN6, "2001:db8:9::9", IPPROTO_TCP, 22, 40004, true, 0}, false, false},
    /* Without a beginning: the rules know whose it is as long as it is there. */
    {{"198.51.100.9", OWN4, IPPROTO_UDP, 40005, 161, false, 0}, true, true},
    {{"2001:db8:9::9", OWN6, IPPROTO_UDP, 40005, 161, false, 0}, true, true},
    /* Under the lease below. */
    {{"10.254.0.7", OWN4, IPPROTO_TCP, 40006, 22, false, 0}, true, true},
};

static const struct firewall_lease_state ssh = {
    .lease =
        {
            .source = {AF_INET, {10, 254, 0, 0}, 24},
            .destination = {AF_INET, {192, 0, 2, 1}, 32},
            .protocol = IPPROTO_TCP,
            .port = 22,
        },
};

static void judge(bool is_open)
{
    int gone = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        make(&cases[i].made);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        gone += !(is_open ? cases[i].stays_when_open : cases[i].stays);
    CU_ASSERT_EQUAL(conntrack_cut(&ssh, 1, is_open), gone);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        bool stays = is_open ? cases[i].stays_when_open : cases[i].stays;
        if (is_there(&cases[i].made) != stays)
            printf("case %zu: %s to %s\n", i, cases[i].made.source, cases[i].made.destination);
        CU_ASSERT_EQUAL(is_there(&cases[i].made), stays);
        drop(&cases[i].made);
    }
}

static void test_cut(void)
{
    judge(false);
    judge(true);
}

static void test_without_leases(void)
{
    const struct made *leased = &cases[ARRAY_LENGTH(cases) - 1].made;
    make(leased);
    CU_ASSERT_EQUAL(conntrack_cut(NULL, 0, false), 1);
    CU_ASSERT_FALSE(is_there(leased));
}

/* More than one dump picks. */
static void test_many(void)
{
    const size_t many = 9000;
    struct made made = {"198.51.100.9", OWN4, IPPROTO_TCP, 0, 22, false, 0};
    struct made own = cases[0].made;
    make(&own);
    for (size_t i = 0; i < many; i++) {
        made.source_port = (uint16_t)(1000 + i);
        if (ask(&made, IPCTNL_MSG_CT_NEW, NLM_F_CREATE | NLM_F_EXCL) < 0)
            CU_FAIL_FATAL("an entry was refused");
    }
    CU_ASSERT_EQUAL(conntrack_cut(NULL, 0, true), many);
    CU_ASSERT_FALSE(is_there(&made));
    CU_ASSERT_TRUE(is_there(&own));
    drop(&own);
}

static void test_forget(void)
{
    const struct made in = {"10.254.0.7", OWN4, IPPROTO_TCP, 40000, 22, false, 0};
    const struct made others[] = {
        {"10.254.0.7", OWN4, IPPROTO_TCP, 40000, 23, false, 0},
        {"10.254.0.7", OWN4, IPPROTO_UDP, 40000, 22, false, 0},
        {"10.254.1.7", OWN4, IPPROTO_TCP, 40000, 22, false, 0},
        {"10.254.0.7", "192.0.2.2", IPPROTO_TCP, 40000, 22, false, 0},
        {"2001:db8:9::9", OWN6, IPPROTO_TCP, 40000, 22, false, 0},
    };
    make(&in);
    for (size_t i = 0; i < ARRAY_LENGTH(others); i++)
        make(&others[i]);
    CU_ASSERT_EQUAL(conntrack_forget(NULL, 0), 0);
    CU_ASSERT_TRUE(is_there(&in));
    CU_ASSERT_EQUAL(conntrack_forget(&ssh, 1), 1);
    CU_ASSERT_FALSE(is_there(&in));
    CU_ASSERT_EQUAL(conntrack_forget(&ssh, 1), 0);
    for (size_t i = 0; i < ARRAY_LENGTH(others); i++) {
        CU_ASSERT_TRUE(is_there(&others[i]));
        drop(&others[i]);
    }
}

/* A connection of this process with LISTENER, over IPv6; *RET_MADE is how the kernel tracks it. */
static int connect_here(int listener, struct made *ret_made)
{
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    const struct linger reset = {.l_onoff = 1};
    socklen_t length = sizeof(at);
    int caller = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL(bind(listener, (const struct sockaddr *)&at, sizeof(at)), 0);
    CU_ASSERT_EQUAL(listen(listener, 1), 0);
    CU_ASSERT_EQUAL(getsockname(listener, (struct sockaddr *)&at, &length), 0);
    CU_ASSERT_EQUAL(connect(caller, (const struct sockaddr *)&at, sizeof(at)), 0);
    CU_ASSERT_EQUAL(setsockopt(caller, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    uint16_t port = ntohs(at.sin6_port);
    CU_ASSERT_EQUAL(getsockname(caller, (struct sockaddr *)&at, &length), 0);
    *ret_made = (struct made){"::1", "::1", IPPROTO_TCP, ntohs(at.sin6_port), port, false, 0};
    return caller;
}

static void test_own(void)
{
    struct made own;
    CLEANUP(descriptor_close) int listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CLEANUP(descriptor_close) int caller = connect_here(listener, &own);
    make(&own);
    CU_ASSERT_EQUAL(conntrack_cut(NULL, 0, true), 0);
    CU_ASSERT_TRUE(is_there(&own));
    (void)close(caller);
    caller = -1;
    CU_ASSERT_EQUAL(conntrack_cut(NULL, 0, true), 1);
    CU_ASSERT_FALSE(is_there(&own));
}

static bool make_address(void)
{
    return test_ip("link", "add", "wan", "type", "bridge", NULL) == 0 &&
           test_ip("addr", "add", OWN4 "/24", "dev", "wan", NULL) == 0 &&
           test_ip("addr", "add", OWN6 "/64", "dev", "wan", NULL) == 0;
}

int main(void)
{
    static const struct test_case all[] = {
        {"what others began, or nobody saw begin, goes", test_cut},
        {"without a lease nothing of the tunnel stays", test_without_leases},
        {"over IPv6, what a socket of this machine has stays", test_own},
        {"thousands of them go, and only them", test_many},
        {"what was begun under a lease goes with it", test_forget},
    };
    test_private_network();
    if (!make_address())
        return 1;
    return test_main("conntrack", all, ARRAY_LENGTH(all));
}
