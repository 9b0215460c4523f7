/* Asks the kernel for the socket of one connection. */
#include "tunnel/os/tcp_socket.h"

#include "agent/base/descriptor.h"
#include "tunnel/os/netlink.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <string.h>

static void note_state(const struct nlmsghdr *message, void *context)
{
    struct inet_diag_msg about;
    uint8_t *state = context;
    if (message->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
        message->nlmsg_len < NLMSG_LENGTH(sizeof(about)))
        return;
    memcpy(&about, NLMSG_DATA(message), sizeof(about));
    *state = about.idiag_state;
}

bool tcp_socket_has(const struct ip_network *ours, uint16_t our_port,
                    const struct ip_network *theirs, uint16_t their_port)
{
    CLEANUP(descriptor_close) int socket = netlink_open(NETLINK_SOCK_DIAG, 0);
    struct inet_diag_req_v2 wanted = {.sdiag_family = (uint8_t)ours->family,
                                      .sdiag_protocol = IPPROTO_TCP};
    struct netlink_request request;
    uint8_t state = TCP_LISTEN;
    if (socket < 0 || ours->family != theirs->family)
        return false;
    wanted.id.idiag_sport = htons(our_port);
    wanted.id.idiag_dport = htons(their_port);
    memcpy(wanted.id.idiag_src, ours->bytes, ours->prefix / 8);
    memcpy(wanted.id.idiag_dst, theirs->bytes, theirs->prefix / 8);
    memset(wanted.id.idiag_cookie, 0xff, sizeof(wanted.id.idiag_cookie)); /* INET_DIAG_NOCOOKIE */
    netlink_begin(&request, SOCK_DIAG_BY_FAMILY, 0, &wanted, sizeof(wanted));
    return netlink_ask(socket, &request, note_state, &state) == 0 && state != TCP_LISTEN;
}
