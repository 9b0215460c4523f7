/*
 * The driver `modbus_tcp`: one connection for all units behind one host and port.
 *
 * libmodbus has no part in it. Its raw send puts transaction 0 into every request, so that a late
 * reply could not be told from the right one; its receive accepts a reply from another unit; its
 * connect takes only IPv4 literals. What is left of TCP is a socket, and that is handled here.
 *
 * Every request has a transaction identifier of its own. When anything goes wrong, the connection
 * is closed at once and the next request dials again: a new connection cannot carry an old reply.
 * A request that met a stream out of step is repeated once; repeating one whose connection broke
 * is up to the line.
 */
#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "drivers/driver.h"
#include "drivers/modbus/modbus_options.h"
#include "drivers/modbus/modbus_pdu.h"
#include "drivers/modbus/modbus_poll.h"
#include "drivers/tcp_dial.h"
#include "drivers/wait.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct modbus_tcp_bus {
    char *host;
    int64_t port, timeout_ms;
};

struct tcp_line {
    const struct modbus_tcp_bus *options;
    const atomic_bool *stop;
    struct tcp_dial *dial;
    int socket;              /* -1: not connected */
    uint16_t transaction;    /* of the latest request */
    size_t used;             /* of `bytes` */
    size_t taken;            /* the reply handed out last, at the front of `bytes` */
    uint8_t bytes[1024];     /* what came and was not dropped yet */
    enum verdict remembered; /* what was wrong with a frame that was passed over */
    bool out_of_step;        /* bytes came that are no frame, perhaps behind an earlier reply */
};

static int tcp_create(const struct driver_host *host, void **ret_line)
{
    struct tcp_line *line = memory_zeroed(1, sizeof(*line));
    line->options = host->bus->options;
    line->stop = host->stop;
    line->dial = tcp_dial_new(line->options->host, (uint16_t)line->options->port);
    line->socket = -1;
    *ret_line = line;
    return 0;
}

static void tcp_disconnect(void *instance)
{
    struct tcp_line *line = instance;
    descriptor_close(&line->socket);
    line->used = line->taken = 0;
}

/* Closes after an error: with a reset, which frees the one connection that many devices have. */
static void hang_up(struct tcp_line *line)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    if (line->socket >= 0)
        (void)setsockopt(line->socket, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    tcp_disconnect(line);
}

static void tcp_free(void *instance)
{
    struct tcp_line *line = instance;
    if (!line)
        return;
    tcp_disconnect(line);
    tcp_dial_free(line->dial);
    free(line);
}

static int tcp_connect(void *instance, struct driver_error *error)
{
    struct tcp_line *line = instance;
    if (line->socket >= 0)
        return 0;
    return tcp_dial_connect(line->dial, line->options->timeout_ms, line->stop, &line->socket,
                            error->text, sizeof(error->text));
}

static void drop_front(struct tcp_line *line, size_t length)
{
    line->used -= length;
    memmove(line->bytes, line->bytes + length, line->used);
}

/* Takes what has come. Returns how many bytes, or a negative errno; -EPIPE at the end of it. */
static ssize_t take_bytes(struct tcp_line *line)
{
    if (line->used == sizeof(line->bytes))
        return -ENOBUFS; /* never reached: a frame is shorter, and frames are dropped */
    ssize_t got = recv(line->socket, line->bytes + line->used, sizeof(line->bytes) - line->used,
                       MSG_DONTWAIT);
    if (got < 0)
        return -errno;
    line->used += (size_t)got;
    return got == 0 ? -EPIPE : got;
}

/* Looks at the frames that have come, drops those that answer other requests. */
static enum verdict judge(struct tcp_line *line, const struct driver_request *request,
                          struct pdu_reply *reply)
{
    for (;;) {
        size_t frame = 0;
        enum verdict verdict =
            tcp_check(request, line->transaction, line->bytes, line->used, &frame, reply);
        line->taken = frame;
        if (verdict != VERDICT_WRONG_TRANSACTION)
            return verdict;
        line->remembered = verdict;
        drop_front(line, frame);
    }
}

