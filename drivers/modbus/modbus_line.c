/* One request and its reply on a line: any framing over any transport. */
#include "drivers/modbus/modbus_line.h"

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/min_max.h"
#include "drivers/modbus/modbus_poll.h"
#include "drivers/modbus/overdue_replies.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A reply that came with a wrong checksum is given up when nothing follows for so long. */
#define DAMAGED_PAUSE_NS (30 * CLOCK_NS_PER_MS)
#define NAP_MAX_NS (50 * CLOCK_NS_PER_MS)
/* A connection on which nothing came for so many requests in a row may be dead at its far end. */
#define SILENT_MAX 3
/* Who sends more than this around one request never stops sending, and is not listened to. */
#define FLOOD_BYTES 65536
/* How long a late reply is waited for where nobody else wants the line; one timeout at most. */
#define LATE_MAX_NS (10 * CLOCK_NS_PER_S)

/* Whether we hear what we send: from an adapter, or from one at the far end of a connection. */
enum echo { ECHO_UNKNOWN, ECHO_ABSENT, ECHO_PRESENT };

struct modbus_line {
    const struct framing *framing;
    struct transport *transport;
    int64_t timeout_ns;
    const struct driver_turn *turn; /* see struct driver_host */
    bool open;
    enum echo echo;
    unsigned silent;       /* requests in a row to which nothing came on this connection */
    uint16_t number;       /* of the latest request */
    int64_t busy_ns;       /* when the last byte was on the wire, as far as we know */
    int64_t not_before_ns; /* no request before */
    struct overdue_replies late;
    size_t heard;                       /* bytes that came around the present request */
    size_t used;                        /* of `bytes` */
    size_t taken;                       /* of them: up to the end of the latest reply */
    uint8_t bytes[2 * FRAMING_LARGEST]; /* what came since the last request */
};

/* A request under way. */
struct modbus_line_attempt {
    const struct modbus_request *request;
    uint8_t frame[FRAMING_LARGEST];
    size_t frame_bytes;
    int64_t sent_ns;          /* when its last byte was on the wire; 0: not sent */
    int64_t end_ns;           /* when the reply will be complete, by what has come of it */
    size_t end;               /* see framing_find() */
    enum verdict verdict;     /* of what has come */
    size_t received;          /* bytes, the echo included */
    enum verdict passed_over; /* of frames that did not count; GOOD: there were none */
    bool out_of_step;         /* bytes came that are no frame, perhaps after an earlier reply */
    bool stripped;            /* the echo was removed */
    bool doubtful;            /* it may have been the reply */
    struct pdu_reply *reply;
    struct driver_error *error;
};

struct modbus_line *modbus_line_new(const struct framing *framing, struct transport *transport,
                                    int64_t timeout_ms, const struct driver_turn *turn)
{
    struct modbus_line *line = memory_zeroed(1, sizeof(*line));
    line->framing = framing;
    line->transport = transport;
    line->timeout_ns = timeout_ms * CLOCK_NS_PER_MS;
    line->turn = turn;
    overdue_replies_init(&line->late, framing, line->timeout_ns);
    return line;
}

static void modbus_line_hang_up(struct modbus_line *line, bool in_error)
{
    line->transport->calls->close(line->transport, in_error);
    line->open = false;
    line->used = line->taken = 0;
}

void modbus_line_disconnect(void *instance)
{
    modbus_line_hang_up(instance, false);
}

void modbus_line_free(void *instance)
{
    struct modbus_line *line = instance;
    if (line)
        transport_free(line->transport);
    free(line);
}

int modbus_line_connect(void *instance, struct driver_error *error)
{
    struct modbus_line *line = instance;
    if (line->open)
        return 0;
    int result = line->transport->calls->open(line->transport, error);
    if (result < 0)
        return result;
    line->open = true;
    line->echo = ECHO_UNKNOWN;
    line->silent = 0;
    line->busy_ns = clock_mono_ns(); /* another master may have been talking */
    line->used = line->taken = 0;
    return 0;
}

static void drop_front(struct modbus_line *line, size_t length)
{
    line->used -= length;
    memmove(line->bytes, line->bytes + length, line->used);
}

/*
 * Takes what comes; the oldest bytes go when there are too many. As transport->receive(), but
 * -EOVERFLOW when somebody sends without end.
 */
