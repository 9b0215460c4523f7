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
    uint64_t ticket;  /* of this request: whom a later answer is for. Never used again, never 0 */
};

enum netd_server_answer {
    NETD_SERVER_ANSWER_NOW,   /* REPLY is filled: send it */
    NETD_SERVER_ANSWER_LATER, /* netd_server_answer() will */
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
    /* The peer that waits for the answer to TICKET has gone. NULL: nobody has to know. */
    void (*gone)(void *context, uint64_t ticket);
    void *context;
};

/* Replaces a socket that is left over. 0 or a negative errno. */
int netd_server_new(const struct netd_server_settings *settings, sd_event *loop,
                    struct netd_server **ret_server);
struct netd_server *netd_server_free(struct netd_server *server); /* removes the socket; NULL */

/* Begins the answer that TICKET waits for. False when nobody waits for it any more. */
bool netd_server_begin_answer(const struct netd_server *server, uint64_t ticket,
                              struct wire_message *ret_reply);

/* Sends it, to whoever waits for TICKET: nobody any more is fine. */
void netd_server_answer(struct netd_server *server, uint64_t ticket,
                        const struct wire_message *reply);

/* Tells every subscriber that there is news. */
void netd_server_notify(struct netd_server *server);

/* Connections refused for who they were, and ended for what they sent. */
void netd_server_get_counters(const struct netd_server *server, uint64_t *ret_refused,
                              uint64_t *ret_ended);

#endif
