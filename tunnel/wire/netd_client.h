/*
 * The agent's side of netd's socket: keeps a connection with back-off, a snapshot of the
 * status, and hands on every line of the journal as an event, in order, across restarts of
 * either side. Main loop only; nothing here blocks.
 */
#ifndef SALLYPORT_TUNNEL_WIRE_NETD_CLIENT_H
#define SALLYPORT_TUNNEL_WIRE_NETD_CLIENT_H

#include "tunnel/model/event.h"
#include "tunnel/wire/wire.h"

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct netd_client; /* opaque */

struct netd_client_callbacks {
    /* The snapshot changed, or the connection came or went. May be NULL. */
    void (*changed)(void *context);
    /*
     * One line of the journal. POSITION is what to give netd_client_new() after a restart so that
     * nothing comes twice and nothing is lost: the caller stores it with the event.
     */
    void (*event)(void *context, const struct event *event, uint64_t position);
    /* A new challenge is in force (64 hex digits). May be NULL. */
    void (*challenge)(void *context, const char *challenge);
    /*
     * Which keys may sign: before the first challenge, whenever that may have changed, and every
     * minute; NULL when this netd, of an older version, does not say. May be NULL.
     */
    void (*signers)(void *context, const struct wire_signers *signers);
    /*
     * The answer to netd_client_signed(), up to 20 s later when a hub has to be reached; after
     * `challenge`, when the command has made a new one necessary. None comes when the connection
     * is lost before: `changed` tells that. May be NULL.
     */
    void (*answered)(void *context, enum refusal refusal, const struct wire_signed_reply *reply);
    void *context;
};

/* SOCKET_PATH is copied. POSITION: 0 for everything that is kept. Connects from the loop. */
int netd_client_new(const char *socket_path, uint64_t position,
                    const struct netd_client_callbacks *callbacks, sd_event *loop,
                    struct netd_client **ret_client);
struct netd_client *netd_client_free(struct netd_client *client); /* NULL is fine */

bool netd_client_is_connected(const struct netd_client *client);

/* The last known status; NULL while there is no connection. */
const struct wire_status *netd_client_status(const struct netd_client *client);
const struct wire_counters *netd_client_counters(const struct netd_client *client);

/*
 * Hands netd a signed command, LENGTH bytes exactly as received. Of one longer than
 * WIRE_SIGNED_BYTES the beginning is sent, so that netd refuses and journals it. Returns
 * -ENOTCONN, -EPERM when this process is not access.agent_user, -EBUSY (one at a time) or 0.
 */
int netd_client_signed(struct netd_client *client, const void *text, size_t length,
                       bool is_retained);

/* ---- For the command line: one blocking exchange after another ---- */

/* Connects and says hello; 0 and the socket, or -ECONNREFUSED and the like. */
int netd_client_connect(const char *socket_path, struct wire_hello *ret_hello, int *ret_socket);

/* Sends REQUEST (made with wire_begin) and waits for its reply in place. 0 or a negative errno. */
int netd_client_exchange(int socket, struct wire_message *message, int timeout_ms);

#endif
