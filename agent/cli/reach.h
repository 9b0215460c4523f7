/*
 * Where the agent wants to connect to by its own configuration: its brokers or its proxy, and the
 * hosts of its lines. What `sallyport check` compares with netd.conf, and `init` writes into it.
 * Pure; main thread only.
 */
#ifndef SALLYPORT_AGENT_CLI_REACH_H
#define SALLYPORT_AGENT_CLI_REACH_H

#include "config/schema/config.h"

struct reach_need {
    char host[256]; /* a name or an address */
    uint16_t port;
    bool is_udp;
    bool is_plant;      /* of a line; else a broker or proxy */
    struct where where; /* of the key that names it */
    char key[128];      /* its full name: "uplink.servers", "buses.plc1.host" */
};

struct reach_needs {
    struct reach_need *items;
    size_t length;
};

/* Everything, in the order of the files; with a proxy, not the brokers behind it. */
void reach_needs_make(const struct config *config, struct reach_needs *ret_needs);
void reach_needs_free(struct reach_needs *needs); /* fit for CLEANUP() */

/* Whether HOST is "localhost" or a loopback address. */
bool reach_is_loopback(const char *host);

/*
 * Appends the group `agent` of netd.conf that permits all of NEEDS, each once: ready to paste, in
 * one line, or with IN_LINES each entry in a line of its own.
 */
void reach_print_group(const struct reach_needs *needs, bool in_lines, struct strbuf *out);

#endif
