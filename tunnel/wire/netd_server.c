/* netd's socket. */
#include "tunnel/wire/netd_server.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/base/unix_socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_PEERS 16
#define MAX_AGENT_PEERS 4 /* of these: a wild agent must not keep the people on site out */
#define MAX_GROUPS 256
#define MAX_COMPLAINTS 20       /* lines in the log about bad peers, a minute */
#define REQUESTS_PER_SECOND 500 /* of one connection: reading the journal takes that many */

struct peer {
    struct netd_server *server;
    int socket; /* -1: this place is free */
    struct netd_server_peer who;
    char name[24];
    sd_event_source *source;
    bool is_greeted, is_subscribed;
    bool is_noticed;         /* got WIRE_CHANGED, and has asked for nothing since */
    uint64_t waiting_ticket; /* a request to be answered later; 0: none */
    uint16_t waiting_verb;
    uint32_t waiting_id;
};

struct netd_server {
    struct netd_server_settings settings;
    char *path;
    int socket;
    sd_event *loop;
    sd_event_source *source;
    struct peer peers[MAX_PEERS];
    uint64_t tickets; /* given so far */
    uint64_t refused, ended;
    int64_t complaints_since_ns; /* the minute that `complaints` counts in */
    unsigned complaints;
};

/* Whether one more line about a bad peer may go to the log: a wild agent must not fill the disk. */
static bool may_complain(struct netd_server *server)
{
    int64_t now_ns = clock_mono_ns();
    if (now_ns - server->complaints_since_ns > 60 * CLOCK_NS_PER_S) {
        server->complaints_since_ns = now_ns;
        server->complaints = 0;
    }
    if (++server->complaints == MAX_COMPLAINTS)
        log_warning("netd", "more of these within a minute are counted, not logged");
    return server->complaints < MAX_COMPLAINTS;
}

/* ---- Who is it ---- */

static bool is_in_group(int socket, gid_t own, gid_t wanted)
{
    gid_t groups[MAX_GROUPS];
    socklen_t size = sizeof(groups);
    if (wanted == (gid_t)-1)
        return false;
    if (own == wanted)
        return true;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
        return false;
    for (size_t i = 0; i < size / sizeof(gid_t); i++) {
        if (groups[i] == wanted)
            return true;
    }
    return false;
}

/* What the kernel noted when the peer connected. */
static enum wire_role find_role(const struct netd_server *server, int socket, char name[24])
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return WIRE_ROLE_NONE;
    (void)snprintf(name, 24, "uid:%u", peer.uid);
    if (peer.uid == 0)
        strcpy(name, "root");
    if (peer.uid != 0 && peer.uid == server->settings.own_uid) /* a helper that was taken over */
        return WIRE_ROLE_NONE;
    if (server->settings.agent_uid != NETD_SERVER_NOBODY &&
        peer.uid == server->settings.agent_uid && peer.uid != 0) {
        strcpy(name, "agent"); /* even if it is in the admin group: it is not a person */
        return WIRE_ROLE_AGENT;
    }
    return peer.uid == 0 || is_in_group(socket, peer.gid, server->settings.admin_gid)
               ? WIRE_ROLE_ADMIN
               : WIRE_ROLE_NONE;
}

/* ---- One connection ---- */

static void tell_gone(const struct netd_server *server, uint64_t ticket)
{
    if (ticket && server->settings.gone)
        server->settings.gone(server->settings.context, ticket);
}

static void drop(struct peer *peer)
{
    uint64_t ticket = peer->waiting_ticket;
    sd_event_source_disable_unref(peer->source);
    descriptor_close(&peer->socket);
    *peer = (struct peer){.server = peer->server, .socket = -1};
    tell_gone(peer->server, ticket);
}

static void end_for_breach(struct peer *peer, const char *why)
{
    peer->server->ended++;
    if (may_complain(peer->server))
        log_warning("netd", "peer=%s breach=\"%s\"; the connection is closed", peer->name, why);
    drop(peer);
}

