/*
 * Which interface leads to the internet and which to the plant, from the routing table. Guesses are
 * shown and may be replaced; a wrong one can only block too much: DHCP replies are let in on WAN
 * interfaces alone.
 */

#include "agent/cli/init/init_guess.h"

#include "agent/base/macros.h"
#include "agent/cli/init/init_answers.h"
#include "agent/cli/init/init_notation.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUTES_MAX 256
#define ROUTES_FILE "/proc/net/route"
#define FILE_MAX_BYTES (256 * 1024)
#define FLAG_UP 1u         /* linux/route.h: RTF_UP */
#define FLAG_REJECT 0x200u /* RTF_REJECT */

static bool is_ours_or_loopback(const char *interface)
{
    return strcmp(interface, "lo") == 0 || strncmp(interface, "spt", 3) == 0;
}

/* The file shows addresses as they are in memory: in network order. */
static bool parse_row(const char *row, struct init_route *ret_route)
{
    char name[16];
    unsigned destination, gateway, flags, metric, mask;
    if (sscanf(row, "%15s %8x %8x %8x %*d %*d %u %8x", name, &destination, &gateway, &flags,
               &metric, &mask) != 6)
        return false;
    if (!(flags & FLAG_UP) || (flags & FLAG_REJECT) || is_ours_or_loopback(name))
        return false;
    *ret_route = (struct init_route){
        .destination = ntohl(destination), .mask = ntohl(mask), .metric = metric};
    memcpy(ret_route->interface, name, sizeof(name));
    return true;
}

size_t init_parse_routes(const char *text, struct init_route *routes, size_t max)
{
    size_t n_routes = 0;
    while (*text && n_routes < max) {
        n_routes += parse_row(text, &routes[n_routes]);
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    return n_routes;
}

const char *init_guess_wan(const struct init_route *routes, size_t n_routes)
{
    const struct init_route *best = NULL;
    for (size_t i = 0; i < n_routes; i++) {
        bool is_default = routes[i].destination == 0 && routes[i].mask == 0;
        if (is_default && (!best || routes[i].metric < best->metric))
            best = &routes[i];
    }
    return best ? best->interface : NULL;
}

const char *init_interface_to(const struct init_route *routes, size_t n_routes, uint32_t address)
{
    const struct init_route *best = NULL;
    for (size_t i = 0; i < n_routes; i++) {
        const struct init_route *route = &routes[i];
        if ((address & route->mask) == route->destination &&
            (!best || route->mask > best->mask ||
             (route->mask == best->mask && route->metric < best->metric)))
            best = route;
    }
    return best ? best->interface : NULL;
}

static bool has(const struct text_list *list, const char *text)
{
    for (size_t i = 0; i < list->length; i++) {
        if (strcmp(list->items[i], text) == 0)
            return true;
    }
    return false;
}

/* Where the devices on TCP are; else every interface that has a network and is not a WAN. */
static void guess_plant(struct init_answers *answers, const struct init_route *routes,
                        size_t n_routes)
{
    struct problem problem;
    for (size_t i = 0; i < answers->buses.length; i++) {
        struct init_bus bus;
        struct in_addr address;
        if (init_parse_bus(answers->buses.items[i], 0, &bus, &problem) < 0 ||
            inet_pton(AF_INET, bus.place, &address) != 1)
            continue;
        const char *interface = init_interface_to(routes, n_routes, ntohl(address.s_addr));
        if (interface && !has(&answers->wan, interface) && !has(&answers->plant, interface))
            init_add(&answers->plant, interface);
    }
    for (size_t i = 0; answers->plant.length == 0 && i < n_routes; i++) {
        if (routes[i].mask != 0 && !has(&answers->wan, routes[i].interface))
            init_add(&answers->plant, routes[i].interface);
    }
}

void init_guess_interfaces(struct init_answers *answers)
{
    struct init_route routes[ROUTES_MAX];
    char text[16384];
    FILE *file = fopen(ROUTES_FILE, "re");
    size_t length = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
    if (file)
        (void)fclose(file);
    text[length] = '\0';
    size_t n_routes = init_parse_routes(text, routes, ROUTES_MAX);
    const char *wan = init_guess_wan(routes, n_routes);
    if (answers->wan.length == 0 && wan)
        init_add(&answers->wan, wan);
    if (answers->plant.length == 0)
        guess_plant(answers, routes, n_routes);
}

static bool is_address(const struct sockaddr *given, const char *text)
{
    struct in_addr four;
    struct in6_addr six;
    if (given->sa_family == AF_INET && inet_pton(AF_INET, text, &four) == 1)
        return memcmp(&((const struct sockaddr_in *)given)->sin_addr, &four, sizeof(four)) == 0;
    if (given->sa_family == AF_INET6 && inet_pton(AF_INET6, text, &six) == 1)
        return memcmp(&((const struct sockaddr_in6 *)given)->sin6_addr, &six, sizeof(six)) == 0;
    return false;
}

bool init_interface_of(const char *local, char ret_name[16])
{
    struct ifaddrs *all = NULL;
    bool found = false;
    if (getifaddrs(&all) < 0)
        return false;
    for (const struct ifaddrs *at = all; at && !found; at = at->ifa_next) {
        found = at->ifa_addr && strlen(at->ifa_name) < IFNAMSIZ && is_address(at->ifa_addr, local);
        if (found)
            (void)snprintf(ret_name, IFNAMSIZ, "%s", at->ifa_name);
    }
    freeifaddrs(all);
    return found;
}
