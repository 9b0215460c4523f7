/*
 * The agent's side of netd's socket. One request is under way at a time, and beside it at most one
 * signed command, whose answer may have to wait for the hub. What is to be asked next is a set of
 * flags, so that any number of notices costs one round.
 */
#include "tunnel/wire/netd_client.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/base/strbuf.h"
#include "agent/base/unix_socket.h"
#include "tunnel/model/event_text.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define RETRY_MIN_MS 250
#define RETRY_MAX_MS 5000
#define ANSWER_MS 10000   /* longer silence after a request ends the connection */
#define COUNTERS_MS 60000 /* between two looks at what was dropped */

/* What is wanted, in the order of importance. */
enum want {
    WANT_HELLO = 1 << 0,
    WANT_SUBSCRIBE = 1 << 1,
    WANT_STATUS = 1 << 2,
    WANT_CHALLENGE = 1 << 3,
    WANT_LINE = 1 << 4,
    WANT_COUNTERS = 1 << 5,
    WANT_SIGNERS = 1 << 6,
};

struct netd_client {
    char *path;
    struct netd_client_callbacks callbacks;
    sd_event *loop;
    sd_event_source *source; /* of the socket */
    sd_event_source *timer;  /* connects again; or: the answer is late, the counters are due */
    int socket;              /* -1: not connected */
    int64_t retry_ms;
    unsigned wants;              /* of enum want */
    unsigned under_way;          /* one of enum want, 0: none */
    uint32_t last_id, signed_id; /* signed_id 0: no signed command is under way */
    bool has_answer;             /* to a signed command; handed on after the new challenge */
    enum refusal verdict;
    struct wire_signed_reply answer;
    uint64_t position;
    bool has_role;     /* netd has said what we are */
    unsigned silences; /* so many connections in a row have ended at the question for the signers */
    bool is_courier;   /* we are access.agent_user: signed commands are ours to bring */
    bool has_status;
    struct wire_status status;
    struct wire_counters counters;
    char challenge[WIRE_CHALLENGE_BYTES];
};

static const struct {
    enum want want;
    enum wire_verb verb;
} rounds[] = {{WANT_HELLO, WIRE_HELLO},         {WANT_SUBSCRIBE, WIRE_SUBSCRIBE},
              {WANT_SIGNERS, WIRE_SIGNERS},     {WANT_STATUS, WIRE_STATUS},
              {WANT_CHALLENGE, WIRE_CHALLENGE}, {WANT_LINE, WIRE_JOURNAL_READ},
              {WANT_COUNTERS, WIRE_COUNTERS}};

static int send_whole(int socket, const struct wire_message *message)
{
    size_t size = wire_request_size((enum wire_verb)message->header.verb);
    ssize_t sent = send(socket, message, size, MSG_NOSIGNAL);
    return sent == (ssize_t)size ? 0 : sent < 0 ? -errno : -EIO;
}

static void wake_in(struct netd_client *client, int64_t in_ms)
{
    (void)sd_event_source_set_time_relative(client->timer, (uint64_t)in_ms * 1000);
    (void)sd_event_source_set_enabled(client->timer, SD_EVENT_ONESHOT);
}

static void tell_changed(const struct netd_client *client)
{
    if (client->callbacks.changed)
        client->callbacks.changed(client->callbacks.context);
}

static void tell_answer(struct netd_client *client)
{
    if (!client->has_answer)
        return;
    client->has_answer = false;
    if (client->callbacks.answered)
        client->callbacks.answered(client->callbacks.context, client->verdict, &client->answer);
}

static void disconnect(struct netd_client *client, const char *why)
{
    bool was_known = client->has_status;
    client->silences = client->under_way == WANT_SIGNERS ? client->silences + 1 : 0;
    client->source = sd_event_source_disable_unref(client->source);
    descriptor_close(&client->socket);
    client->wants = client->under_way = 0;
    client->signed_id = 0;
    client->has_status = false;
    client->challenge[0] =
        '\0'; /* handed on again after the next connection, even if it is the same */
    if (was_known)
        log_warning("netd", "socket=%s %s; trying again", client->path, why);
    wake_in(client, client->retry_ms);
    client->retry_ms = client->retry_ms * 2 < RETRY_MAX_MS ? client->retry_ms * 2 : RETRY_MAX_MS;
    tell_answer(client);
    if (was_known)
        tell_changed(client);
}

/* Sends the next request, if there is one to send and none under way. */
static void go_on(struct netd_client *client)
{
    struct wire_message request;
    for (size_t i = 0; !client->under_way && i < ARRAY_LENGTH(rounds); i++) {
        if (!(client->wants & rounds[i].want))
            continue;
        wire_begin(&request, rounds[i].verb, ++client->last_id);
        if (rounds[i].want == WANT_LINE)
            request.body.cursor.cursor = client->position;
        client->wants &= ~(unsigned)rounds[i].want;
        client->under_way = rounds[i].want;
        if (send_whole(client->socket, &request) < 0) {
            disconnect(client, "netd went away");
            return;
        }
    }
    if (!client->under_way)
        client->retry_ms = RETRY_MIN_MS; /* not before all was answered: one verb may be refused */
    wake_in(client, client->under_way ? ANSWER_MS : COUNTERS_MS);
}