/*
 * Drops what came since the last reply: a unit may have repeated it. Returns whether the stream is
 * still in step; a reply cut short, bytes that are no frame, or the end of it mean that it is not.
 */
static bool stream_is_clean(struct tcp_line *line, const struct driver_request *request)
{
    drop_front(line, line->taken);
    line->taken = 0;
    for (;;) {
        struct pdu_reply ignored;
        line->transaction++; /* one that was never sent: every frame answers something else */
        if (judge(line, request, &ignored) != VERDICT_INCOMPLETE)
            return false;
        ssize_t got = take_bytes(line);
        if (got < 0)
            return got == -EAGAIN && line->used == 0;
    }
}

static enum outcome not_in_time(struct tcp_line *line, const struct driver_request *request,
                                struct driver_error *error)
{
    if (line->used == 0 && line->remembered == VERDICT_INCOMPLETE) {
        driver_explain(error, "unit %u did not answer within %lld ms", request->unit,
                       (long long)line->options->timeout_ms);
        return OUTCOME_TIMEOUT;
    }
    enum verdict verdict = line->used ? VERDICT_INCOMPLETE : line->remembered;
    driver_explain(error, "unit %u: %s, then nothing for %lld ms", request->unit,
                   verdict_text(verdict), (long long)line->options->timeout_ms);
    return OUTCOME_BAD_REPLY;
}

static enum outcome broken(struct driver_error *error, int problem)
{
    driver_explain(error, "the connection broke: %s",
                   problem == EPIPE ? "closed by the device" : strerror(problem));
    return OUTCOME_DISCONNECTED;
}

/* Waits for the reply to the request that has just been sent. */
static enum outcome receive(struct tcp_line *line, const struct driver_request *request,
                            struct pdu_reply *reply, struct driver_error *error)
{
    int64_t deadline_ns = clock_mono_ns() + line->options->timeout_ms * CLOCK_NS_PER_MS;
    for (;;) {
        int ready = wait_for(line->socket, POLLIN, deadline_ns, line->stop);
        if (ready == 0)
            return not_in_time(line, request, error);
        ssize_t got = ready < 0 ? ready : take_bytes(line);
        if (got == -EAGAIN || got == -EINTR)
            continue;
        if (got < 0)
            return broken(error, (int)-got);
        enum verdict verdict = judge(line, request, reply);
        if (verdict == VERDICT_GOOD || verdict == VERDICT_EXCEPTION)
            return OUTCOME_OK;
        if (verdict == VERDICT_INCOMPLETE)
            continue;
        line->out_of_step = verdict == VERDICT_NOT_MODBUS;
        driver_explain(error, "unit %u: %s", request->unit, verdict_text(verdict));
        return OUTCOME_BAD_REPLY;
    }
}

static enum outcome ask(struct tcp_line *line, const struct driver_request *request,
                        struct pdu_reply *reply, struct driver_error *error)
{
    if (line->socket >= 0 && !stream_is_clean(line, request))
        hang_up(line);
    if (tcp_connect(line, error) < 0)
        return OUTCOME_DISCONNECTED;
    uint8_t frame[TCP_REQUEST_BYTES];
    line->remembered = VERDICT_INCOMPLETE;
    tcp_encode(request, ++line->transaction, frame);
    ssize_t sent = send(line->socket, frame, sizeof(frame), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent != (ssize_t)sizeof(frame)) /* 12 bytes go as a whole unless the peer is stuck */
        return broken(error, sent < 0 ? errno : EAGAIN);
    return receive(line, request, reply, error);
}

static enum outcome tcp_exchange(void *instance, const struct driver_request *request,
                                 struct pdu_reply *reply, struct driver_error *error)
{
    struct tcp_line *line = instance;
    for (bool repeated = false;; repeated = true) {
        struct driver_error problem;
        line->out_of_step = false;
        enum outcome outcome = ask(line, request, reply, &problem);
        if (outcome == OUTCOME_OK)
            return outcome;
        hang_up(line);
        if (line->out_of_step && !repeated)
            continue;
        *error = problem;
        return outcome;
    }
}