/* A peer that does not take its answers is dropped: it may come again. */
static void send_reply(struct peer *peer, const struct wire_message *reply)
{
    size_t size = wire_reply_size((enum wire_verb)reply->header.verb);
    if (send(peer->socket, reply, size, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)size)
        drop(peer);
}

static void netd_server_handle(struct peer *peer, const struct wire_message *request)
{
    struct netd_server *server = peer->server;
    struct wire_message reply;
    uint64_t ticket = peer->who.ticket = ++server->tickets;
    wire_begin(&reply, (enum wire_verb)request->header.verb, request->header.id);
    peer->is_noticed = false;
    if (request->header.verb == WIRE_HELLO)
        peer->is_greeted = true;
    if (request->header.verb == WIRE_SUBSCRIBE)
        peer->is_subscribed = true;
    if (server->settings.handle(server->settings.context, &peer->who, request, &reply) ==
        NETD_SERVER_ANSWER_NOW) {
        if (peer->socket >= 0)
            send_reply(peer, &reply);
        return;
    }
    if (peer->socket < 0) { /* it did not take a notice in between */
        tell_gone(server, ticket);
        return;
    }
    peer->waiting_ticket = ticket;
    peer->waiting_verb = request->header.verb;
    peer->waiting_id = request->header.id;
}

/* Whether its answer may have to wait, for the hub or for ssh-keygen. */
static bool is_slow(enum wire_verb verb)
{
    return verb == WIRE_OPEN_LOCAL || verb == WIRE_APPROVE || verb == WIRE_SIGNED;
}

static const char *find_breach(const struct peer *peer, const struct wire_message *request,
                               ssize_t length)
{
    if (wire_check_request(request, (size_t)length) < 0)
        return "malformed";
    enum wire_verb verb = (enum wire_verb)request->header.verb;
    if (!wire_is_allowed(peer->who.role, verb))
        return "not allowed to this peer";
    if (!peer->is_greeted != (verb == WIRE_HELLO))
        return "hello comes first, and once";
    return peer->waiting_ticket && is_slow(verb) ? "one opening at a time" : NULL;
}

static int on_request(sd_event_source *source, int socket, uint32_t events, void *context)
{
    struct peer *peer = context;
    struct wire_message request;
    (void)source, (void)events;
    ssize_t length = recv(socket, &request, sizeof(request), MSG_DONTWAIT | MSG_TRUNC);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (length <= 0) {
        drop(peer);
        return 0;
    }
    const char *breach =
        (size_t)length > sizeof(request) ? "too long" : find_breach(peer, &request, length);
    if (breach)
        end_for_breach(peer, breach);
    else
        netd_server_handle(peer, &request);
    return 0;
}

/* ---- The socket ---- */

static struct peer *find_place(struct netd_server *server, enum wire_role role)
{
    struct peer *place = NULL;
    size_t same = 0;
    for (size_t i = 0; i < MAX_PEERS; i++) {
        if (server->peers[i].socket < 0)
            place = &server->peers[i];
        else if (server->peers[i].who.role == role)
            same++;
    }
    return role == WIRE_ROLE_AGENT && same >= MAX_AGENT_PEERS ? NULL : place;
}

static int netd_server_on_connection(sd_event_source *source, int listening, uint32_t events,
                                     void *context)
{
    struct netd_server *server = context;
    char name[24] = "";
    (void)source, (void)events;
    CLEANUP(descriptor_close)
    int socket = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (socket < 0)
        return 0;
    enum wire_role role = find_role(server, socket, name);
    struct peer *peer = role == WIRE_ROLE_NONE ? NULL : find_place(server, role);
    if (!peer) {
        server->refused++;
        if (may_complain(server))
            log_warning("netd", "peer=%s refused=\"%s\"", name,
                        role == WIRE_ROLE_NONE ? "neither the agent nor in the admin group"
                                               : "too many connections");
        return 0;
    }
    *peer = (struct peer){.server = server, .socket = socket, .who = {.role = role}};
    strcpy(peer->name, name);
    peer->who.name = peer->name;
    if (sd_event_add_io(server->loop, &peer->source, socket, EPOLLIN, on_request, peer) < 0) {
        peer->socket = -1;
        return 0;
    }
    (void)sd_event_source_set_priority(peer->source, SD_EVENT_PRIORITY_IDLE); /* deadlines first */
    (void)sd_event_source_set_ratelimit(peer->source, 1000000, REQUESTS_PER_SECOND);
    socket = -1;
    return 0;
}

