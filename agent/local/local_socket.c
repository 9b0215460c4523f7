/*
 * The agent's local socket. While an answer to a client is pending, the socket does not read from
 * it, so a client cannot pile up work. What the client does not accept at once waits in its buffer.
 */
#include "agent/local/local_socket.h"

#include "agent/base/descriptor.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/base/unix_socket.h"
#include "drivers/modbus/modbus_request.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLIENTS_MAX 16

/* A read on a line, answered by its worker thread. Outlives a client that hangs up. */
struct pending {
    struct local_socket *local;
    struct client *client;   /* NULL: it hung up; main loop only */
    struct modbus_call call; /* this and the next two belong to the worker until it is done */
    enum outcome outcome;
    struct driver_error error;
    struct pending *next; /* in local->done */
};

struct client {
    struct local_socket *local;
    int socket;
    sd_event_source *source;
    struct pending *pending;
    struct strbuf in, out;
    size_t sent;   /* bytes of out */
    uint64_t turn; /* of local->turns, when it last sent something */
};

struct local_socket {
    struct local_socket_callbacks callbacks;
    sd_event *loop;
    char *path;
    int socket, wake; /* wake: eventfd, written by the workers */
    sd_event_source *listen_source, *wake_source;
    struct client *clients[CLIENTS_MAX];
    uint64_t turns;       /* rises with each connection and each piece of input */
    pthread_mutex_t lock; /* guards done */
    struct pending *done;
};

static void client_drop(struct client *client)
{
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        if (client->local->clients[i] == client)
            client->local->clients[i] = NULL;
    }
    if (client->pending)
        client->pending->client = NULL;
    sd_event_source_disable_unref(client->source);
    descriptor_close(&client->socket);
    strbuf_free(&client->in);
    strbuf_free(&client->out);
    free(client);
}

/* Begins an answer: an object, whose first member is the RESULT. */
static struct json_text begin_answer(struct client *client, const char *result)
{
    struct json_text json = JSON_TEXT(&client->out);
    json_text_open_object(&json, NULL);
    json_text_string(&json, "result", result);
    return json;
}

static void end_answer(struct client *client, struct json_text *json)
{
    json_text_close_object(json);
    strbuf_add_char(&client->out, '\n');
}

static void refuse(struct client *client, const char *reason)
{
    struct json_text json = begin_answer(client, "failed");
    json_text_string(&json, "reason", reason);
    end_answer(client, &json);
}

/* The same, with a member KEY that is true. */
static void refuse_as(struct client *client, const char *key, const char *reason)
{
    struct json_text json = begin_answer(client, "failed");
    json_text_bool(&json, key, true);
    json_text_string(&json, "reason", reason);
    end_answer(client, &json);
}

static void answer_status(struct client *client, const json_t *request)
{
    (void)request;
    struct local_socket *local = client->local;
    struct json_text json = begin_answer(client, "ok");
    json_text_key(&json, "status");
    local->callbacks.status(local->callbacks.status_context, &json);
    end_answer(client, &json);
}

static void answer_values(struct client *client, const json_t *request)
{
    struct local_socket *local = client->local;
    const char *device = json_string_value(json_object_get(request, "device"));
    size_t before = client->out.length;
    struct json_text json = begin_answer(client, "ok");
    json_text_open_array(&json, "values");
    if (local->callbacks.values(local->callbacks.plant, device, &json) < 0) {
        client->out.length = before;
        refuse(client, "there is no such device");
        return;
    }
    json_text_close_array(&json);
    end_answer(client, &json);
}

static void answer_reload(struct client *client, const json_t *request)
{
    struct local_socket *local = client->local;
    CLEANUP(strbuf_free) struct strbuf reason = STRBUF_EMPTY;
    size_t before = client->out.length;
    struct json_text json = begin_answer(client, "ok");
    (void)request;
    if (!local->callbacks.reload(local->callbacks.reload_context, &json, &reason)) {
        client->out.length = before;
        refuse(client, strbuf_text(&reason));
        return;
    }
    end_answer(client, &json);
}

const char *const local_socket_outcome_names[] = {"ok",           "timeout",     "bad-reply",
                                                  "disconnected", "unsupported", NULL};

static const char *outcome_text(enum outcome outcome)
{
    switch (outcome) {
    case OUTCOME_OK:
        return "";
    case OUTCOME_TIMEOUT:
        return "the unit did not answer in time";
    case OUTCOME_BAD_REPLY:
        return "the answer did not fit the request";
    case OUTCOME_DISCONNECTED:
        return "the line is not connected";
    case OUTCOME_UNSUPPORTED:
        return "this driver has no registers to read";
    }
    return "unknown outcome";
}

static void refuse_read(struct client *client, const struct pending *pending)
{
    struct json_text json = begin_answer(client, "failed");
    json_text_string(&json, "outcome", local_socket_outcome_names[pending->outcome]);
    json_text_string(&json, "reason",
                     pending->error.text[0] ? pending->error.text : outcome_text(pending->outcome));
    end_answer(client, &json);
}

