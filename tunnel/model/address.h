/*
 * IP networks as typed values: read from text once, compared and printed from then on. Pure; any
 * thread.
 */
#ifndef SALLYPORT_TUNNEL_MODEL_ADDRESS_H
#define SALLYPORT_TUNNEL_MODEL_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct ip_network {
    int family;        /* AF_INET or AF_INET6; AF_UNSPEC: unset */
    uint8_t bytes[16]; /* network order; 4 of them used with AF_INET */
    uint8_t prefix;    /* 0..32 or 0..128; the bits after it are zero */
};

#define IP_NETWORK_TEXT_BYTES 64

/*
 * Reads "192.168.10.20", "192.168.10.0/24", "2001:db8::/32". Refuses host bits behind the prefix,
 * names, and leading or trailing space. Returns 0 or -EINVAL.
 */
int ip_network_parse(const char *text, struct ip_network *ret_network);

/* The host of a socket's address, and its port; -EINVAL for another family. */
int ip_network_of_socket(const struct sockaddr_storage *address, struct ip_network *ret_host,
                         uint16_t *ret_port);

/* Writes "ADDRESS" for a single host, else "ADDRESS/PREFIX". Returns TEXT. */
const char *ip_network_format(const struct ip_network *network, char text[IP_NETWORK_TEXT_BYTES]);

bool ip_network_equal(const struct ip_network *a, const struct ip_network *b);
bool ip_network_is_host(const struct ip_network *network);
bool ip_network_contains(const struct ip_network *outer, const struct ip_network *inner);

/* A host that can be a destination: neither loopback, multicast, broadcast, 0.0.0.0 nor "::". */
bool ip_network_is_unicast_host(const struct ip_network *network);

#endif
