/* The addresses of a name: the resolver's process, and netd's reading of its answer. */
#include "tunnel/os/resolve.h"

#include "agent/base/descriptor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

/* Connecting a datagram socket sends nothing, and fails where there is no route. */
static bool has_route(const struct addrinfo *address)
{
    CLEANUP(descriptor_close)
    int probe = socket(address->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
    return probe >= 0 && connect(probe, address->ai_addr, address->ai_addrlen) == 0;
}

static int resolve_exit_code(int problem)
{
    return problem == EAI_AGAIN || problem == EAI_SYSTEM ? RESOLVE_NO_SERVER : RESOLVE_NO_NAME;
}

int resolve_main(const char *host, const char *port)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_protocol = IPPROTO_UDP};
    struct addrinfo *all;
    int problem = getaddrinfo(host, port, &hints, &all);
    if (problem)
        return resolve_exit_code(problem);
    int found = 0;
    for (const struct addrinfo *at = all; at && found < RESOLVE_MAX; at = at->ai_next) {
        char text[INET6_ADDRSTRLEN];
        if (!has_route(at) || getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof(text), NULL, 0,
                                          NI_NUMERICHOST) != 0)
            continue;
        puts(text);
        found++;
    }
    freeaddrinfo(all);
    return found > 0 ? RESOLVE_DONE : RESOLVE_NO_ROUTE;
}

static void make_sockaddr(const struct ip_network *host, uint16_t port,
                          struct sockaddr_storage *ret_hub)
{
    memset(ret_hub, 0, sizeof(*ret_hub));
    ret_hub->ss_family = (sa_family_t)host->family;
    if (host->family == AF_INET6) {
        struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret_hub;
        memcpy(&six->sin6_addr, host->bytes, 16);
        six->sin6_port = htons(port);
    } else {
        struct sockaddr_in *four = (struct sockaddr_in *)ret_hub;
        memcpy(&four->sin_addr, host->bytes, 4);
        four->sin_port = htons(port);
    }
}

int resolve_read(const char *text, struct ip_network hosts[RESOLVE_MAX])
{
    int found = 0;
    while (*text && found < RESOLVE_MAX) {
        char line[INET6_ADDRSTRLEN];
        size_t length = strcspn(text, "\n");
        if (length >= sizeof(line) || text[length] != '\n')
            return -EINVAL;
        memcpy(line, text, length);
        line[length] = '\0';
        if (ip_network_parse(line, &hosts[found]) < 0 || !ip_network_is_host(&hosts[found]))
            return -EINVAL;
        found++;
        text += length + 1;
    }
    return found > 0 ? found : -EINVAL;
}

int resolve_parse(const char *text, uint16_t port, struct sockaddr_storage hubs[RESOLVE_MAX])
{
    struct ip_network hosts[RESOLVE_MAX];
    int found = resolve_read(text, hosts);
    for (int i = 0; i < found; i++) {
        if (!ip_network_is_unicast_host(&hosts[i]))
            return -EINVAL;
    }
    for (int i = 0; i < found; i++)
        make_sockaddr(&hosts[i], port, &hubs[i]);
    return found;
}