static void answer_exception(struct client *client, uint8_t exception)
{
    char name[24];
    struct json_text json = begin_answer(client, "failed");
    json_text_string(&json, "reason", quality_name(QUALITY_EXCEPTION, exception, name));
    json_text_u64(&json, "exception", exception);
    end_answer(client, &json);
}

static void answer_read(struct client *client, const struct pending *pending)
{
    if (pending->outcome != OUTCOME_OK) {
        refuse_read(client, pending);
        return;
    }
    if (pending->call.reply.exception) {
        answer_exception(client, pending->call.reply.exception);
        return;
    }
    struct json_text json = begin_answer(client, "ok");
    json_text_open_array(&json, "values");
    for (size_t i = 0; i < pending->call.request.count; i++)
        json_text_u64(&json, NULL, pending->call.reply.values[i]);
    json_text_close_array(&json);
    end_answer(client, &json);
}

/* A worker thread of a line: hands the result to the main loop. */
static void read_done(void *context, enum outcome outcome, const struct driver_error *error)
{
    struct pending *pending = context;
    struct local_socket *local = pending->local;
    pending->outcome = outcome;
    if (error)
        pending->error = *error;
    pthread_mutex_lock(&local->lock);
    pending->next = local->done;
    local->done = pending;
    pthread_mutex_unlock(&local->lock);
    (void)eventfd_write(local->wake, 1);
}

static bool take_number(const json_t *request, const char *key, long long min, long long max,
                        long long *ret_value)
{
    const json_t *value = json_object_get(request, key);
    if (!json_is_integer(value) || json_integer_value(value) < min ||
        json_integer_value(value) > max)
        return false;
    *ret_value = json_integer_value(value);
    return true;
}

/* Returns NULL, or what is wrong. */
static const char *parse_read(const json_t *object, struct modbus_request *request)
{
    long long unit, address, count;
    const char *table = json_string_value(json_object_get(object, "table"));
    size_t index = 0;
    while (table && modbus_table_names[index] && strcmp(modbus_table_names[index], table) != 0)
        index++;
    if (!table || !modbus_table_names[index])
        return "table: coil, discrete, input or holding";
    if (!take_number(object, "unit", 0, 255, &unit))
        return "unit: 0 to 255";
    if (!take_number(object, "address", 0, 65535, &address))
        return "address: 0 to 65535, as on the wire";
    long long most =
        modbus_table_is_bits((uint8_t)index) ? MODBUS_READ_BITS_MAX : MODBUS_READ_REGISTERS_MAX;
    if (!take_number(object, "count", 1, most, &count) || address + count > 65536)
        return "count: 1 to 125 registers or 1 to 2000 bits, not beyond address 65535";
    *request = modbus_read_request((uint8_t)unit, (enum modbus_table)index, (uint16_t)address,
                                   (uint16_t)count);
    return NULL;
}

static void start_read(struct client *client, const json_t *object)
{
    struct local_socket *local = client->local;
    struct modbus_request request;
    const char *bus = json_string_value(json_object_get(object, "bus"));
    const char *problem = bus ? parse_read(object, &request) : "bus: its name";
    if (problem) {
        refuse(client, problem);
        return;
    }
    struct pending *pending = memory_zeroed(1, sizeof(*pending));
    pending->local = local;
    pending->client = client;
    pending->call.request = request;
    const struct driver_request asked = modbus_call_request(&pending->call);
    int outcome = local->callbacks.read(local->callbacks.plant, bus, &asked, read_done, pending);
    if (outcome == -ENOENT) {
        free(pending);
        refuse_as(client, "absent", "the agent has no such line");
        return;
    }
    if (outcome < 0) {
        free(pending);
        if (outcome == -EBUSY)
            refuse_as(client, "busy", "another request is under way on this line");
        else
            refuse(client, "the line cannot take a request now");
        return;
    }
    client->pending = pending;
}

static const struct {
    const char *name;
    void (*answer)(struct client *client, const json_t *request);
} commands[] = {
    {"status", answer_status},
    {"values", answer_values},
    {"read", start_read},
    {"reload", answer_reload},
};

static void handle_line(struct client *client, const char *line, size_t length)
{
    json_t *request = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
    const char *name = json_string_value(json_object_get(request, "command"));
    size_t index = 0;
    while (name && index < ARRAY_LENGTH(commands) && strcmp(commands[index].name, name) != 0)
        index++;
    if (!name)
        refuse(client, "a request is one JSON object with a \"command\"");
    else if (index == ARRAY_LENGTH(commands))
        refuse(client, "unknown command");
    else
        commands[index].answer(client, request);
    json_decref(request);
}

