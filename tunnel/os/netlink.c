/* Requests to the kernel over netlink, by hand. */
#include "tunnel/os/netlink.h"

#include "agent/base/clock.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_MS 2000
#define DRAIN_DATAGRAMS 1024 /* then others get their turn */

/* The kernel's NLA_ and NLMSG_ macros are in signed arithmetic. */
#define ATTRIBUTE_BYTES sizeof(struct nlattr)

static size_t aligned(size_t length)
{
    return (length + 3) & ~(size_t)3;
}

static struct nlmsghdr *header_of(struct netlink_request *request)
{
    return (struct nlmsghdr *)(void *)request->bytes;
}

/* Appends SIZE bytes, zeroed up to the next boundary of four; returns where they are. */
static size_t netlink_append(struct netlink_request *request, const void *bytes, size_t size)
{
    struct nlmsghdr *header = header_of(request);
    size_t at = aligned(header->nlmsg_len);
    assert(at + aligned(size) <= sizeof(request->bytes));
    if (size > 0)
        memcpy(request->bytes + at, bytes, size);
    header->nlmsg_len = (uint32_t)(at + aligned(size));
    return at;
}

void netlink_begin(struct netlink_request *request, uint16_t type, uint16_t flags,
                   const void *header, size_t size)
{
    memset(request, 0, sizeof(*request));
    *header_of(request) = (struct nlmsghdr){
        .nlmsg_len = NLMSG_HDRLEN,
        .nlmsg_type = type,
        .nlmsg_flags = (uint16_t)(flags | NLM_F_REQUEST),
    };
    (void)netlink_append(request, header, size);
}

void netlink_put(struct netlink_request *request, uint16_t type, const void *value, size_t length)
{
    const struct nlattr attribute = {.nla_len = (uint16_t)(ATTRIBUTE_BYTES + length),
                                     .nla_type = type};
    (void)netlink_append(request, &attribute, sizeof(attribute));
    (void)netlink_append(request, value, length);
}

size_t netlink_nest(struct netlink_request *request, uint16_t type)
{
    const struct nlattr attribute = {.nla_type = (uint16_t)(type | NLA_F_NESTED)};
    return netlink_append(request, &attribute, sizeof(attribute));
}

void netlink_nest_end(struct netlink_request *request, size_t nest)
{
    uint16_t length = (uint16_t)(header_of(request)->nlmsg_len - nest);
    memcpy(request->bytes + nest + offsetof(struct nlattr, nla_len), &length, sizeof(length));
}

const struct nlattr *netlink_find(const void *first, size_t length, uint16_t type)
{
    const uint8_t *at = first;
    while (length >= ATTRIBUTE_BYTES) {
        const struct nlattr *attribute = (const struct nlattr *)(const void *)at;
        size_t size = attribute->nla_len, whole = aligned(size);
        if (size < ATTRIBUTE_BYTES || size > length)
            return NULL;
        if ((attribute->nla_type & NLA_TYPE_MASK) == type)
            return attribute;
        at += whole;
        length -= whole < length ? whole : length;
    }
    return NULL;
}

const void *netlink_value(const struct nlattr *attribute)
{
    return (const uint8_t *)attribute + ATTRIBUTE_BYTES;
}

size_t netlink_value_bytes(const struct nlattr *attribute)
{
    return (size_t)attribute->nla_len - ATTRIBUTE_BYTES;
}

int netlink_be16(const void *first, size_t length, uint16_t type, uint16_t *ret_value)
{
    const struct nlattr *attribute = netlink_find(first, length, type);
    if (!attribute || netlink_value_bytes(attribute) != sizeof(*ret_value))
        return -EBADMSG;
    uint16_t value;
    memcpy(&value, netlink_value(attribute), sizeof(value));
    *ret_value = ntohs(value);
    return 0;
}

int netlink_be32(const void *first, size_t length, uint16_t type, uint32_t *ret_value)
{
    const struct nlattr *attribute = netlink_find(first, length, type);
    if (!attribute || netlink_value_bytes(attribute) != sizeof(*ret_value))
        return -EBADMSG;
    uint32_t value;
    memcpy(&value, netlink_value(attribute), sizeof(value));
    *ret_value = ntohl(value);
    return 0;
}