static ssize_t modbus_line_take_bytes(struct modbus_line *line, int64_t deadline_ns)
{
    if (atomic_load_explicit(line->transport->stop, memory_order_relaxed))
        return -ECANCELED;
    if (line->heard >= FLOOD_BYTES)
        return -EOVERFLOW;
    if (line->used == sizeof(line->bytes))
        drop_front(line, sizeof(line->bytes) - FRAMING_LARGEST);
    ssize_t got = line->transport->calls->receive(line->transport, line->bytes + line->used,
                                                  sizeof(line->bytes) - line->used, deadline_ns);
    if (got > 0) {
        line->used += (size_t)got;
        line->heard += (size_t)got;
        line->busy_ns = clock_mono_ns();
    }
    return got;
}

static enum verdict modbus_line_find(const struct modbus_line *line,
                                     const struct modbus_request *request, size_t *ret_end,
                                     struct pdu_reply *ret_reply)
{
    return framing_find(line->framing, request, line->number, line->bytes, line->used, ret_end,
                        ret_reply);
}

/* ---- before a request ---- */

/*
 * Drops what was not asked for: a unit may have repeated its reply. Returns whether bytes are left
 * of a framing that cannot pass them over: a reply cut short, or no frame at all.
 */
static bool drop_stray(struct modbus_line *line, const struct modbus_request *request)
{
    if (line->framing->found_anywhere) {
        overdue_replies_notice(&line->late, line->bytes, line->used, line->busy_ns);
        return false;
    }
    struct pdu_reply ignored;
    size_t frame;
    while (modbus_line_find(line, request, &frame, &ignored) == VERDICT_WRONG_TRANSACTION)
        drop_front(line, frame);
    return line->used > 0;
}

/* Whether what goes wrong with one request may spoil the next: only a new connection is clean. */
static bool is_stream(const struct modbus_line *line)
{
    return line->framing->numbered && !line->transport->is_port && !line->transport->is_datagrams;
}

/*
 * Waits until the request may be sent: silence on a serial line, the pause after a failure, and
 * until a late reply can no longer be mistaken. On a line that is never silent it goes ahead after
 * one timeout. Returns 0, or a negative errno: -EPROTO when the stream is out of step, -EOVERFLOW
 * when somebody sends without end.
 */
static int wait_for_turn(struct modbus_line *line, const struct modbus_request *request)
{
    int64_t patience_ns = clock_mono_ns() + line->timeout_ns;
    bool stray = drop_stray(line, request);
    for (;;) {
        int64_t late_ns = overdue_replies_until(&line->late, request);
        int64_t start_ns = max_i64(line->busy_ns + line->transport->silence_ns, late_ns);
        ssize_t got = modbus_line_take_bytes(line, max_i64(start_ns, line->not_before_ns));
        if (got < 0)
            return (int)got;
        if (got > 0)
            stray = drop_stray(line, request);
        if (got == 0 || (line->busy_ns > patience_ns && line->busy_ns > late_ns))
            return stray && is_stream(line) ? -EPROTO : 0;
    }
}

/* Somebody sends without end: says so. */
static enum outcome modbus_line_flooded(const struct modbus_line *line,
                                        const struct modbus_request *request,
                                        struct driver_error *error)
{
    driver_explain(error,
                   "unit %u: %zu bytes came and no end of them: a device on this line never stops "
                   "sending; look at what is connected there",
                   request->unit, line->heard);
    return OUTCOME_BAD_REPLY;
}

/*
 * Connects where that is needed and waits for the request's turn. A connection that was closed
 * while idle, is out of step or full of what nobody asked for is made again. Returns OUTCOME_OK
 * when all is ready; else ERROR is filled.
 */
static enum outcome get_ready(struct modbus_line *line, const struct modbus_request *request,
                              struct driver_error *error)
{
    drop_front(line, line->taken);
    line->taken = 0;
    line->heard = 0;
    if (line->open)
        line->number++; /* one that is never sent: every frame answers something else */
    for (bool again = false;; again = true) {
        bool was_open = line->open;
        if (modbus_line_connect(line, error) < 0)
            return OUTCOME_DISCONNECTED;
        int problem = was_open || !is_stream(line) ? wait_for_turn(line, request) : 0;
        if (problem == 0)
            return OUTCOME_OK;
        bool hopeless = again || problem == -ECANCELED || line->transport->is_port;
        if (hopeless && problem == -EOVERFLOW)
            return modbus_line_flooded(line, request, error);
        if (hopeless) {
            transport_explain_loss(line->transport, -problem, error);
            return OUTCOME_DISCONNECTED;
        }
        modbus_line_hang_up(line, true);
        line->heard = 0;
    }
}

/* ---- the reply ---- */

/*
 * Removes our own request from what came. Returns whether the rest may be looked at. The reply to a
 * write of one value repeats the request: until it is known whether this line has an echo, the
 * first of the two counts as the echo, and proves nothing.
 */