/* Sends what it can; returns false when the client is gone. */
static bool flush(struct client *client)
{
    while (client->sent < client->out.length) {
        ssize_t sent = send(client->socket, client->out.data + client->sent,
                            client->out.length - client->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN;
        client->sent += (size_t)sent;
    }
    strbuf_reset(&client->out);
    client->sent = 0;
    return true;
}

static bool busy(const struct client *client)
{
    return client->pending || client->out.length > 0;
}

/* Answers the requests that are complete, one at a time. Returns false when the client is gone. */
static bool work(struct client *client)
{
    while (!busy(client)) {
        char *end = memchr(client->in.data ? client->in.data : "", '\n', client->in.length);
        if (!end) {
            if (client->in.length >= LOCAL_SOCKET_REQUEST_MAX)
                return false;
            break;
        }
        size_t length = (size_t)(end - client->in.data);
        handle_line(client, client->in.data, length);
        client->in.length -= length + 1;
        memmove(client->in.data, end + 1, client->in.length);
        if (!flush(client))
            return false;
    }
    uint32_t wanted = busy(client) ? 0 : EPOLLIN;
    if (client->out.length > 0)
        wanted |= EPOLLOUT;
    return sd_event_source_set_io_events(client->source, wanted) >= 0;
}

static bool take_input(struct client *client)
{
    size_t room = LOCAL_SOCKET_REQUEST_MAX - client->in.length;
    char *place = strbuf_reserve(&client->in, room);
    ssize_t got = recv(client->socket, place, room, MSG_DONTWAIT);
    if (got < 0)
        return errno == EINTR || errno == EAGAIN;
    client->in.length += (size_t)got;
    client->turn = ++client->local->turns;
    return got > 0;
}

static int on_client(sd_event_source *source, int descriptor, uint32_t events, void *userdata)
{
    (void)source, (void)descriptor;
    struct client *client = userdata;
    bool alive = !(events & (EPOLLHUP | EPOLLERR));
    if (alive && (events & EPOLLOUT))
        alive = flush(client);
    if (alive && (events & EPOLLIN))
        alive = take_input(client);
    if (!alive || !work(client))
        client_drop(client);
    return 0;
}

static int on_wake(sd_event_source *source, int descriptor, uint32_t events, void *userdata)
{
    (void)source, (void)events;
    struct local_socket *local = userdata;
    eventfd_t count;
    (void)eventfd_read(descriptor, &count);
    pthread_mutex_lock(&local->lock);
    struct pending *done = local->done;
    local->done = NULL;
    pthread_mutex_unlock(&local->lock);
    while (done) {
        struct pending *pending = done;
        done = pending->next;
        struct client *client = pending->client;
        if (client) {
            client->pending = NULL;
            answer_read(client, pending);
            if (!flush(client) || !work(client))
                client_drop(client);
        }
        free(pending);
    }
    return 0;
}

/* Makes room for one more client: closes the one that was silent longest. */
static size_t free_place(struct local_socket *local)
{
    size_t oldest = 0;
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        if (!local->clients[i])
            return i;
        if (local->clients[i]->turn < local->clients[oldest]->turn)
            oldest = i;
    }
    log_warning("local", "clients=%d: too many at once; closing the one that was silent longest",
                CLIENTS_MAX);
    client_drop(local->clients[oldest]);
    return oldest;
}

static int on_connection(sd_event_source *source, int descriptor, uint32_t events, void *userdata)
{
    (void)source, (void)events;
    struct local_socket *local = userdata;
    int socket = accept4(descriptor, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (socket < 0)
        return 0; /* gone again, or out of descriptors: the next event tries again */
    size_t place = free_place(local);
    struct client *client = memory_zeroed(1, sizeof(*client));
    client->local = local;
    client->socket = socket;
    client->turn = ++local->turns;
    local->clients[place] = client;
    if (sd_event_add_io(local->loop, &client->source, socket, EPOLLIN, on_client, client) < 0)
        client_drop(client);
    return 0;
}

int local_socket_new(const char *path, const struct local_socket_callbacks *callbacks,
                     sd_event *loop, struct local_socket **ret_local)
{
    int listener = unix_socket_listen(path, SOCK_STREAM, 0660, CLIENTS_MAX);
    if (listener < 0)
        return listener;
    struct local_socket *local = memory_zeroed(1, sizeof(*local));
    local->callbacks = *callbacks;
    local->loop = sd_event_ref(loop);
    local->path = memory_text(path);
    local->socket = listener;
    local->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&local->lock, NULL);
    int problem = local->wake < 0 ? -errno : 0;
    if (!problem)
        problem =
            sd_event_add_io(loop, &local->listen_source, listener, EPOLLIN, on_connection, local);
    if (problem >= 0)
        problem = sd_event_add_io(loop, &local->wake_source, local->wake, EPOLLIN, on_wake, local);
    if (problem < 0) {
        local_socket_free(local);
        return problem;
    }
    *ret_local = local;
    return 0;
}

struct local_socket *local_socket_free(struct local_socket *local)
{
    if (!local)
        return NULL;
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        if (local->clients[i])
            client_drop(local->clients[i]);
    }
    while (local->done) {
        struct pending *pending = local->done;
        local->done = pending->next;
        free(pending);
    }
    (void)unlink(local->path);
    sd_event_source_disable_unref(local->listen_source);
    sd_event_source_disable_unref(local->wake_source);
    descriptor_close(&local->socket);
    descriptor_close(&local->wake);
    pthread_mutex_destroy(&local->lock);
    sd_event_unref(local->loop);
    free(local->path);
    free(local);
    return NULL;
}
