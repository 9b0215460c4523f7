/*
 * The warden's socket: accepts, looks at the peer's credentials, checks every message, and ends
 * the connection of whoever breaks the protocol. What a request means is its owner's business.
 * Warden only; main loop only.
 */
#ifndef SALLYPORT_TUNNEL_WIRE_NETD_SERVER_H
#define SALLYPORT_TUNNEL_WIRE_NETD_SERVER_H

#include "tunnel/wire/wire.h"

#include <sys/types.h>
#include <systemd/sd-event.h>

#define SERVER_NOBODY ((uid_t)-1)

struct server; /* opaque */

/* Who asks, as the kernel says. */
struct server_peer {
    enum wire_role role;
    const char *name; /* "root", "agent", "uid:1000"; for the journal */
};

enum server_answer {
    SERVER_ANSWER_NOW,   /* REPLY is filled: send it */
    SERVER_ANSWER_LATER, /* server_answer_waiting() will */
};

struct server_settings {
    const char *socket_path;
    uid_t agent_uid; /* SERVER_NOBODY: none */
    gid_t admin_gid; /* (gid_t)-1: none */
    /* REQUEST is well-formed and allowed to the peer. REPLY is begun; its result and body are to
     * be filled. */
    enum server_answer (*handle)(void *context, const struct server_peer *peer,
                                 const struct wire_message *request, struct wire_message *reply);
    /* Fills the body of a reply that was to come later; its result is set. */
    void (*complete)(void *context, struct wire_message *reply, const char *text);
    void *context;
};

/* Replaces a socket that is left over. 0 or a negative errno. */
int server_new(const struct server_settings *settings, sd_event *loop, struct server **ret_server);
struct server *server_free(struct server *server); /* removes the socket; NULL */

/* Answers every request that is to be answered later: a refusal and a text for a person. */
void server_answer_waiting(struct server *server, enum session_refusal refusal, const char *text);

/* Tells every subscriber that there is news. */
void server_notify(struct server *server);

/* Connections refused for who they were, and ended for what they sent. */
void server_get_counters(const struct server *server, uint64_t *ret_refused, uint64_t *ret_ended);

#endif
