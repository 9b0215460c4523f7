/*
 * Random packets of every kind at one interface, as fast as the kernel takes them, and a judge of
 * what comes back:
 *
 *   packet_storm INTERFACE OWN-MAC GATEWAY-MAC SEED COUNT SOURCES TARGETS
 *
 * SOURCES and TARGETS are addresses of both families, with commas. Prints "sent N answers M" and
 * the first answers. An answer is any frame of the gateway's but ARP and what a link needs:
 * neighbour discovery and multicast listener reports.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_ADDRESSES 16
#define MAX_PACKET 1400
#define BATCH 64
#define SHOWN 8

struct address {
    bool is_v6;
    uint8_t bytes[16];
};

struct list {
    struct address items[MAX_ADDRESSES];
    unsigned length;
};

struct packet {
    uint8_t data[MAX_PACKET];
    size_t length;
};

static uint64_t state;

static uint32_t any(uint32_t below)
{
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (uint32_t)(state >> 32) % below;
}

static void fill(uint8_t *to, size_t length)
{
    for (size_t i = 0; i < length; i++)
        to[i] = (uint8_t)any(256);
}

static void put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8), at[1] = (uint8_t)value;
}

/* ---- Upper layers ---- */

static unsigned port(void)
{
    static const uint16_t known[] = {22,  53,  67,   68,   80,   123,  502,
                                     546, 547, 1883, 5353, 8883, 51820};
    return any(4) ? known[any(sizeof(known) / sizeof(*known))] : any(65536);
}

static uint32_t sum(const uint8_t *data, size_t length, uint32_t total)
{
    for (size_t i = 0; i < length; i++)
        total += (uint32_t)data[i] << (i % 2 ? 0 : 8);
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    return total;
}

/* Sets the checksum at AT of the segment, mostly the right one. */
static void seal(uint8_t *segment, size_t length, size_t at, uint32_t pseudo)
{
    put16(segment + at, 0);
    put16(segment + at, any(8) ? ~sum(segment, length, pseudo) & 0xffff : any(65536));
}

static size_t make_tcp(uint8_t *at, uint32_t pseudo)
{
    size_t length = 20 + any(16) * 4;
    fill(at, length);
    put16(at, port()), put16(at + 2, port());
    at[12] = (uint8_t)(any(8) ? 5 << 4 : any(16) << 4);
    at[13] = (uint8_t)(any(2) ? 2 : any(256)); /* a SYN, or any flags */
    seal(at, length, 16, pseudo);
    return length;
}

static size_t make_udp(uint8_t *at, uint32_t pseudo)
{
    size_t length = 8 + any(600);
    fill(at, length);
    put16(at, port()), put16(at + 2, port());
    put16(at + 4, any(16) ? (unsigned)length : any(65536));
    seal(at, length, 6, pseudo);
    return length;
}

/* Any type, but not what neighbours on the link may say: that is no business of a firewall's. */
static size_t make_icmp(uint8_t *at, bool is_v6, uint32_t pseudo)
{
    static const uint8_t usual[] = {0, 3, 4, 5, 8, 11, 12, 13, 15, 17};
    size_t length = 8 + any(120);
    fill(at, length);
    if (is_v6)
        at[0] = (uint8_t)(any(2) ? 128 + any(2) : any(3) ? 1 + any(4) : 144 + any(112));
    else if (any(2))
        at[0] = usual[any(sizeof(usual))];
    if (any(2))
        at[1] = (uint8_t)any(5);
    seal(at, length, 2, is_v6 ? pseudo : 0);
    return length;
}

static uint8_t choose_protocol(bool is_v6)
{
    static const uint8_t usual[] = {IPPROTO_TCP, IPPROTO_UDP, 255, 132, 47, 50, 51, 2, 4, 41};
    uint8_t chosen = any(8) ? usual[any(any(2) ? 3 : sizeof(usual))] : (uint8_t)any(256);
    return chosen == 255 ? (is_v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) : chosen;
}

