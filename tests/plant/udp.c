/*
 * A device that is reached with datagrams: each brings requests, each reply goes back to who asked.
 * A pause inside a reply makes two datagrams of it; a reset or an end of a connection is silence.
 */
#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "tests/plant/line.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct udp {
    struct line line;
    const struct framing *framing;
    struct watch watch; /* its socket */
    struct parcel *parcels;
    struct {
        uint64_t datagrams, malformed, overruns;
    } count;
};

/* Bytes that go out later. */
struct parcel {
    struct timer timer;
    struct udp *udp;
    struct parcel *next;
    struct sockaddr_in peer;
    struct answer answer;
};

static void send_bytes(struct udp *udp, const struct sockaddr_in *peer, const uint8_t *bytes,
                       size_t length)
{
    if (length > 0 && sendto(udp->watch.fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT,
                             (const struct sockaddr *)peer, sizeof(*peer)) != (ssize_t)length)
        udp->count.overruns++;
}

static void remove_parcel(struct parcel *parcel)
{
    struct parcel **at = &parcel->udp->parcels;
    while (*at != parcel)
        at = &(*at)->next;
    *at = parcel->next;
    loop_clear_timer(parcel->udp->line.loop, &parcel->timer);
    free(parcel);
}

static void post_parcel(struct udp *udp, const struct sockaddr_in *peer,
                        const struct answer *answer, int64_t at_ns);

static void send_answer(struct udp *udp, const struct sockaddr_in *peer,
                        const struct answer *answer, int64_t now_ns)
{
    size_t first = answer->split_at ? answer->split_at : answer->length;
    send_bytes(udp, peer, answer->bytes, first);
    if (first == answer->length)
        return;
    struct answer rest = {.delivery = DELIVER, .length = answer->length - first};
    memcpy(rest.bytes, answer->bytes + first, rest.length);
    post_parcel(udp, peer, &rest, now_ns + answer->pause_ns);
}

static void parcel_due(struct timer *timer)
{
    struct parcel parcel = *(struct parcel *)timer;
    remove_parcel((struct parcel *)timer);
    send_answer(parcel.udp, &parcel.peer, &parcel.answer, parcel.timer.at_ns);
}

static void post_parcel(struct udp *udp, const struct sockaddr_in *peer,
                        const struct answer *answer, int64_t at_ns)
{
    struct parcel *parcel = memory_zeroed(1, sizeof(*parcel));
    parcel->timer.fire = parcel_due;
    parcel->udp = udp;
    parcel->peer = *peer;
    parcel->answer = *answer;
    parcel->next = udp->parcels;
    udp->parcels = parcel;
    loop_set_timer(udp->line.loop, &parcel->timer, at_ns);
}

static void answer_request(struct udp *udp, const struct sockaddr_in *peer,
                           const struct frame *request)
{
    struct answer answer = {.delivery = DELIVER};
    int64_t now_ns = clock_mono_ns();
    struct unit *unit = line_unit(&udp->line, request->unit);
    if (unit) {
        unit_answer(unit, &udp->line.world, request, false, now_ns, &answer);
    } else if (udp->framing->is_numbered) { /* as a gateway answers */
        struct frame reply = {.transaction = request->transaction, .unit = request->unit};
        reply.length = serve_exception(request->pdu[0], EXCEPTION_NO_TARGET, reply.pdu);
        answer.length = udp->framing->wrap(&reply, answer.bytes);
    }
    if (answer.delivery != DELIVER)
        return;
    if (answer.delay_ns > 0)
        post_parcel(udp, peer, &answer, now_ns + answer.delay_ns);
    else
        send_answer(udp, peer, &answer, now_ns);
}

static void datagram_ready(struct watch *watch, uint32_t events)
{
    struct udp *udp = (struct udp *)((char *)watch - offsetof(struct udp, watch));
    uint8_t bytes[2 * ADU_MAX];
    struct sockaddr_in peer;
    struct frame request;
    socklen_t size = sizeof(peer);
    (void)events;
    ssize_t n =
        recvfrom(watch->fd, bytes, sizeof(bytes), MSG_DONTWAIT, (struct sockaddr *)&peer, &size);
    if (n <= 0)
        return;
    udp->count.datagrams++;
    size_t length = 0;
    for (size_t at = 0; at < (size_t)n; at += length) {
        if (udp->framing->unwrap(bytes + at, (size_t)n - at, &request, &length) <= 0) {
            udp->count.malformed++;
            return;
        }
        answer_request(udp, &peer, &request);
    }
}

static int udp_command(struct line *line, char *const *words, size_t n_words, struct strbuf *out)
{
    (void)line, (void)words, (void)n_words, (void)out;
    return -ENOSYS;
}

static void udp_stats(const struct line *line, struct strbuf *out)
{
    const struct udp *udp = (const struct udp *)line;
    strbuf_addf(out, ",\"datagrams\":%ju,\"malformed\":%ju,\"overruns\":%ju",
                (uintmax_t)udp->count.datagrams, (uintmax_t)udp->count.malformed,
                (uintmax_t)udp->count.overruns);
}

static void udp_forget(struct line *line)
{
    memset(&((struct udp *)line)->count, 0, sizeof(((struct udp *)line)->count));
}

static struct line *udp_free(struct line *line)
{
    struct udp *udp = (struct udp *)line;
    while (udp->parcels)
        remove_parcel(udp->parcels);
    if (udp->watch.fd >= 0) {
        loop_remove(line->loop, &udp->watch);
        close(udp->watch.fd);
    }
    line_clear(line);
    free(udp);
    return NULL;
}

static const struct line_kind udp_kind = {"udp", udp_free, udp_command, udp_stats, udp_forget};

static int open_socket(struct udp *udp, const struct net_settings *settings)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(settings->port)};
    if (inet_pton(AF_INET, settings->address, &address.sin_addr) != 1)
        return -EINVAL;
    int descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0)
        return -errno;
    if (bind(descriptor, (struct sockaddr *)&address, sizeof(address)) != 0) {
        int error = -errno;
        close(descriptor);
        return error;
    }
    udp->watch = (struct watch){.fd = descriptor, .ready = datagram_ready};
    loop_add(udp->line.loop, &udp->watch, EPOLLIN);
    return 0;
}

int udp_new(const char *name, const struct net_settings *settings, struct loop *loop,
            const struct unit_world *world, uint8_t first, uint8_t last, struct line **ret_line)
{
    struct udp *udp = memory_zeroed(1, sizeof(*udp));
    line_init(&udp->line, &udp_kind, name, loop, world, first, last);
    udp->framing = settings->framing;
    udp->line.world.wrap = settings->framing->wrap;
    udp->watch.fd = -1;
    int error = open_socket(udp, settings);
    if (error) {
        udp_free(&udp->line);
        return error;
    }
    *ret_line = &udp->line;
    return 0;
}
