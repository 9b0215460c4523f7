/* Which interface leads where, from the routes of this machine. */
#ifndef SALLYPORT_AGENT_CLI_INIT_INIT_GUESS_H
#define SALLYPORT_AGENT_CLI_INIT_INIT_GUESS_H

#include "agent/cli/init/init_answers.h"

#include <stddef.h>
#include <stdint.h>

/* One row of /proc/net/route. */
struct init_route {
    char interface[16];
    uint32_t destination, mask; /* host order; both 0: the default route */
    uint32_t metric;
};

/* Takes the rows of usable routes out of TEXT. Returns how many, at most MAX. Pure. */
size_t init_parse_routes(const char *text, struct init_route *routes, size_t max);

/* The interface of the default route with the least metric, or NULL. Pure. */
const char *init_guess_wan(const struct init_route *routes, size_t n_routes);

/* The interface that ADDRESS (host order) is reached through, by the longest mask, or NULL. */
const char *init_interface_to(const struct init_route *routes, size_t n_routes, uint32_t address);

/* Fills `wan` and `plant` where they are empty, from the routes of this machine and the lines. */
void init_guess_interfaces(struct init_answers *answers);

/* The interface that has the address LOCAL on it; false when there is none. */
bool init_interface_of(const char *local, char ret_name[16]);

#endif
