/*
 * One request and its reply on a half-duplex serial line.
 *
 * libmodbus opens the port and sends; receiving is done here. Its receive believes the first bytes
 * that come, so that noise, an echo or a foreign frame before the reply would spoil it; it starts
 * its byte timeout anew with every byte; and it waits with select(), which ends the process when a
 * descriptor is numbered 1024 or more.
 *
 * The end of a reply is known from its length and checksum, never from a pause: adapters deliver
 * in pieces.
 */
#include "drivers/modbus/rtu_wire.h"

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "drivers/modbus/overdue_replies.h"
#include "drivers/wait.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* A reply that came with a wrong checksum is given up when nothing follows for so long. */
#define DAMAGED_PAUSE_NS (30 * CLOCK_NS_PER_MS)
#define NAP_MAX_NS (50 * CLOCK_NS_PER_MS)

/* Whether the adapter lets us hear what we send. */
enum echo { ECHO_UNKNOWN, ECHO_ABSENT, ECHO_PRESENT };

struct rtu_wire {
    struct rtu_timing timing;
    const atomic_bool *stop;
    modbus_t *modbus;
    int file; /* of modbus */
    enum echo echo;
    int64_t busy_ns;       /* when the last byte was on the wire, as far as we know */
    int64_t not_before_ns; /* no request before */
    struct overdue_replies late;
    size_t used, taken;               /* of `bytes`; `taken` of them are done with */
    uint8_t bytes[2 * RTU_FRAME_MAX]; /* what came since the last request */
};

struct rtu_timing rtu_timing_make(int64_t baud, int64_t bits, int64_t timeout_ms,
                                  int64_t turnaround_ms)
{
    struct rtu_timing timing = {.char_ns = (bits * CLOCK_NS_PER_S + baud - 1) / baud,
                                .timeout_ns = timeout_ms * CLOCK_NS_PER_MS,
                                .turnaround_ns = turnaround_ms * CLOCK_NS_PER_MS};
    timing.silence_ns = (7 * timing.char_ns + 1) / 2;
    if (baud > 19200) /* 2.5.1.1: a fixed value above this rate */
        timing.silence_ns = 1750 * CLOCK_NS_PER_US;
    return timing;
}

int64_t rtu_exchange_ns(const struct rtu_timing *timing, const struct driver_request *request)
{
    int64_t characters = RTU_REQUEST_BYTES + (int64_t)rtu_reply_bytes(request);
    return characters * timing->char_ns + 2 * timing->silence_ns;
}

struct rtu_wire *rtu_wire_new(const struct rtu_timing *timing, const atomic_bool *stop)
{
    struct rtu_wire *wire = memory_zeroed(1, sizeof(*wire));
    wire->timing = *timing;
    wire->stop = stop;
    wire->file = -1;
    overdue_replies_init(&wire->late, timing->timeout_ns);
    return wire;
}

struct rtu_wire *rtu_wire_free(struct rtu_wire *wire)
{
    free(wire);
    return NULL;
}

void rtu_wire_attach(struct rtu_wire *wire, modbus_t *modbus)
{
    wire->modbus = modbus;
    wire->file = modbus_get_socket(modbus);
    wire->echo = ECHO_UNKNOWN;
    wire->busy_ns = clock_mono_ns(); /* somebody may have been talking */
    wire->used = wire->taken = 0;
    (void)tcflush(wire->file, TCIOFLUSH);
}

static enum outcome lost(struct driver_error *error, int problem)
{
    if (problem == ECANCELED)
        driver_explain(error, "the line is being stopped");
    else
        driver_explain(error, "the serial device is gone: %s; is the adapter plugged in?",
                       strerror(problem));
    return OUTCOME_DISCONNECTED;
}

static void drop_front(struct rtu_wire *wire, size_t length)
{
    wire->used -= length;
    memmove(wire->bytes, wire->bytes + length, wire->used);
}

/* Takes what has come; the oldest bytes go when there are too many. Returns 0 or -errno. */
static int take_bytes(struct rtu_wire *wire)
{
    if (wire->used == sizeof(wire->bytes))
        drop_front(wire, sizeof(wire->bytes) - RTU_FRAME_MAX);
    ssize_t got = read(wire->file, wire->bytes + wire->used, sizeof(wire->bytes) - wire->used);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (got == 0) /* readable, and nothing to read: hung up */
        return -EIO;
    wire->used += (size_t)got;
    wire->busy_ns = clock_mono_ns();
    return 0;
}

/*
 * Waits until the request may be sent: t3.5 of silence, the pause after a failure, and until a
 * late reply can no longer be mistaken. On a line that is never silent it goes ahead after one
 * timeout. Returns 0 or a negative errno.
 */
static int wait_for_silence(struct rtu_wire *wire, const struct driver_request *request)
{
    int64_t patience_ns = clock_mono_ns() + wire->timing.timeout_ns;
    for (;;) {
        int64_t start_ns = wire->busy_ns + wire->timing.silence_ns;
        int64_t late_ns = overdue_replies_until(&wire->late, request);
        if (start_ns < wire->not_before_ns)
            start_ns = wire->not_before_ns;
        if (start_ns < late_ns)
            start_ns = late_ns;
        int ready = wait_for(wire->file, POLLIN, start_ns, wire->stop);
        if (ready <= 0)
            return ready;
        int result = take_bytes(wire);
        if (result < 0)
            return result;
        overdue_replies_notice(&wire->late, wire->bytes, wire->used, wire->busy_ns);
        if (wire->busy_ns > patience_ns && wire->busy_ns > late_ns)
            return 0;
    }
}