static bool strip_echo(struct modbus_line *line, struct modbus_line_attempt *attempt)
{
    if (attempt->stripped || line->echo == ECHO_ABSENT || line->framing->numbered)
        return true;
    size_t length = min_size(line->used, attempt->frame_bytes);
    if (memcmp(line->bytes, attempt->frame, length) != 0)
        return true;
    if (length < attempt->frame_bytes)
        return false;
    drop_front(line, length);
    attempt->stripped = true;
    attempt->doubtful = line->echo == ECHO_UNKNOWN && pdu_reply_repeats_request(attempt->request);
    return true;
}

static bool is_reply(enum verdict verdict)
{
    return verdict == VERDICT_GOOD || verdict == VERDICT_EXCEPTION;
}

/* Judges what has come, and passes over replies to other requests. */
static void judge(struct modbus_line *line, struct modbus_line_attempt *attempt)
{
    for (;;) {
        attempt->verdict = modbus_line_find(line, attempt->request, &attempt->end, attempt->reply);
        if (attempt->verdict != VERDICT_WRONG_TRANSACTION)
            return;
        attempt->passed_over = attempt->verdict;
        drop_front(line, attempt->end);
    }
}

/* A datagram that holds no frame, or half of one, does not spoil the next. */
static bool is_dropped_datagram(struct modbus_line *line, struct modbus_line_attempt *attempt)
{
    bool no_frame =
        attempt->verdict == VERDICT_NOT_MODBUS || attempt->verdict == VERDICT_INCOMPLETE;
    if (!line->transport->is_datagrams || line->framing->found_anywhere || !no_frame)
        return false;
    if (line->used > 0)
        attempt->passed_over = attempt->verdict;
    line->used = 0;
    return true;
}

/* Whether the unit answered, if badly: then it owes no reply. */
static bool has_answered(const struct modbus_line *line, const struct modbus_line_attempt *attempt)
{
    return attempt->verdict == VERDICT_DAMAGED ||
           framing_has_begun(line->framing, attempt->request, line->number, line->bytes,
                             line->used);
}

/*
 * Makes sure that what may still come does no harm, on this connection or, from the wire behind it,
 * on the next.
 */
static void expect_late_reply(struct modbus_line *line, const struct modbus_line_attempt *attempt)
{
    if (line->transport->calls->drop_unsent) /* a request that could not even leave */
        line->transport->calls->drop_unsent(line->transport);
    if (line->framing->found_anywhere) {
        overdue_replies_notice(&line->late, line->bytes, line->used, line->busy_ns);
        if (!has_answered(line, attempt))
            overdue_replies_owe(&line->late, attempt->request, attempt->sent_ns);
    }
    line->not_before_ns = clock_mono_ns() + line->transport->pause_ns;
}

static long long ms_of(int64_t ns)
{
    return ns / CLOCK_NS_PER_MS;
}

/* How long the rest of a reply may take once its first bytes have come. */
static int64_t reply_ns(const struct modbus_line *line, const struct modbus_line_attempt *attempt)
{
    int64_t bytes = (int64_t)framing_reply_bytes(line->framing, attempt->request);
    return bytes * line->transport->char_ns;
}

/* The reply is there. Says so when it came after the timeout. */
static void remark_lateness(const struct modbus_line *line,
                            const struct modbus_line_attempt *attempt)
{
    int64_t took_ns = line->busy_ns - attempt->sent_ns;
    if (took_ns <= line->timeout_ns + reply_ns(line, attempt))
        return;
    driver_explain(
        attempt->error,
        "unit %u: replies come %lld ms after timeout_ms = %lld: raise it to %lld or more",
        attempt->request->unit, ms_of(took_ns - line->timeout_ns), ms_of(line->timeout_ns),
        ms_of(took_ns + took_ns / 4));
}

