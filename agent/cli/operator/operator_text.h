/*
 * What the operator's side writes and reads, without a network: what goes into a command, and the
 * gateway's challenge, reply and status, which come through a broker that may lie. Only what has
 * the right form is kept, and texts are made printable. Pure; any thread.
 */
#ifndef SALLYPORT_AGENT_CLI_OPERATOR_OPERATOR_TEXT_H
#define SALLYPORT_AGENT_CLI_OPERATOR_OPERATOR_TEXT_H

#include "agent/base/strbuf.h"
#include "tunnel/model/command_text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPERATOR_LEVEL_BYTES 65 /* of a site or a gateway, with the NUL */

#define OPERATOR_CHALLENGE_BYTES 65 /* with the NUL */

/* SITE/ID, each 1 to 64 of [A-Za-z0-9_-]. */
struct operator_gateway {
    char site[OPERATOR_LEVEL_BYTES], id[OPERATOR_LEVEL_BYTES];
};

/* Whether LENGTH bytes at TEXT are fit for a site or an id; takes them if so. */
bool operator_level_parse(const char *text, size_t length, char ret_level[OPERATOR_LEVEL_BYTES]);
bool operator_gateway_parse(const char *text, struct operator_gateway *ret_gateway);

/* ---- The command ---- */

/* Whether LENGTH bytes at PAYLOAD are a challenge; takes it if so. */
bool operator_challenge_parse(const char *payload, size_t length,
                              char ret_challenge[OPERATOR_CHALLENGE_BYTES]);

/*
 * Takes what was typed into COMMAND, whose gateway, action and ttl are set: SERVICES, names with
 * commas between, to open; REASON to open and to extend; else NULL. Returns NULL when the text of
 * the command is one that the gateway's strict parser reads, else a message that says what is
 * wrong.
 */
const char *operator_command_fill(struct command *command, const char *services,
                                  const char *reason);

/* ---- What comes back ---- */

/* Where a service of an open session is reached. */
struct operator_place {
    char service[SESSION_NAME_BYTES];
    bool is_udp;
    char address[16]; /* IPv4 */
    uint16_t port;
};

struct operator_reply {
    bool is_accepted;
    char id[SESSION_NAME_BYTES]; /* of the command; "" when the gateway could not read it */
    char state[16];              /* of the session; "" when refused or unknown */
    char reason[32];             /* why refused */
    struct operator_place places[SESSION_MAX_SERVICES];
    size_t n_places;
};

/* Returns 0, or -EPROTO when it is not what a gateway sends. */
int operator_reply_parse(const char *payload, size_t length, struct operator_reply *ret_reply);

/* What to do about this reason of a refusal; "" for an unknown reason. */
const char *operator_refusal_advice(const char *reason);

/* Appends how to reach it, as one types it: "ssh USER@10.254.1.42", "10.254.1.42:502". */
void operator_place_write(const struct operator_place *place, struct strbuf *out);

/* The relevant part of P/status; texts are printable, "" when missing. */
struct operator_status {
    char state[24], version[24], firewall[24];
    char tunnel[24], services[128], opener[64]; /* of the session */
    long long remaining_s, backlog;             /* -1: unknown */
    long long timestamp_ms;                     /* 0: unknown */
};

/* A status that cannot be read has the state "unreadable". */
void operator_status_parse(const char *payload, size_t length, struct operator_status *ret_status);

#endif
