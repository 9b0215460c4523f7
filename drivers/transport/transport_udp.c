/* Datagrams to one host and port, and from nowhere else. */
#include "drivers/transport/transport_udp.h"

#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "drivers/transport/dial.h"
#include "drivers/wait.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

struct udp_transport {
    struct transport base;
    struct dial *dial;
    int64_t timeout_ms;
    int socket; /* -1: closed */
};

static int udp_open(struct transport *transport, struct driver_error *error)
{
    struct udp_transport *udp = (struct udp_transport *)transport;
    if (udp->socket >= 0)
        return 0;
    return dial_connect(udp->dial, udp->timeout_ms, transport->stop, &udp->socket, error->text,
                        sizeof(error->text));
}

static void udp_close(struct transport *transport, bool in_error)
{
    (void)in_error;
    descriptor_close(&((struct udp_transport *)transport)->socket);
}

static int udp_send(struct transport *transport, const uint8_t *bytes, size_t length)
{
    struct udp_transport *udp = (struct udp_transport *)transport;
    return send(udp->socket, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* An empty datagram says nothing; what does not fit into ROOM is no reply of any framing. */
static ssize_t udp_receive(struct transport *transport, uint8_t *bytes, size_t room,
                           int64_t deadline_ns)
{
    struct udp_transport *udp = (struct udp_transport *)transport;
    for (;;) {
        ssize_t got = recv(udp->socket, bytes, room, MSG_DONTWAIT);
        if (got > 0)
            return got;
        if (got < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        int ready = wait_for(udp->socket, POLLIN, deadline_ns, transport->stop);
        if (ready <= 0)
            return ready;
    }
}

static void udp_free(struct transport *transport)
{
    struct udp_transport *udp = (struct udp_transport *)transport;
    udp_close(transport, false);
    dial_free(udp->dial);
    free(udp);
}

static const struct transport_functions udp_calls = {
    .open = udp_open,
    .close = udp_close,
    .send = udp_send,
    .receive = udp_receive,
    .free = udp_free,
};

struct transport *transport_udp_new(const char *host, uint16_t port, int64_t timeout_ms,
                                    const atomic_bool *stop)
{
    struct udp_transport *udp = memory_zeroed(1, sizeof(*udp));
    udp->base = (struct transport){.calls = &udp_calls,
                                   .stop = stop,
                                   .is_datagrams = true,
                                   .lost = "no datagrams can be exchanged",
                                   .advice = ""};
    udp->dial = dial_new(host, port, SOCK_DGRAM);
    udp->timeout_ms = timeout_ms;
    udp->socket = -1;
    return &udp->base;
}
