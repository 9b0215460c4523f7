/*
 * A Modbus TCP device, after MODBUS Messaging on TCP/IP Implementation Guide V1.0b, or a serial
 * server with units behind it: a listening socket, its connections, and replies that may come
 * later. A black hole is a socket filter that drops every segment before TCP sees it: a SYN is not
 * answered, nor is data acknowledged.
 */
#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "tests/plant/line.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection {
    struct watch watch;
    struct tcp *tcp;
    struct connection *next;
    struct parcel *parcels;
    bool deserted; /* by "half-open": swallows everything from now on */
    size_t used;
    uint8_t input[2 * ADU_MAX];
};

/* Bytes that go out later. */
struct parcel {
    struct timer timer;
    struct connection *connection;
    struct parcel *next;
    struct answer answer;
};

struct tcp {
    struct line line;
    const struct framing *framing;
    struct sockaddr_in address;
    struct watch listener; /* fd -1 while refusing */
    struct connection *connections;
    struct {
        uint64_t connections, malformed, overruns;
    } count;
};

static void drop_all_input(int descriptor, bool on)
{
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog program = {.len = 1, .filter = &nothing};
    int ignored = 0;
    if (on)
        (void)!setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
    else
        (void)!setsockopt(descriptor, SOL_SOCKET, SO_DETACH_FILTER, &ignored, sizeof(ignored));
}

static void remove_parcel(struct parcel *parcel)
{
    struct parcel **at = &parcel->connection->parcels;
    while (*at != parcel)
        at = &(*at)->next;
    *at = parcel->next;
    loop_clear_timer(parcel->connection->tcp->line.loop, &parcel->timer);
    free(parcel);
}

static void hang_up(struct connection *connection, bool reset)
{
    struct tcp *tcp = connection->tcp;
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    while (connection->parcels)
        remove_parcel(connection->parcels);
    if (reset)
        (void)!setsockopt(connection->watch.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    loop_remove(tcp->line.loop, &connection->watch);
    close(connection->watch.fd);
    struct connection **at = &tcp->connections;
    while (*at != connection)
        at = &(*at)->next;
    *at = connection->next;
    free(connection);
}

static void send_bytes(struct connection *connection, const uint8_t *bytes, size_t length)
{
    if (length > 0 &&
        send(connection->watch.fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)length)
        connection->tcp->count.overruns++; /* the peer does not read, or is gone */
}

static void post_parcel(struct connection *connection, const struct answer *answer, int64_t at_ns);

static void send_answer(struct connection *connection, const struct answer *answer, int64_t now_ns)
{
    size_t first = answer->split_at ? answer->split_at : answer->length;
    send_bytes(connection, answer->bytes, first);
    if (first == answer->length)
        return;
    struct answer rest = {.delivery = DELIVER, .length = answer->length - first};
    memcpy(rest.bytes, answer->bytes + first, rest.length);
    post_parcel(connection, &rest, now_ns + answer->pause_ns);
}

static void parcel_due(struct timer *timer)
{
    struct parcel *parcel = (struct parcel *)timer;
    struct connection *connection = parcel->connection;
    struct answer answer = parcel->answer;
    int64_t due_ns = timer->at_ns;
    remove_parcel(parcel); /* the timer is part of it */
    send_answer(connection, &answer, due_ns);
}

static void post_parcel(struct connection *connection, const struct answer *answer, int64_t at_ns)
{
    struct parcel *parcel = memory_zeroed(1, sizeof(*parcel));
    parcel->timer.fire = parcel_due;
    parcel->connection = connection;
    parcel->answer = *answer;
    parcel->next = connection->parcels;
    connection->parcels = parcel;
    loop_set_timer(connection->tcp->line.loop, &parcel->timer, at_ns);
}

/* Returns false when the connection is gone. */
static bool deliver(struct connection *connection, const struct answer *answer, int64_t now_ns)
{
    switch (answer->delivery) {
    case DELIVER:
        if (answer->delay_ns > 0)
            post_parcel(connection, answer, now_ns + answer->delay_ns);
        else
            send_answer(connection, answer, now_ns);
        return true;
    case DELIVER_NOTHING:
    case DELIVER_WITH_NEXT:
        return true;
    case DELIVER_RESET:
    case DELIVER_CLOSE:
        hang_up(connection, answer->delivery == DELIVER_RESET);
        return false;
    }
    abort();
}

static bool answer_request(struct connection *connection, const struct frame *request)
{
    struct tcp *tcp = connection->tcp;
    struct answer answer;
    int64_t now_ns = clock_mono_ns();
    struct unit *unit = line_unit(&tcp->line, request->unit);
    if (unit) {
        unit_answer(unit, &tcp->line.world, request, false, now_ns, &answer);
    } else if (!tcp->framing->is_numbered) {
        return true; /* nobody lives there */
    } else {         /* as a gateway answers for a unit that it does not have */
        struct frame reply = {.transaction = request->transaction, .unit = request->unit};
        reply.length = serve_exception(request->pdu[0], EXCEPTION_NO_TARGET, reply.pdu);
        answer = (struct answer){.delivery = DELIVER};
        answer.length = tcp->framing->wrap(&reply, answer.bytes);
    }
    return deliver(connection, &answer, now_ns);
}

/* Takes one request off the input. 1: one was there, 0: not yet, -1: this is not Modbus. */
static int take_request(struct connection *connection, struct frame *ret_request)
{
    size_t length = 0;
    int got =
        connection->tcp->framing->unwrap(connection->input, connection->used, ret_request, &length);
    connection->used -= length;
    memmove(connection->input, connection->input + length, connection->used);
    return got;
}

static void connection_ready(struct watch *watch, uint32_t events)
{
    struct connection *connection = (struct connection *)watch;
    struct frame request;
    (void)events;
    ssize_t n = recv(watch->fd, connection->input + connection->used,
                     sizeof(connection->input) - connection->used, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        hang_up(connection, false);
        return;
    }
    connection->used += (size_t)n;
    if (connection->deserted)
        connection->used = 0;
    int got;
    while ((got = take_request(connection, &request)) > 0) {
        if (!answer_request(connection, &request))
            return;
    }
    if (got == 0)
        return;
    connection->tcp->count.malformed++;
    if (connection->tcp->framing->is_numbered)
        hang_up(connection, true);
    else
        connection->used = 0; /* the units behind a serial server hear noise */
}

static void listener_ready(struct watch *watch, uint32_t events)
{
    struct tcp *tcp = (struct tcp *)((char *)watch - offsetof(struct tcp, listener));
    int on = 1;
    (void)events;
    int descriptor = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (descriptor < 0)
        return;
    (void)!setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct connection *connection = memory_zeroed(1, sizeof(*connection));
    connection->tcp = tcp;
    connection->watch = (struct watch){.fd = descriptor, .ready = connection_ready};
    connection->next = tcp->connections;
    tcp->connections = connection;
    tcp->count.connections++;
    loop_add(tcp->line.loop, &connection->watch, EPOLLIN);
}

static int open_listener(struct tcp *tcp)
{
    int on = 1;
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0)
        return -errno;
    if (setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(descriptor, (struct sockaddr *)&tcp->address, sizeof(tcp->address)) != 0 ||
        listen(descriptor, 64) != 0) {
        int error = -errno;
        close(descriptor);
        return error;
    }
    tcp->listener = (struct watch){.fd = descriptor, .ready = listener_ready};
    loop_add(tcp->line.loop, &tcp->listener, EPOLLIN);
    return 0;
}

