/* A TCP connection to one host and port. */
#include "drivers/transport/transport_tcp.h"

#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "drivers/transport/dial.h"
#include "drivers/wait.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

struct tcp_transport {
    struct transport base;
    struct dial *dial;
    int64_t timeout_ms;
    int socket; /* -1: closed */
};

static int tcp_open(struct transport *transport, struct driver_error *error)
{
    struct tcp_transport *tcp = (struct tcp_transport *)transport;
    if (tcp->socket >= 0)
        return 0;
    return dial_connect(tcp->dial, tcp->timeout_ms, transport->stop, &tcp->socket, error->text,
                        sizeof(error->text));
}

static void tcp_close(struct transport *transport, bool in_error)
{
    struct tcp_transport *tcp = (struct tcp_transport *)transport;
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    if (in_error && tcp->socket >= 0)
        (void)setsockopt(tcp->socket, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    descriptor_close(&tcp->socket);
}

/* A request goes as a whole unless the peer is stuck. */
static int tcp_send(struct transport *transport, const uint8_t *bytes, size_t length)
{
    struct tcp_transport *tcp = (struct tcp_transport *)transport;
    ssize_t sent = send(tcp->socket, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent == (ssize_t)length)
        return 0;
    return sent < 0 ? -errno : -EAGAIN;
}

static ssize_t tcp_receive(struct transport *transport, uint8_t *bytes, size_t room,
                           int64_t deadline_ns)
{
    struct tcp_transport *tcp = (struct tcp_transport *)transport;
    for (;;) {
        ssize_t got = recv(tcp->socket, bytes, room, MSG_DONTWAIT);
        if (got > 0)
            return got;
        if (got == 0)
            return -EPIPE;
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
        int ready = wait_for(tcp->socket, POLLIN, deadline_ns, transport->stop);
        if (ready <= 0)
            return ready;
    }
}

static void tcp_free(struct transport *transport)
{
    struct tcp_transport *tcp = (struct tcp_transport *)transport;
    tcp_close(transport, false);
    dial_free(tcp->dial);
    free(tcp);
}

static const struct transport_functions tcp_calls = {
    .open = tcp_open,
    .close = tcp_close,
    .send = tcp_send,
    .receive = tcp_receive,
    .free = tcp_free,
};

struct transport *transport_tcp_new(const char *host, uint16_t port, int64_t timeout_ms,
                                    const atomic_bool *stop)
{
    struct tcp_transport *tcp = memory_zeroed(1, sizeof(*tcp));
    tcp->base = (struct transport){
        .calls = &tcp_calls, .stop = stop, .lost = "the connection broke", .advice = ""};
    tcp->dial = dial_new(host, port, SOCK_STREAM);
    tcp->timeout_ms = timeout_ms;
    tcp->socket = -1;
    return &tcp->base;
}