static size_t make_upper(uint8_t *at, uint8_t protocol, bool is_v6, uint32_t pseudo)
{
    size_t length;
    if (protocol == IPPROTO_TCP)
        return make_tcp(at, pseudo + IPPROTO_TCP);
    if (protocol == IPPROTO_UDP)
        return make_udp(at, pseudo + IPPROTO_UDP);
    if (protocol == IPPROTO_ICMPV6 && is_v6)
        return make_icmp(at, true, pseudo + IPPROTO_ICMPV6);
    if (protocol == IPPROTO_ICMP && !is_v6)
        return make_icmp(at, false, 0);
    length = any(200);
    fill(at, length);
    return length;
}

/* A checksum over the length as well: added here, where it is known. */
static size_t upper_with_length(uint8_t *at, uint8_t protocol, bool is_v6, uint32_t pseudo)
{
    uint64_t before = state;
    size_t length = make_upper(at, protocol, is_v6, pseudo);
    state = before; /* the same once more */
    return make_upper(at, protocol, is_v6, pseudo + (uint32_t)length);
}

/* ---- IP ---- */

static uint8_t hops(void)
{
    static const uint8_t usual[] = {64, 1, 2, 255};
    return usual[any(4)];
}

static size_t make_v4(uint8_t *at, const uint8_t *source, const uint8_t *target)
{
    size_t header = 20 + (any(8) ? 0 : 4 * any(11));
    uint8_t protocol = choose_protocol(false);
    fill(at, header);
    at[0] = (uint8_t)(0x40 | header / 4);
    put16(at + 6, any(8) ? 0 : any(65536)); /* whole, or a fragment */
    at[8] = hops(), at[9] = protocol;
    memcpy(at + 12, source, 4), memcpy(at + 16, target, 4);
    uint32_t pseudo = sum(at + 12, 8, 0);
    size_t length = header + upper_with_length(at + header, protocol, false, pseudo);
    put16(at + 2, any(32) ? (unsigned)length : any(65536));
    seal(at, header, 10, 0);
    return length;
}

/* Hop-by-hop, routing, fragment, destination options: returns the bytes; *NEXT is its kind. */
static size_t make_extension(uint8_t *at, uint8_t protocol, uint8_t *next)
{
    static const uint8_t kinds[] = {0, 43, 44, 60};
    size_t length = 8;
    fill(at, length);
    *next = kinds[any(4)];
    at[0] = protocol, at[1] = 0;
    if (*next == 0 || *next == 60)
        at[3] = any(2) ? 4 : at[3]; /* one option, or any bytes */
    return length;
}

static size_t make_v6(uint8_t *at, const uint8_t *source, const uint8_t *target)
{
    uint8_t protocol = choose_protocol(true);
    uint8_t next = protocol;
    size_t extension = any(4) ? 0 : make_extension(at + 40, protocol, &next);
    memset(at, 0, 40);
    at[0] = 0x60, at[6] = next, at[7] = hops();
    memcpy(at + 8, source, 16), memcpy(at + 24, target, 16);
    uint32_t pseudo = sum(at + 8, 32, 0);
    size_t length = extension + upper_with_length(at + 40 + extension, protocol, true, pseudo);
    put16(at + 4, any(32) ? (unsigned)length : any(65536));
    return 40 + length;
}

static void make(struct packet *packet, const uint8_t macs[12], const struct list *sources,
                 const struct list *targets)
{
    const struct address *target = &targets->items[any(targets->length)];
    struct address source;
    do
        source = sources->items[any(sources->length)];
    while (source.is_v6 != target->is_v6);
    if (!any(16))
        fill(source.bytes + (source.is_v6 ? 2 : 0), source.is_v6 ? 14 : 4);
    memcpy(packet->data, macs, 12);
    put16(packet->data + 12, target->is_v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP);
    packet->length = 14 + (target->is_v6 ? make_v6(packet->data + 14, source.bytes, target->bytes)
                                         : make_v4(packet->data + 14, source.bytes, target->bytes));
    if (!any(64))
        packet->length = 14 + any((uint32_t)packet->length - 13); /* cut */
}

/* ---- The wire ---- */

static void must(bool works, const char *what)
{
    if (works)
        return;
    perror(what);
    exit(EXIT_FAILURE);
}