int netlink_open(int protocol, unsigned group)
{
    int descriptor = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
    if (descriptor < 0)
        return -errno;
    const struct sockaddr_nl self = {.nl_family = AF_NETLINK};
    if (bind(descriptor, (const struct sockaddr *)&self, sizeof(self)) < 0 ||
        (group &&
         setsockopt(descriptor, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)) {
        int problem = -errno;
        (void)close(descriptor);
        return problem;
    }
    return descriptor;
}

/* Receives one datagram from the kernel, not from another process; its size, 0 for none, or an
 * error. */
static ssize_t receive(int socket, void *buffer, size_t size)
{
    struct sockaddr_nl from = {0};
    struct iovec part = {.iov_base = buffer, .iov_len = size};
    struct msghdr message = {
        .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &part, .msg_iovlen = 1};
    for (;;) {
        ssize_t got = recvmsg(socket, &message, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno == EAGAIN ? 0 : -errno;
        if (message.msg_flags & MSG_TRUNC)
            return -ENOBUFS;
        if (from.nl_pid == 0)
            return got;
    }
}

struct netlink_answer {
    uint32_t seq;
    netlink_handler *handler;
    void *context;
    int is_done, result;
};

static void netlink_take_answer(struct netlink_answer *answer, const struct nlmsghdr *message)
{
    if (message->nlmsg_seq != answer->seq)
        return;
    if (message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE) {
        answer->is_done = 1;
        if (message->nlmsg_len >= NLMSG_LENGTH(sizeof(int)))
            memcpy(&answer->result, NLMSG_DATA(message), sizeof(int));
        return;
    }
    if (answer->handler)
        answer->handler(message, answer->context);
}

void netlink_each(const void *datagram, size_t length, netlink_handler *handler, void *context)
{
    const uint8_t *bytes = datagram;
    while (length >= NLMSG_HDRLEN) {
        const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)bytes;
        size_t whole = aligned(message->nlmsg_len);
        if (message->nlmsg_len < NLMSG_HDRLEN || message->nlmsg_len > length)
            return;
        handler(message, context);
        bytes += whole;
        length -= whole < length ? whole : length;
    }
}

static void hand_to_answer(const struct nlmsghdr *message, void *context)
{
    netlink_take_answer(context, message);
}

int netlink_ask(int socket, struct netlink_request *request, netlink_handler *handler,
                void *context)
{
    static _Atomic uint32_t next_seq = 1; /* only tells late answers from the one we wait for */
    struct nlmsghdr *header = header_of(request);
    struct netlink_answer answer = {.seq = next_seq++, .handler = handler, .context = context};
    header->nlmsg_seq = answer.seq;
    if ((header->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
        header->nlmsg_flags |= NLM_F_ACK;
    if (send(socket, request->bytes, header->nlmsg_len, 0) < 0)
        return -errno;
    int64_t deadline_ns = clock_mono_ns() + ANSWER_MS * CLOCK_NS_PER_MS;
    _Alignas(struct nlmsghdr) uint8_t buffer[NETLINK_REPLY_BYTES];
    while (!answer.is_done) {
        int64_t left_ms = (deadline_ns - clock_mono_ns()) / CLOCK_NS_PER_MS;
        struct pollfd wait = {.fd = socket, .events = POLLIN};
        if (left_ms <= 0)
            return -ETIMEDOUT;
        if (poll(&wait, 1, (int)left_ms) < 0 && errno != EINTR)
            return -errno;
        ssize_t got = receive(socket, buffer, sizeof(buffer));
        if (got < 0)
            return (int)got;
        netlink_each(buffer, (size_t)got, hand_to_answer, &answer);
    }
    return answer.result > 0 ? 0 : answer.result;
}

struct counted {
    netlink_handler *handler;
    void *context;
    int count;
};

static void hand_and_count(const struct nlmsghdr *message, void *context)
{
    struct counted *counted = context;
    counted->count++;
    counted->handler(message, counted->context);
}

int netlink_drain(int socket, netlink_handler *handler, void *context)
{
    struct counted counted = {.handler = handler, .context = context};
    _Alignas(struct nlmsghdr) uint8_t buffer[NETLINK_REPLY_BYTES];
    for (unsigned i = 0; i < DRAIN_DATAGRAMS; i++) {
        ssize_t got = receive(socket, buffer, sizeof(buffer));
        if (got < 0)
            return (int)got;
        if (got == 0)
            break;
        netlink_each(buffer, (size_t)got, hand_and_count, &counted);
    }
    return counted.count;
}