static int tcp_prepare(void *instance, const struct config_device *device, const uint16_t *tags,
                       size_t n_tags, void **ret_poll)
{
    (void)instance;
    *ret_poll = modbus_poll_new(device, tags, n_tags);
    return 0;
}

static void tcp_poll_free(void *poll)
{
    modbus_poll_free(poll);
}

static enum outcome tcp_read(void *instance, void *poll, struct batch *batch,
                             struct driver_error *error)
{
    return modbus_poll_read(poll, tcp_exchange, instance, clock_mono_ns(), batch, error);
}

static enum outcome tcp_request(void *instance, const struct driver_request *request,
                                struct driver_reply *reply, struct driver_error *error)
{
    return modbus_request_once(tcp_exchange, instance, request, reply, error);
}

/* Some gateways want these numbers, most devices answer to any; rarely are they meant. */
static void check_device(const struct config_bus *bus, struct config_device *device,
                         struct findings *findings)
{
    const struct modbus_device *options = device->options;
    if (options->unit == 0 || options->unit > 247) {
        char key[128]; /* in full: a tag may stand on the same line */
        (void)snprintf(key, sizeof(key), "devices.%s.unit", device->name);
        findings_add(findings, FINDING_WARNING, device->where, key,
                     "%lld is no address of a unit (1 to 247); some devices want it, and a reply "
                     "with another unit is not accepted",
                     (long long)options->unit);
    }
    modbus_check_device(bus, device, findings);
}

static const struct option bus_rows[] = {
    {.key = "host",
     .type = OPTION_TEXT,
     .flags = OPTION_REQUIRED,
     .min = 1,
     .max = 253,
     .reload = RELOAD_LINE,
     .offset = offsetof(struct modbus_tcp_bus, host),
     .help = "Name or address (IPv4 or IPv6) of the device or gateway.",
     .example = "192.168.10.5"},
    {.key = "port",
     .type = OPTION_INT,
     .min = 1,
     .max = 65535,
     .fallback = "502",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct modbus_tcp_bus, port),
     .help = "TCP port."},
    {.key = "timeout_ms",
     .type = OPTION_INT,
     .unit = "ms",
     .min = 10,
     .max = 60000,
     .fallback = "1000",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct modbus_tcp_bus, timeout_ms),
     .help = "How long to wait for a reply, and for a connection."},
};

const struct driver modbus_tcp_driver = {
    .config = {.name = "modbus_tcp",
               .help = "Modbus TCP: one connection to a device, or to a gateway with units behind "
                       "it.",
               .bus = {.path = "buses.modbus_tcp",
                       .help = "A connection to a Modbus TCP device or gateway.",
                       .rows = bus_rows,
                       .n_rows = ARRAY_LENGTH(bus_rows),
                       .size = sizeof(struct modbus_tcp_bus)},
               .device = {.path = "devices.modbus_tcp",
                          .help = "A device that is reached through a modbus_tcp bus.",
                          .rows = modbus_tcp_device_rows,
                          .n_rows = MODBUS_DEVICE_ROWS,
                          .size = sizeof(struct modbus_device)},
               .tag = {.path = "devices.tags.modbus_tcp",
                       .help = "A tag of a device on a modbus_tcp bus.",
                       .rows = modbus_tag_rows,
                       .n_rows = MODBUS_TAG_ROWS,
                       .size = sizeof(struct modbus_tag)},
               .check_device = check_device},
    .create = tcp_create,
    .free = tcp_free,
    .prepare = tcp_prepare,
    .poll_free = tcp_poll_free,
    .connect = tcp_connect,
    .disconnect = tcp_disconnect,
    .read = tcp_read,
    .request = tcp_request,
    .shared_wire = false,
};