/* ---- Answers ---- */

static void netd_client_take_line(struct netd_client *client, const struct wire_line *line)
{
    struct event event;
    uint64_t seq;
    if (line->length == 0)
        return;
    client->position = line->next;
    client->wants |= WANT_LINE; /* until there is none */
    if (event_text_read(line->line, line->length, &seq, &event) == 0)
        client->callbacks.event(client->callbacks.context, &event, client->position);
    else
        log_warning("netd", "position=%" PRIu64 ": not a journal line; left out of the events",
                    client->position);
}

static void netd_client_take_challenge(struct netd_client *client, const struct wire_message *reply)
{
    if (reply->header.result != REFUSAL_NONE || !client->callbacks.challenge ||
        strcmp(client->challenge, reply->body.challenge.challenge) == 0)
        return;
    memcpy(client->challenge, reply->body.challenge.challenge, sizeof(client->challenge));
    client->callbacks.challenge(client->callbacks.context, client->challenge);
}

static void netd_client_take_status(struct netd_client *client, const struct wire_status *status)
{
    bool is_new = !client->has_status || memcmp(&client->status, status, sizeof(*status)) != 0;
    client->status = *status;
    client->has_status = true;
    if (is_new)
        tell_changed(client);
}

/* netd ends a connection over which anyone but the agent asks for the challenge: a warning, once.
 */
static void take_role(struct netd_client *client, enum wire_role role)
{
    bool was_known = client->has_role;
    client->has_role = true;
    client->is_courier = role == WIRE_ROLE_AGENT;
    if (!client->is_courier && !was_known && client->callbacks.challenge)
        log_warning("netd", "this process does not run as access.agent_user of netd.conf; %s",
                    "signed commands will be refused");
}

/* A netd of an older version ends the connection for it: then that is not asked in the next. */
static bool is_older(const struct netd_client *client)
{
    return client->silences >= 2; /* once may be a netd that ended just then */
}

static unsigned wants_signers(const struct netd_client *client)
{
    return client->is_courier && client->callbacks.signers && !is_older(client) ? WANT_SIGNERS : 0;
}

static unsigned news(const struct netd_client *client)
{
    bool wants_challenge = client->is_courier && client->callbacks.challenge;
    return WANT_STATUS | WANT_LINE | wants_signers(client) | (wants_challenge ? WANT_CHALLENGE : 0);
}

static void netd_client_take_reply(struct netd_client *client, const struct wire_message *reply)
{
    switch ((enum want)client->under_way) {
    case WANT_HELLO:
        take_role(client, (enum wire_role)reply->body.hello.role);
        client->wants |= WANT_SUBSCRIBE | WANT_COUNTERS | news(client);
        if (is_older(client) && client->callbacks.signers)
            client->callbacks.signers(client->callbacks.context, NULL);
        break;
    case WANT_STATUS:
        netd_client_take_status(client, &reply->body.status);
        break;
    case WANT_CHALLENGE:
        netd_client_take_challenge(client, reply);
        tell_answer(client); /* the challenge in force has been handed on */
        break;
    case WANT_LINE:
        if (reply->header.result == REFUSAL_NONE)
            netd_client_take_line(client, &reply->body.line);
        break;
    case WANT_COUNTERS:
        client->counters = reply->body.counters;
        break;
    case WANT_SIGNERS:
        client->callbacks.signers(client->callbacks.context, &reply->body.signers);
        break;
    case WANT_SUBSCRIBE:
        break;
    }
}

static void netd_client_take(struct netd_client *client, const struct wire_message *message)
{
    unsigned verb = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(rounds); i++)
        verb = rounds[i].want == client->under_way ? rounds[i].verb : verb;
    if (message->header.verb == WIRE_CHANGED) {
        client->wants |= news(client);
    } else if (message->header.verb == WIRE_SIGNED && client->signed_id &&
               message->header.id == client->signed_id) {
        client->signed_id = 0;
        client->has_answer = true;
        client->verdict = (enum refusal)message->header.result;
        client->answer = message->body.signed_reply;
        client->wants |= WANT_CHALLENGE;
    } else if (client->under_way && message->header.verb == verb &&
               message->header.id == client->last_id) {
        netd_client_take_reply(client, message);
        client->under_way = 0;
    } else {
        disconnect(client, "netd answered what was not asked");
    }
}

static int on_socket(sd_event_source *source, int descriptor, uint32_t events, void *context)
{
    struct netd_client *client = context;
    struct wire_message message;
    (void)source, (void)events;
    ssize_t length = recv(descriptor, &message, sizeof(message), MSG_DONTWAIT | MSG_TRUNC);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (length <= 0)
        disconnect(client, "netd closed the connection");
    else if ((size_t)length > sizeof(message) || wire_check_reply(&message, (size_t)length) < 0)
        disconnect(client, "netd's answer is malformed; is it of another version?");
    else
        netd_client_take(client, &message);
    if (client->socket >= 0)
        go_on(client);
    return 0;
}