/* Removes our own request from what came. Returns whether the rest may be looked at. */
static bool strip_echo(struct rtu_wire *wire, const uint8_t *frame, bool *stripped)
{
    if (*stripped || wire->echo == ECHO_ABSENT)
        return true;
    size_t length = wire->used < RTU_REQUEST_BYTES ? wire->used : RTU_REQUEST_BYTES;
    if (memcmp(wire->bytes, frame, length) != 0)
        return true;
    if (length < RTU_REQUEST_BYTES)
        return false;
    drop_front(wire, length);
    wire->echo = ECHO_PRESENT;
    *stripped = true;
    return true;
}

/* Whether the unit answered, if badly: then it owes no reply. */
static bool has_answered(const struct rtu_wire *wire, const struct driver_request *request,
                         enum verdict verdict)
{
    struct pdu_reply ignored;
    bool begun = wire->used > 2 &&
                 rtu_check(request, wire->bytes, wire->used, &ignored) == VERDICT_INCOMPLETE;
    return begun || verdict == VERDICT_DAMAGED;
}

/* The time is up. Says why, and makes sure that what may still come does no harm. */
static enum outcome give_up(struct rtu_wire *wire, const struct driver_request *request,
                            enum verdict verdict, int64_t sent_ns, struct driver_error *error)
{
    (void)tcflush(wire->file, TCOFLUSH); /* a request that could not even leave */
    overdue_replies_notice(&wire->late, wire->bytes, wire->used, wire->busy_ns);
    if (!has_answered(wire, request, verdict))
        overdue_replies_owe(&wire->late, request, sent_ns);
    wire->not_before_ns = clock_mono_ns() + wire->timing.turnaround_ns;
    if (wire->used == 0) {
        driver_explain(error, "unit %u did not answer within %lld ms", request->unit,
                       (long long)(wire->timing.timeout_ns / CLOCK_NS_PER_MS));
        return OUTCOME_TIMEOUT;
    }
    driver_explain(error, "unit %u: %zu bytes came, but no reply: %s", request->unit, wire->used,
                   verdict_text(verdict));
    return OUTCOME_BAD_REPLY;
}

/*
 * Lets the rest of a frame come in, instead of waking up for each of its characters. *END_NS is
 * when it will be complete at the latest, going by the earliest such moment reckoned so far: bytes
 * may reach us later than they were on the wire.
 */
static void nap(const struct rtu_wire *wire, const struct driver_request *request, int64_t *end_ns)
{
    if (wire->used == 0)
        return;
    int64_t missing = (int64_t)rtu_missing(request, wire->bytes, wire->used);
    int64_t reckoned_ns = wire->busy_ns + missing * wire->timing.char_ns;
    if (reckoned_ns < *end_ns)
        *end_ns = reckoned_ns;
    int64_t until_ns = *end_ns - wire->timing.char_ns;
    int64_t most_ns = wire->busy_ns + NAP_MAX_NS;
    clock_sleep_until(until_ns < most_ns ? until_ns : most_ns);
}

static enum outcome collect(struct rtu_wire *wire, const struct driver_request *request,
                            const uint8_t *frame, int64_t sent_ns, struct pdu_reply *reply,
                            struct driver_error *error)
{
    int64_t first_ns = sent_ns + wire->timing.timeout_ns;
    int64_t last_ns = first_ns + (int64_t)rtu_reply_bytes(request) * wire->timing.char_ns;
    enum verdict verdict = VERDICT_INCOMPLETE;
    bool stripped = false;
    int64_t end_ns = INT64_MAX;
    for (;;) {
        int64_t deadline_ns = wire->used ? last_ns : first_ns;
        int64_t pause_ns = wire->busy_ns + DAMAGED_PAUSE_NS;
        if (verdict == VERDICT_DAMAGED && pause_ns < deadline_ns)
            deadline_ns = pause_ns;
        int ready = wait_for(wire->file, POLLIN, deadline_ns, wire->stop);
        if (ready == 0)
            return give_up(wire, request, verdict, sent_ns, error);
        int result = ready < 0 ? ready : take_bytes(wire);
        if (result < 0)
            return lost(error, -result);
        if (!strip_echo(wire, frame, &stripped))
            continue;
        verdict = rtu_find(request, wire->bytes, wire->used, &wire->taken, reply);
        if (verdict == VERDICT_GOOD || verdict == VERDICT_EXCEPTION)
            break;
        nap(wire, request, &end_ns);
    }
    if (wire->echo == ECHO_UNKNOWN)
        wire->echo = ECHO_ABSENT;
    overdue_replies_notice(&wire->late, wire->bytes, wire->taken, wire->busy_ns);
    return OUTCOME_OK;
}

enum outcome rtu_wire_exchange(void *line, const struct driver_request *request,
                               struct pdu_reply *reply, struct driver_error *error)
{
    struct rtu_wire *wire = line;
    uint8_t frame[RTU_REQUEST_BYTES];
    rtu_encode(request, frame);
    drop_front(wire, wire->taken);
    wire->taken = 0;
    int result = wait_for_silence(wire, request);
    if (result < 0)
        return lost(error, -result);
    overdue_replies_forget(&wire->late, request);
    wire->used = 0;
    /* it wants the frame without the checksum, and adds that */
    if (modbus_send_raw_request(wire->modbus, frame, RTU_REQUEST_BYTES - 2) < 0)
        return lost(error, errno);
    int64_t sent_ns = clock_mono_ns() + RTU_REQUEST_BYTES * wire->timing.char_ns;
    wire->busy_ns = sent_ns;
    return collect(wire, request, frame, sent_ns, reply, error);
}