/* Says why there is no reply. */
static enum outcome modbus_line_give_up(const struct modbus_line *line,
                                        const struct modbus_line_attempt *attempt)
{
    unsigned unit = attempt->request->unit;
    long long timeout_ms = ms_of(line->timeout_ns);
    if (attempt->doubtful) {
        driver_explain(attempt->error,
                       "unit %u: what came is its reply or an echo of the request; whether this "
                       "line has an echo is known once something was read",
                       unit);
        return OUTCOME_BAD_REPLY;
    }
    int64_t worst_ns = overdue_replies_worst(&line->late, attempt->request);
    if (line->used == 0 && attempt->passed_over == VERDICT_GOOD && worst_ns > 0) {
        driver_explain(attempt->error,
                       "unit %u did not answer within %lld ms; an earlier reply came %lld ms after "
                       "timeout_ms = %lld: raise it to %lld or more",
                       unit, timeout_ms, ms_of(worst_ns - line->timeout_ns), timeout_ms,
                       ms_of(worst_ns + worst_ns / 4));
        return OUTCOME_TIMEOUT;
    }
    if (line->used == 0 && attempt->passed_over == VERDICT_GOOD) {
        driver_explain(attempt->error, "unit %u did not answer within %lld ms", unit, timeout_ms);
        return OUTCOME_TIMEOUT;
    }
    driver_explain(attempt->error, "unit %u: %zu bytes came within %lld ms, but no reply: %s", unit,
                   attempt->received, timeout_ms,
                   verdict_text(line->used ? attempt->verdict : attempt->passed_over));
    return OUTCOME_BAD_REPLY;
}

/*
 * Lets the rest of a frame come in, instead of waking up for each of its characters. It will be
 * complete at the earliest such moment reckoned so far: bytes may reach us later than they were on
 * the wire.
 */
static void nap(const struct modbus_line *line, struct modbus_line_attempt *attempt)
{
    int64_t char_ns = line->transport->char_ns;
    if (char_ns == 0 || line->used == 0)
        return;
    int64_t missing = (int64_t)(attempt->end - line->used);
    attempt->end_ns = min_i64(attempt->end_ns, line->busy_ns + missing * char_ns);
    clock_sleep_until(min_i64(attempt->end_ns - char_ns, line->busy_ns + NAP_MAX_NS));
}

/* Until when the reply may begin: for the timeout, and longer while nobody else wants the line. */
static int64_t patient_until(const struct modbus_line *line,
                             const struct modbus_line_attempt *attempt)
{
    int64_t in_time_ns = attempt->sent_ns + line->timeout_ns;
    int64_t late_ns = in_time_ns + min_i64(line->timeout_ns, LATE_MAX_NS);
    int64_t spare_ns = line->turn ? line->turn->spare_until_ns : 0;
    return max_i64(in_time_ns, min_i64(late_ns, spare_ns));
}

/* Until when to wait for more. */
static int64_t deadline(const struct modbus_line *line, const struct modbus_line_attempt *attempt)
{
    int64_t first_ns = patient_until(line, attempt);
    if (line->used == 0)
        return first_ns;
    int64_t last_ns = first_ns + reply_ns(line, attempt);
    if (attempt->verdict == VERDICT_DAMAGED)
        return min_i64(last_ns, line->busy_ns + DAMAGED_PAUSE_NS);
    return last_ns;
}

/*
 * Waits for the reply to the request that has just been sent. What came by the deadline counts,
 * also when this thread was kept from looking until after it; but only one look follows it.
 */
static enum outcome modbus_line_collect(struct modbus_line *line,
                                        struct modbus_line_attempt *attempt)
{
    for (bool is_over = false;;) {
        int64_t deadline_ns = deadline(line, attempt);
        if (is_over)
            return modbus_line_give_up(line, attempt);
        is_over = clock_mono_ns() >= deadline_ns;
        ssize_t got = modbus_line_take_bytes(line, deadline_ns);
        if (got == -EOVERFLOW)
            return modbus_line_flooded(line, attempt->request, attempt->error);
        if (got < 0) {
            transport_explain_loss(line->transport, (int)-got, attempt->error);
            return OUTCOME_DISCONNECTED;
        }
        if (got == 0)
            return modbus_line_give_up(line, attempt);
        attempt->received += (size_t)got;
        if (!strip_echo(line, attempt))
            continue;
        judge(line, attempt);
        if (is_reply(attempt->verdict)) {
            remark_lateness(line, attempt);
            return OUTCOME_OK;
        }
        if (is_dropped_datagram(line, attempt))
            continue;
        if (!line->framing->found_anywhere && attempt->verdict != VERDICT_INCOMPLETE) {
            attempt->out_of_step = attempt->verdict == VERDICT_NOT_MODBUS;
            driver_explain(attempt->error, "unit %u: %s", attempt->request->unit,
                           verdict_text(attempt->verdict));
            return OUTCOME_BAD_REPLY;
        }
        nap(line, attempt);
    }
}