/* Anybody may connect; what the kernel says about a process decides whether it may stay. */
static int listen_at(const char *path)
{
    struct stat about;
    /* systemd runs one netd: whoever still listens here is about to end. */
    if (lstat(path, &about) == 0 && S_ISSOCK(about.st_mode))
        (void)unlink(path);
    return unix_socket_listen(path, SOCK_SEQPACKET | SOCK_NONBLOCK, 0666, MAX_PEERS);
}

int netd_server_new(const struct netd_server_settings *settings, sd_event *loop,
                    struct netd_server **ret_server)
{
    int listening = listen_at(settings->socket_path);
    if (listening < 0)
        return listening;
    struct netd_server *server = memory_zeroed(1, sizeof(*server));
    server->settings = *settings;
    server->path = memory_text(settings->socket_path);
    server->socket = listening;
    server->loop = loop;
    for (size_t i = 0; i < MAX_PEERS; i++)
        server->peers[i] = (struct peer){.server = server, .socket = -1};
    int problem = sd_event_add_io(loop, &server->source, listening, EPOLLIN,
                                  netd_server_on_connection, server);
    if (problem < 0) {
        netd_server_free(server);
        return problem;
    }
    (void)sd_event_source_set_priority(server->source, SD_EVENT_PRIORITY_IDLE);
    *ret_server = server;
    return 0;
}

struct netd_server *netd_server_free(struct netd_server *server)
{
    if (!server)
        return NULL;
    for (size_t i = 0; i < MAX_PEERS; i++)
        drop(&server->peers[i]);
    sd_event_source_disable_unref(server->source);
    descriptor_close(&server->socket);
    (void)unlink(server->path);
    free(server->path);
    free(server);
    return NULL;
}

static size_t find_waiting(const struct netd_server *server, uint64_t ticket)
{
    size_t place = 0;
    while (place < MAX_PEERS && (!ticket || server->peers[place].waiting_ticket != ticket))
        place++;
    return place;
}

bool netd_server_begin_answer(const struct netd_server *server, uint64_t ticket,
                              struct wire_message *ret_reply)
{
    size_t place = find_waiting(server, ticket);
    if (place == MAX_PEERS)
        return false;
    const struct peer *peer = &server->peers[place];
    wire_begin(ret_reply, (enum wire_verb)peer->waiting_verb, peer->waiting_id);
    return true;
}

void netd_server_answer(struct netd_server *server, uint64_t ticket,
                        const struct wire_message *reply)
{
    size_t place = find_waiting(server, ticket);
    if (place == MAX_PEERS)
        return;
    struct peer *peer = &server->peers[place];
    peer->waiting_ticket = 0;
    send_reply(peer, reply);
}

void netd_server_notify(struct netd_server *server)
{
    struct wire_message notice;
    wire_begin(&notice, WIRE_CHANGED, 0);
    for (size_t i = 0; i < MAX_PEERS; i++) {
        struct peer *peer = &server->peers[i];
        if (peer->socket < 0 || !peer->is_subscribed || peer->is_noticed)
            continue;
        peer->is_noticed = true;
        send_reply(peer, &notice);
    }
}

void netd_server_get_counters(const struct netd_server *server, uint64_t *ret_refused,
                              uint64_t *ret_ended)
{
    *ret_refused = server->refused;
    *ret_ended = server->ended;
}