static int open_at(unsigned interface, bool hears)
{
    int one = 1, bytes = 1 << 22;
    int made = socket(AF_PACKET, SOCK_RAW, 0);
    struct sockaddr_ll at = {.sll_family = AF_PACKET,
                             .sll_protocol = htons(hears ? ETH_P_ALL : 0),
                             .sll_ifindex = (int)interface};
    must(made >= 0, "socket");
    must(!hears || setsockopt(made, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) == 0,
         "PACKET_IGNORE_OUTGOING");
    must(!hears || setsockopt(made, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) == 0,
         "SO_RCVBUFFORCE");
    must(bind(made, (const struct sockaddr *)&at, sizeof(at)) == 0, "bind");
    return made;
}

static bool is_needed(const uint8_t *frame, size_t length)
{
    unsigned kind = (unsigned)frame[12] << 8 | frame[13];
    if (kind == ETHERTYPE_ARP)
        return true;
    if (kind != ETHERTYPE_IPV6 || length < 14 + 49)
        return kind != ETHERTYPE_IP && kind != ETHERTYPE_IPV6;
    bool hops_first = frame[20] == 0 && frame[54] == IPPROTO_ICMPV6;
    uint8_t type = frame[14 + (hops_first ? 48 : 40)];
    return (hops_first || frame[20] == IPPROTO_ICMPV6) &&
           (hops_first ? type == 143 : type == 133 || type == 135 || type == 136);
}

static unsigned long count_answers(int heard, const uint8_t gateway[6])
{
    static unsigned long count;
    uint8_t frame[2048];
    ssize_t got;
    while ((got = recv(heard, frame, sizeof(frame), MSG_DONTWAIT)) >= 14) {
        if (memcmp(frame + 6, gateway, 6) != 0 || is_needed(frame, (size_t)got))
            continue;
        if (count++ >= SHOWN)
            continue;
        printf("answer ");
        for (ssize_t i = 12; i < got && i < 120; i++)
            printf("%02x", frame[i]);
        printf("\n");
    }
    return count;
}

static unsigned long send_batch(int sender, struct packet *packets, unsigned n)
{
    static struct mmsghdr messages[BATCH];
    static struct iovec parts[BATCH];
    unsigned sent = 0;
    for (unsigned i = 0; i < n; i++) {
        parts[i] = (struct iovec){packets[i].data, packets[i].length};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    while (sent < n) {
        int done = sendmmsg(sender, messages + sent, n - sent, 0);
        must(done > 0 || errno == ENOBUFS || errno == EINTR, "sendmmsg");
        sent += done > 0 ? (unsigned)done : 0;
    }
    return n;
}

static bool has_input_ended(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char byte;
    return poll(&input, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) <= 0;
}

/* ---- Arguments ---- */

static void read_mac(const char *text, uint8_t mac[6])
{
    must(sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4],
                &mac[5]) == 6,
         text);
}

static struct list read_list(char *text)
{
    struct list list = {.length = 0};
    char *rest = NULL;
    for (char *word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        must(list.length < MAX_ADDRESSES, word);
        struct address *item = &list.items[list.length++];
        item->is_v6 = strchr(word, ':') != NULL;
        must(inet_pton(item->is_v6 ? AF_INET6 : AF_INET, word, item->bytes) == 1, word);
    }
    return list;
}

int main(int argc, char **argv)
{
    static struct packet packets[BATCH];
    uint8_t macs[12]; /* to, from */
    if (argc != 8) {
        (void)fprintf(stderr,
                      "usage: packet_storm INTERFACE OWN-MAC GATEWAY-MAC SEED COUNT SOURCES "
                      "TARGETS\n");
        return EXIT_FAILURE;
    }
    read_mac(argv[3], macs), read_mac(argv[2], macs + 6);
    state = strtoull(argv[4], NULL, 10) * 2654435761u + 88172645463325252u;
    unsigned long count = strtoul(argv[5], NULL, 10), sent = 0;
    const struct list sources = read_list(argv[6]), targets = read_list(argv[7]);
    int sender = open_at(if_nametoindex(argv[1]), false),
        heard = open_at(if_nametoindex(argv[1]), true);
    while (sent < count || !has_input_ended()) {
        for (unsigned i = 0; i < BATCH; i++)
            make(&packets[i], macs, &sources, &targets);
        sent += send_batch(sender, packets, BATCH);
        (void)count_answers(heard, macs);
    }
    (void)usleep(500000); /* what the kernel says late */
    printf("sent %lu answers %lu\n", sent, count_answers(heard, macs));
    return EXIT_SUCCESS;
}