static enum outcome modbus_line_ask(struct modbus_line *line, struct modbus_line_attempt *attempt)
{
    enum outcome ready = get_ready(line, attempt->request, attempt->error);
    if (ready != OUTCOME_OK)
        return ready;
    overdue_replies_forget(&line->late, attempt->request);
    line->used = 0;
    attempt->frame_bytes = line->framing->encode(attempt->request, ++line->number, attempt->frame);
    int problem =
        line->transport->calls->send(line->transport, attempt->frame, attempt->frame_bytes);
    if (problem < 0) {
        transport_explain_loss(line->transport, -problem, attempt->error);
        return OUTCOME_DISCONNECTED;
    }
    attempt->sent_ns = clock_mono_ns() + (int64_t)attempt->frame_bytes * line->transport->char_ns;
    line->busy_ns = attempt->sent_ns;
    return modbus_line_collect(line, attempt);
}

static void settle_success(struct modbus_line *line, const struct modbus_line_attempt *attempt)
{
    line->taken = attempt->end;
    line->silent = 0;
    if (attempt->stripped)
        line->echo = ECHO_PRESENT;
    else if (line->echo == ECHO_UNKNOWN)
        line->echo = ECHO_ABSENT;
    if (line->framing->found_anywhere)
        overdue_replies_notice(&line->late, line->bytes, line->taken, line->busy_ns);
}

/* Leaves the line so that the next request starts clean. */
static void settle_failure(struct modbus_line *line, const struct modbus_line_attempt *attempt,
                           enum outcome outcome)
{
    if (attempt->sent_ns > 0)
        expect_late_reply(line, attempt);
    line->silent = attempt->received == 0 ? line->silent + 1 : 0;
    bool flooded = line->heard >= FLOOD_BYTES;
    bool is_spoilt = (line->silent >= SILENT_MAX || flooded) && !line->transport->is_port;
    if (outcome == OUTCOME_DISCONNECTED || is_stream(line) || is_spoilt)
        modbus_line_hang_up(line, true);
}

enum outcome modbus_line_exchange(void *instance, const struct modbus_request *request,
                                  struct pdu_reply *reply, struct driver_error *error)
{
    struct modbus_line *line = instance;
    for (bool repeated = false;; repeated = true) {
        struct driver_error problem = {""};
        struct modbus_line_attempt attempt = {.request = request,
                                              .end_ns = INT64_MAX,
                                              .verdict = VERDICT_INCOMPLETE,
                                              .passed_over = VERDICT_GOOD,
                                              .reply = reply,
                                              .error = &problem};
        enum outcome outcome = modbus_line_ask(line, &attempt);
        if (outcome == OUTCOME_OK) {
            settle_success(line, &attempt);
            if (problem.text[0])
                *error = problem;
            return outcome;
        }
        settle_failure(line, &attempt, outcome);
        if (attempt.out_of_step && request->may_repeat && !repeated)
            continue;
        *error = problem;
        return outcome;
    }
}

/* ---- the functions of the driver ---- */

int modbus_line_prepare(void *instance, const struct config_device *device, const uint16_t *tags,
                        size_t n_tags, void **ret_poll)
{
    (void)instance;
    *ret_poll = modbus_poll_new(device, tags, n_tags);
    return 0;
}

void modbus_line_poll_free(void *poll)
{
    modbus_poll_free(poll);
}

enum outcome modbus_line_read(void *instance, void *poll, struct batch *batch,
                              struct driver_error *error)
{
    const struct modbus_line *line = instance;
    struct modbus_poll_wish wish = {clock_mono_ns(), line->turn && line->turn->must_ask};
    return modbus_poll_read(poll, modbus_line_exchange, instance, &wish, batch, error);
}

enum outcome modbus_line_request(void *instance, void *body, struct driver_error *error)
{
    return modbus_request_once(modbus_line_exchange, instance, body, error);
}

/* Wire time of a request that is answered at once, with the silence before each frame. */
static int64_t exchange_ns(const struct modbus_line *line, const struct modbus_request *request)
{
    uint8_t frame[FRAMING_LARGEST];
    size_t bytes =
        line->framing->encode(request, 0, frame) + framing_reply_bytes(line->framing, request);
    return (int64_t)bytes * line->transport->char_ns + 2 * line->transport->silence_ns;
}

int64_t modbus_line_cost_us(void *instance, const void *poll)
{
    const struct modbus_line *line = instance;
    struct modbus_request request;
    int64_t total_ns = 0;
    for (size_t i = 0; modbus_poll_request(poll, i, &request); i++)
        total_ns += exchange_ns(line, &request);
    return total_ns / CLOCK_NS_PER_US;
}

struct driver_link modbus_line_link(const void *instance)
{
    const struct modbus_line *line = instance;
    return (struct driver_link){.timeout_us = line->timeout_ns / CLOCK_NS_PER_US,
                                .outlives_timeout = !is_stream(line),
                                .redials = !line->transport->is_port};
}
