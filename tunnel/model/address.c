/* IP networks as typed values. */
#include "tunnel/model/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned family_bits(int family)
{
    return family == AF_INET ? 32 : 128;
}

/* Clears the bits after the prefix. */
static void mask(struct ip_network *network)
{
    for (unsigned bit = network->prefix; bit < family_bits(network->family); bit++)
        network->bytes[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
}

static int parse_prefix(const char *text, unsigned max, uint8_t *ret_prefix)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 3 || text[digits] || (digits > 1 && text[0] == '0'))
        return -EINVAL;
    unsigned long value = strtoul(text, NULL, 10);
    if (value > max)
        return -EINVAL;
    *ret_prefix = (uint8_t)value;
    return 0;
}

int ip_network_parse(const char *text, struct ip_network *ret_network)
{
    char host[INET6_ADDRSTRLEN];
    size_t length = strcspn(text, "/");
    if (length >= sizeof(host))
        return -EINVAL;
    memcpy(host, text, length);
    host[length] = '\0';
    struct ip_network network = {.family = strchr(host, ':') ? AF_INET6 : AF_INET};
    if (inet_pton(network.family, host, network.bytes) != 1)
        return -EINVAL;
    network.prefix = (uint8_t)family_bits(network.family);
    if (text[length] == '/' &&
        parse_prefix(text + length + 1, family_bits(network.family), &network.prefix) < 0)
        return -EINVAL;
    struct ip_network masked = network;
    mask(&masked);
    if (memcmp(masked.bytes, network.bytes, sizeof(masked.bytes)) != 0)
        return -EINVAL;
    *ret_network = network;
    return 0;
}

int ip_network_of_socket(const struct sockaddr_storage *address, struct ip_network *ret_host,
                         uint16_t *ret_port)
{
    struct ip_network host = {.family = address->ss_family};
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (address->ss_family == AF_INET) {
        memcpy(&v4, address, sizeof(v4));
        memcpy(host.bytes, &v4.sin_addr, sizeof(v4.sin_addr));
        host.prefix = 32;
        *ret_port = ntohs(v4.sin_port);
    } else if (address->ss_family == AF_INET6) {
        memcpy(&v6, address, sizeof(v6));
        memcpy(host.bytes, &v6.sin6_addr, sizeof(v6.sin6_addr));
        host.prefix = 128;
        *ret_port = ntohs(v6.sin6_port);
    } else {
        return -EINVAL;
    }
    *ret_host = host;
    return 0;
}

const char *ip_network_format(const struct ip_network *network, char text[IP_NETWORK_TEXT_BYTES])
{
    if (!inet_ntop(network->family, network->bytes, text, IP_NETWORK_TEXT_BYTES))
        text[0] = '\0';
    size_t length = strlen(text);
    if (length > 0 && !ip_network_is_host(network))
        (void)snprintf(text + length, IP_NETWORK_TEXT_BYTES - length, "/%u", network->prefix);
    return text;
}

bool ip_network_equal(const struct ip_network *a, const struct ip_network *b)
{
    return a->family == b->family && a->prefix == b->prefix &&
           memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool ip_network_is_host(const struct ip_network *network)
{
    return network->family != AF_UNSPEC && network->prefix == family_bits(network->family);
}

bool ip_network_contains(const struct ip_network *outer, const struct ip_network *inner)
{
    if (outer->family != inner->family || inner->prefix < outer->prefix)
        return false;
    struct ip_network masked = *inner;
    masked.prefix = outer->prefix;
    mask(&masked);
    return memcmp(masked.bytes, outer->bytes, sizeof(masked.bytes)) == 0;
}

bool ip_network_is_unicast_host(const struct ip_network *network)
{
    static const char *const not_unicast[] = {
        "0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255", "::", "::1", "ff00::/8"};
    if (!ip_network_is_host(network))
        return false;
    for (size_t i = 0; i < sizeof(not_unicast) / sizeof(not_unicast[0]); i++) {
        struct ip_network range;
        if (ip_network_parse(not_unicast[i], &range) == 0 && ip_network_contains(&range, network))
            return false;
    }
    return true;
}