static void close_listener(struct tcp *tcp)
{
    if (tcp->listener.fd < 0)
        return;
    loop_remove(tcp->line.loop, &tcp->listener);
    close(tcp->listener.fd);
    tcp->listener.fd = -1;
}

static int do_none(struct tcp *tcp)
{
    if (tcp->listener.fd < 0)
        return open_listener(tcp);
    drop_all_input(tcp->listener.fd, false);
    for (struct connection *at = tcp->connections; at; at = at->next)
        drop_all_input(at->watch.fd, at->deserted);
    return 0;
}

static int do_drop(struct tcp *tcp)
{
    while (tcp->connections)
        hang_up(tcp->connections, true);
    return 0;
}

static int do_refuse(struct tcp *tcp)
{
    close_listener(tcp);
    return do_drop(tcp);
}

static int do_black_hole(struct tcp *tcp)
{
    int error = do_none(tcp);
    if (error)
        return error;
    drop_all_input(tcp->listener.fd, true);
    for (struct connection *at = tcp->connections; at; at = at->next)
        drop_all_input(at->watch.fd, true);
    return 0;
}

static int do_half_open(struct tcp *tcp)
{
    for (struct connection *at = tcp->connections; at; at = at->next) {
        at->deserted = true;
        drop_all_input(at->watch.fd, true);
    }
    return 0;
}

static const struct {
    const char *name;
    int (*run)(struct tcp *tcp);
} faults[] = {
    {"none", do_none},
    {"drop", do_drop},            /* every connection is reset, once */
    {"refuse", do_refuse},        /* and no new one is accepted */
    {"blackhole", do_black_hole}, /* no segment reaches the device any more */
    {"half-open", do_half_open},  /* the device forgot its connections without a word, once */
};

static int tcp_command(struct line *line, char *const *words, size_t n_words, struct strbuf *out)
{
    if (n_words != 2 || strcmp(words[0], "fault") != 0)
        return -ENOSYS;
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        if (strcmp(faults[i].name, words[1]) == 0)
            return faults[i].run((struct tcp *)line);
    }
    strbuf_addf(out, "a TCP line has no fault \"%s\"", words[1]);
    return -EINVAL;
}

static void tcp_stats(const struct line *line, struct strbuf *out)
{
    const struct tcp *tcp = (const struct tcp *)line;
    size_t open = 0;
    for (const struct connection *at = tcp->connections; at; at = at->next)
        open++;
    strbuf_addf(out, ",\"connected\":%zu,\"connections\":%ju,\"malformed\":%ju,\"overruns\":%ju",
                open, (uintmax_t)tcp->count.connections, (uintmax_t)tcp->count.malformed,
                (uintmax_t)tcp->count.overruns);
}

static void tcp_forget(struct line *line)
{
    memset(&((struct tcp *)line)->count, 0, sizeof(((struct tcp *)line)->count));
}

static struct line *tcp_free(struct line *line)
{
    struct tcp *tcp = (struct tcp *)line;
    (void)do_refuse(tcp);
    line_clear(line);
    free(tcp);
    return NULL;
}

static const struct line_kind tcp_kind = {"tcp", tcp_free, tcp_command, tcp_stats, tcp_forget};

int tcp_new(const char *name, const struct net_settings *settings, struct loop *loop,
            const struct unit_world *world, uint8_t first, uint8_t last, struct line **ret_line)
{
    struct tcp *tcp = memory_zeroed(1, sizeof(*tcp));
    line_init(&tcp->line, &tcp_kind, name, loop, world, first, last);
    tcp->framing = settings->framing;
    tcp->line.world.wrap = settings->framing->wrap;
    tcp->listener.fd = -1;
    tcp->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(settings->port)};
    int error = -EINVAL;
    if (inet_pton(AF_INET, settings->address, &tcp->address.sin_addr) == 1)
        error = open_listener(tcp);
    if (error) {
        tcp_free(&tcp->line);
        return error;
    }
    *ret_line = &tcp->line;
    return 0;
}
