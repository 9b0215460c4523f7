/*
 * Requests to the kernel over netlink, by hand: a few kinds, so that no library is needed. The
 * replies come from the kernel, but every length in them is checked all the same. netd only,
 * main thread only; a request waits at most two seconds.
 */
#ifndef SALLYPORT_TUNNEL_OS_NETLINK_H
#define SALLYPORT_TUNNEL_OS_NETLINK_H

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

#define NETLINK_REQUEST_BYTES 1024
#define NETLINK_REPLY_BYTES 32768 /* the kernel never sends more at once */

/* A request being built. Running over its end is our own mistake (asserted). */
struct netlink_request {
    _Alignas(struct nlmsghdr) uint8_t bytes[NETLINK_REQUEST_BYTES];
};

/* Begins a message of TYPE with the family's own header of SIZE bytes. */
void netlink_begin(struct netlink_request *request, uint16_t type, uint16_t flags,
                   const void *header, size_t size);
void netlink_put(struct netlink_request *request, uint16_t type, const void *value, size_t length);
size_t netlink_nest(struct netlink_request *request, uint16_t type); /* returns what _end wants */
void netlink_nest_end(struct netlink_request *request, size_t nest);

/*
 * The attribute TYPE among the LENGTH bytes at FIRST, or NULL. What it carries is at
 * netlink_value(), nlattr_bytes() long.
 */
const struct nlattr *netlink_find(const void *first, size_t length, uint16_t type);
const void *netlink_value(const struct nlattr *attribute);
size_t netlink_value_bytes(const struct nlattr *attribute);

/* Reads a big-endian value of exactly 2 or 4 bytes; 0 or -EBADMSG, as for a missing one. */
int netlink_be16(const void *first, size_t length, uint16_t type, uint16_t *ret_value);
int netlink_be32(const void *first, size_t length, uint16_t type, uint32_t *ret_value);

/* A socket for PROTOCOL (NETLINK_NETFILTER ...), close-on-exec. GROUP: 0 for none. */
int netlink_open(int protocol, unsigned group);

typedef void netlink_handler(const struct nlmsghdr *message, void *context);

/*
 * Gives each whole message of a datagram, of LENGTH bytes at a boundary of four, to HANDLER; stops
 * at one that says that it is longer than what is left.
 */
void netlink_each(const void *datagram, size_t length, netlink_handler *handler, void *context);

/*
 * Sends REQUEST and hands every message of the answer to HANDLER (may be NULL) until the kernel
 * says that it is done. Returns 0, what the kernel answered (negative errno), or -ETIMEDOUT.
 */
int netlink_ask(int socket, struct netlink_request *request, netlink_handler *handler,
                void *context);

/*
 * Hands every message that is waiting (of a flood, its beginning) to HANDLER. Returns how many
 * there were, or a negative errno; -ENOBUFS: some were lost.
 */
int netlink_drain(int socket, netlink_handler *handler, void *context);

#endif
