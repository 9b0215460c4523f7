/*
 * One loaded configuration with a count of its users: a line that a reload does not touch keeps the
 * generation that it was made from. Main loop only.
 */
#ifndef SALLYPORT_AGENT_GATEWAY_GENERATION_H
#define SALLYPORT_AGENT_GATEWAY_GENERATION_H

#include "config/schema/config.h"

struct generation {
    struct config *config;
    size_t users;
};

/* Takes CONFIG over. The caller is its first user. */
struct generation *generation_new(struct config *config);

struct generation *generation_ref(struct generation *generation);

/* Removes a user; the last one frees it. Accepts NULL, returns NULL. */
struct generation *generation_unref(struct generation *generation);

#endif
