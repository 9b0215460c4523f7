/*
 * netd's socket: accepts, looks at the peer's credentials, checks every message, and ends
 * the connection of a peer that breaks the protocol. The owner decides what a request does.
 * netd only; main loop only.
 */
#ifndef SALLYPORT_TUNNEL_WIRE_NETD_SERVER_H
#define SALLYPORT_TUNNEL_WIRE_NETD_SERVER_H

#include "tunnel/wire/wire.h"

#include <sys/types.h>
#include <systemd/sd-event.h>

#define NETD_SERVER_NOBODY ((uid_t)-1)

struct netd_server; /* opaque */

/* Who asks, as the kernel says. */
struct netd_server_peer {
    enum wire_role role;
    const char *name; /* "root", "agent", "uid:1000"; for the journal */
};

enum netd_server_answer {
    NETD_SERVER_ANSWER_NOW,   /* REPLY is filled: send it */
    NETD_SERVER_ANSWER_LATER, /* netd_server_answer_waiting() will */
};

struct netd_server_settings {
    const char *socket_path;
    uid_t own_uid;   /* of netd itself, which is not heard unless it is root's */
    uid_t agent_uid; /* NETD_SERVER_NOBODY: none */
    gid_t admin_gid; /* (gid_t)-1: none */
    /* REQUEST is well-formed and allowed to the peer. REPLY is begun; its result and body are to
     * be filled. */
    enum netd_server_answer (*handle)(void *context, const struct netd_server_peer *peer,
                                      const struct wire_message *request,
                                      struct wire_message *reply);
    /* Fills the body of a reply that was to come later; its result is set. */
    void (*complete)(void *context, struct wire_message *reply, const char *text);
    void *context;
};

/* Replaces a socket that is left over. 0 or a negative errno. */
int netd_server_new(const struct netd_server_settings *settings, sd_event *loop,
                    struct netd_server **ret_server);
struct netd_server *netd_server_free(struct netd_server *server); /* removes the socket; NULL */

/* Answers every request that is to be answered later: a refusal and a text for a person. */
void netd_server_answer_waiting(struct netd_server *server, enum refusal refusal, const char *text);

/* Tells every subscriber that there is news. */
void netd_server_notify(struct netd_server *server);

/* Connections refused for who they were, and ended for what they sent. */
void netd_server_get_counters(const struct netd_server *server, uint64_t *ret_refused,
                              uint64_t *ret_ended);

#endif