static void try_connect(struct netd_client *client)
{
    client->socket = unix_socket_connect(client->path, SOCK_SEQPACKET | SOCK_NONBLOCK);
    if (client->socket < 0 || sd_event_add_io(client->loop, &client->source, client->socket,
                                              EPOLLIN, on_socket, client) < 0) {
        disconnect(client, "");
        return;
    }
    client->wants = WANT_HELLO;
    go_on(client);
}

static int netd_client_on_timer(sd_event_source *source, uint64_t usec, void *context)
{
    struct netd_client *client = context;
    (void)source, (void)usec;
    if (client->socket < 0) {
        try_connect(client);
    } else if (client->under_way) {
        disconnect(client, "netd does not answer");
    } else {
        client->wants |= WANT_COUNTERS | WANT_STATUS | wants_signers(client);
        go_on(client);
    }
    return 0;
}

/* ---- For the agent ---- */

int netd_client_new(const char *socket_path, uint64_t position,
                    const struct netd_client_callbacks *callbacks, sd_event *loop,
                    struct netd_client **ret_client)
{
    struct netd_client *client = memory_zeroed(1, sizeof(*client));
    client->path = memory_text(socket_path);
    client->callbacks = *callbacks;
    client->loop = loop;
    client->socket = -1;
    client->retry_ms = RETRY_MIN_MS;
    client->position = position;
    int problem = sd_event_add_time_relative(loop, &client->timer, CLOCK_MONOTONIC, 0, 1000,
                                             netd_client_on_timer, client);
    if (problem < 0) {
        netd_client_free(client);
        return problem;
    }
    *ret_client = client;
    return 0;
}

struct netd_client *netd_client_free(struct netd_client *client)
{
    if (!client)
        return NULL;
    sd_event_source_disable_unref(client->source);
    sd_event_source_disable_unref(client->timer);
    descriptor_close(&client->socket);
    free(client->path);
    free(client);
    return NULL;
}

bool netd_client_is_connected(const struct netd_client *client)
{
    return client->has_status;
}

const struct wire_status *netd_client_status(const struct netd_client *client)
{
    return client->has_status ? &client->status : NULL;
}

const struct wire_counters *netd_client_counters(const struct netd_client *client)
{
    return client->has_status ? &client->counters : NULL;
}

int netd_client_signed(struct netd_client *client, const void *text, size_t length,
                       bool is_retained)
{
    struct wire_message request;
    if (!client->has_status)
        return -ENOTCONN;
    if (!client->is_courier)
        return -EPERM;
    if (client->signed_id || client->has_answer)
        return -EBUSY;
    /* The upper half of the ids is for signed commands: none equals that of a round. */
    wire_begin(&request, WIRE_SIGNED, client->last_id | UINT32_C(0x80000000));
    struct wire_signed *body = &request.body.signed_text;
    body->is_cut = length > sizeof(body->text);
    body->length = (uint32_t)(body->is_cut ? sizeof(body->text) : length);
    body->is_retained = is_retained;
    memcpy(body->text, text, body->length);
    int problem = send_whole(client->socket, &request);
    if (!problem)
        client->signed_id = request.header.id;
    return problem;
}

/* ---- For the command line ---- */

int netd_client_exchange(int socket, struct wire_message *message, int timeout_ms)
{
    struct wire_header asked = message->header;
    int problem = send_whole(socket, message);
    int64_t deadline_ns = clock_mono_ns() + timeout_ms * CLOCK_NS_PER_MS;
    while (!problem) {
        int64_t left_ms = (deadline_ns - clock_mono_ns()) / CLOCK_NS_PER_MS;
        struct pollfd wait = {.fd = socket, .events = POLLIN};
        if (left_ms <= 0)
            return -ETIMEDOUT;
        if (poll(&wait, 1, (int)left_ms) <= 0)
            continue;
        ssize_t length = recv(socket, message, sizeof(*message), MSG_TRUNC);
        if (length <= 0)
            return length < 0 ? -errno : -ECONNRESET;
        if ((size_t)length > sizeof(*message) || wire_check_reply(message, (size_t)length) < 0)
            return -EPROTO;
        if (message->header.verb == asked.verb && message->header.id == asked.id)
            return 0;
    }
    return problem;
}

int netd_client_connect(const char *socket_path, struct wire_hello *ret_hello, int *ret_socket)
{
    struct wire_message message;
    CLEANUP(descriptor_close) int opened = unix_socket_connect(socket_path, SOCK_SEQPACKET);
    if (opened < 0)
        return opened;
    wire_begin(&message, WIRE_HELLO, 1);
    int problem = netd_client_exchange(opened, &message, ANSWER_MS);
    if (problem < 0)
        return problem;
    *ret_hello = message.body.hello;
    *ret_socket = descriptor_take(&opened);
    return 0;
}
