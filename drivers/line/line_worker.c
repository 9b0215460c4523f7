/*
 * The worker thread of a line. schedule.c decides whom to ask, the driver asks; this file carries
 * out, keeps the connection, counts, and delivers.
 *
 * Decisions that a user can notice:
 * - A connection that cannot be made, or a serial device that is gone, puts the line down
 *   (LINE_EVENT_DOWN): dialled again after 1 s to 5 s, at a random moment. LINE_EVENT_UP reports
 *   the first connection too.
 * - A connection that breaks while a unit is asked is dialled again at once and the question is
 *   repeated once: servers close idle connections. If it breaks again, that counts against the
 *   unit, since other units of the same gateway may be well.
 * - A reply that comes after the timeout is taken as long as no other poll wants the line, and is
 *   counted and reported as late.
 * - What is not asked gets a batch of QUALITY_DISCONNECTED or QUALITY_TRIPPED samples, at most
 *   one per second. A probe that fails adds nothing to that.
 */
#include "drivers/line/line_worker.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/min_max.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#define IDLE_MAX_NS (2 * CLOCK_NS_PER_S) /* the heartbeat never pauses longer in a wait */

static void count(atomic_ullong *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* After everything that may block for a whole timeout. */
static void beat(struct line *line)
{
    count(&line->heartbeat, 1);
}

/* xorshift64: chance for jitter, not for secrets. */
static uint32_t draw(struct line *line)
{
    line->chance ^= line->chance << 13;
    line->chance ^= line->chance >> 7;
    line->chance ^= line->chance << 17;
    return (uint32_t)(line->chance >> 32);
}

static const struct config_device *device_of(const struct line *line, size_t group)
{
    return &line->config->devices[line->devices[line->schedule.groups[group].unit]];
}

static const char *name_of(const struct line *line)
{
    return line->config->buses[line->bus].name;
}

static void set_error(struct line *line, char *place, const struct driver_error *error)
{
    pthread_mutex_lock(&line->lock);
    memcpy(place, error->text, sizeof(error->text));
    place[sizeof(error->text) - 1] = 0;
    pthread_mutex_unlock(&line->lock);
}

/* ---- delivery ---- */

static void deliver(struct line *line, const union slot *slots, size_t n_slots)
{
    if (!line->callbacks.deliver(line->callbacks.context, slots, n_slots))
        count(&line->batches_refused, 1);
}

static void deliver_batch(struct line *line)
{
    batch_end(&line->batch, clock_wall_ms());
    deliver(line, line->batch.slots, line->batch.used);
}

/* An event has its own slot: the batch may hold samples that are not delivered yet. */
static void deliver_event(struct line *line, enum line_event event, size_t owner)
{
    union slot slot = {.header = {.timestamp_ms = clock_wall_ms(),
                                  .owner = (uint16_t)owner,
                                  .kind = BATCH_EVENT,
                                  .event = (uint8_t)event}};
    deliver(line, &slot, 1);
}

static void deliver_notice(struct line *line, size_t index)
{
    const struct group *group = &line->groups[index];
    enum quality quality = line->connected ? QUALITY_TRIPPED : QUALITY_DISCONNECTED;
    batch_begin(&line->batch, line->numbers[line->schedule.groups[index].unit]);
    for (size_t i = 0; i < group->n_tags; i++)
        batch_put_bad(&line->batch, group->tags[i], quality, 0);
    deliver_batch(line);
}

/* ---- the connection ---- */

static void line_worker_hang_up(struct line *line)
{
    line->driver->disconnect(line->instance);
    line->connected = false;
    line->dial_at_ns = 0;
}

static void go_down(struct line *line, const struct driver_error *error)
{
    line_worker_hang_up(line);
    line->failed_dials++;
    line->dial_at_ns = clock_mono_ns() + schedule_redial_ns(line->failed_dials, draw(line));
    set_error(line, line->error, error);
    if (atomic_load(&line->state) == LINE_DOWN)
        return;
    atomic_store(&line->state, LINE_DOWN);
    log_warning("line", "line=%s is down: %s; trying again every 1 s to 5 s", name_of(line),
                error->text);
    deliver_event(line, LINE_EVENT_DOWN, line->number);
}

static void dial(struct line *line)
{
    struct driver_error error = {""};
    int result = line->driver->connect(line->instance, &error);
    beat(line);
    if (result < 0) {
        if (!error.text[0])
            driver_explain(&error, "cannot connect: %s", strerror(-result));
        if (!atomic_load(&line->stop))
            go_down(line, &error);
        return;
    }
    line->connected = true;
    if (atomic_load(&line->state) == LINE_UP)
        return; /* dialled again after a unit's silence */
    atomic_store(&line->state, LINE_UP);
    schedule_resume(&line->schedule, clock_mono_ns());
    log_info("line", "line=%s is up", name_of(line));
    deliver_event(line, LINE_EVENT_UP, line->number);
}

/* What an exchange, however it was asked for, means for the connection. */
static void settle_connection(struct line *line, enum outcome outcome,
                              const struct driver_error *error)
{
    switch (outcome) {
    case OUTCOME_OK:
    case OUTCOME_BAD_REPLY:
    case OUTCOME_UNSUPPORTED:
        line->failed_dials = 0;
        break;
    case OUTCOME_TIMEOUT:
        line->failed_dials = 0;
        if (!line->link.outlives_timeout)
            line_worker_hang_up(line);
        break;
    case OUTCOME_DISCONNECTED:
        if (line->link.redials)
            line_worker_hang_up(line);
        else
            go_down(line, error);
        break;
    }
}

/* Whether a broken connection is worth one more try: see the decisions above. */
static bool reconnect_after(struct line *line, enum outcome outcome)
{
    if (outcome != OUTCOME_DISCONNECTED || !line->link.redials || atomic_load(&line->stop))
        return false;
    line_worker_hang_up(line);
    dial(line);
    return line->connected;
}

/* ---- polling ---- */

static enum outcome line_worker_read_group(struct line *line, size_t index,
                                           struct driver_error *error)
{
    error->text[0] = 0;
    batch_begin(&line->batch, line->numbers[line->schedule.groups[index].unit]);
    enum outcome outcome =
        line->driver->read(line->instance, line->groups[index].poll, &line->batch, error);
    beat(line);
    return outcome;
}

static void publish_breaker(struct line *line, size_t index)
{
    const struct breaker *breaker = &line->schedule.units[index].breaker;
    atomic_store(&line->units[index].state, breaker->state);
    atomic_store_explicit(&line->units[index].failures_in_row, breaker->failures,
                          memory_order_relaxed);
}

/* A good poll, but a reply came after the timeout as REMARK says; or none did. */
static void note_lateness(struct line *line, size_t index, const struct driver_error *remark)
{
    struct unit *unit = &line->units[line->schedule.groups[index].unit];
    bool is_late = remark->text[0] != 0;
    atomic_store(&unit->is_late, is_late);
    if (!is_late)
        return;
    set_error(line, unit->error, remark);
    if (atomic_fetch_add_explicit(&unit->polls_late, 1, memory_order_relaxed) == 0)
        log_warning("line", "line=%s device=%s: %s; its late replies are counted in the status",
                    name_of(line), device_of(line, index)->name, remark->text);
}

static void note_success(struct line *line, size_t index, int64_t started_ns, int64_t ended_ns,
                         const struct driver_error *remark)
{
    size_t owner = line->schedule.groups[index].unit;
    struct unit *unit = &line->units[owner];
    bool recovered = schedule_answered(&line->schedule, index, ended_ns);
    count(&line->polls_ok, 1);
    count(&unit->polls_ok, 1);
    int64_t took_us = (ended_ns - started_ns) / CLOCK_NS_PER_US;
    atomic_store_explicit(&unit->last_us, (unsigned)took_us, memory_order_relaxed);
    publish_breaker(line, owner);
    note_lateness(line, index, remark);
    deliver_batch(line);
    if (!recovered)
        return;
    log_info("line", "line=%s device=%s answers again; polling it as before", name_of(line),
             device_of(line, index)->name);
    deliver_event(line, LINE_EVENT_UNIT_RECOVERED, line->numbers[owner]);
}

static void line_worker_note_failure(struct line *line, size_t index, enum outcome outcome,
                                     int64_t started_ns, int64_t ended_ns,
                                     const struct driver_error *error)
{
    size_t owner = line->schedule.groups[index].unit;
    struct unit *unit = &line->units[owner];
    bool probe = atomic_load(&unit->state) == UNIT_TRIPPED;
    enum breaker_failure kind = outcome == OUTCOME_BAD_REPLY ? BREAKER_BAD_REPLY : BREAKER_SILENCE;
    bool tripped = schedule_failed(&line->schedule, index, kind, started_ns, ended_ns, draw(line));
    count(&line->polls_failed, 1);
    count(&unit->polls_failed, 1);
    set_error(line, unit->error, error);
    publish_breaker(line, owner);
    if (!probe)
        deliver_batch(line);
    if (!tripped)
        return;
    log_warning("line",
                "line=%s device=%s failed %u times in a row: %s; probing it every 5 s to 5 min",
                name_of(line), device_of(line, index)->name,
                line->schedule.units[owner].breaker.failures, error->text);
    deliver_event(line, LINE_EVENT_UNIT_TRIPPED, line->numbers[owner]);
}

/* The line failed, not the unit: its breaker stays as it is. */
static void note_loss(struct line *line, size_t index, const struct driver_error *error)
{
    struct unit *unit = &line->units[line->schedule.groups[index].unit];
    schedule_lost(&line->schedule, index);
    count(&line->polls_failed, 1);
    count(&unit->polls_failed, 1);
    set_error(line, unit->error, error);
    deliver_batch(line);
}

static void poll_group(struct line *line, size_t index)
{
    struct driver_error error;
    int64_t started = clock_mono_ns();
    count(&line->polls_skipped, schedule_take(&line->schedule, index, started));
    line->turn = (struct driver_turn){schedule_spare_until(&line->schedule, index),
                                      schedule_is_suspect(&line->schedule, index)};
    enum outcome outcome = line_worker_read_group(line, index, &error);
    if (reconnect_after(line, outcome)) {
        started = clock_mono_ns();
        outcome = line_worker_read_group(line, index, &error);
    }
    int64_t ended = clock_mono_ns();
    if (outcome == OUTCOME_OK)
        note_success(line, index, started, ended, &error);
    else if (atomic_load(&line->stop))
        return; /* the driver gave up because we asked it to */
    else if (outcome == OUTCOME_DISCONNECTED && (!line->link.redials || !line->connected))
        note_loss(line, index, &error);
    else
        line_worker_note_failure(line, index, outcome, started, ended, &error);
    if (line->connected)
        settle_connection(line, outcome, &error);
}

/* ---- the mailbox ---- */

static enum outcome line_worker_ask(struct line *line, const struct driver_request *request,
                                    struct driver_error *error)
{
    if (line->driver->service != request->service) {
        driver_explain(error, "the driver %s does not offer %s", line->driver->config.name,
                       request->service->name);
        return OUTCOME_UNSUPPORTED;
    }
    if (!line->connected)
        dial(line);
    if (!line->connected) {
        pthread_mutex_lock(&line->lock);
        memcpy(error->text, line->error, sizeof(error->text));
        pthread_mutex_unlock(&line->lock);
        return OUTCOME_DISCONNECTED;
    }
    line->turn = (struct driver_turn){.spare_until_ns = 0};
    enum outcome outcome = line->driver->request(line->instance, request->body, error);
    beat(line);
    if (request->may_repeat && reconnect_after(line, outcome)) {
        error->text[0] = 0;
        outcome = line->driver->request(line->instance, request->body, error);
    }
    if (line->connected)
        settle_connection(line, outcome, error);
    return outcome;
}

/* The mailbox stays full until the answer is there: one request at a time. */
static bool read_mail(struct line *line, struct mailbox *ret_mail)
{
    if (!atomic_load_explicit(&line->mail, memory_order_acquire))
        return false;
    pthread_mutex_lock(&line->lock);
    *ret_mail = line->mailbox;
    pthread_mutex_unlock(&line->lock);
    return true;
}

static void answer_mail(struct line *line, const struct mailbox *mail, enum outcome outcome,
                        const struct driver_error *error)
{
    pthread_mutex_lock(&line->lock);
    line->mailbox.full = false;
    atomic_store(&line->mail, false);
    pthread_mutex_unlock(&line->lock);
    mail->done(mail->context, outcome, error);
}

static void serve_request(struct line *line)
{
    struct mailbox mail;
    if (!read_mail(line, &mail))
        return;
    struct driver_error error = {""};
    enum outcome outcome = line_worker_ask(line, &mail.request, &error);
    answer_mail(line, &mail, outcome, &error);
}

static void refuse_request(struct line *line)
{
    struct mailbox mail;
    const struct driver_error error = {"the line is being stopped"};
    if (read_mail(line, &mail))
        answer_mail(line, &mail, OUTCOME_DISCONNECTED, &error);
}

/* ---- the worker ---- */

static void wait_until(struct line *line, int64_t time_ns)
{
    struct timespec time = {.tv_sec = time_ns / CLOCK_NS_PER_S,
                            .tv_nsec = (long)(time_ns % CLOCK_NS_PER_S)};
    int result = 0;
    pthread_mutex_lock(&line->lock);
    while (result == 0 && !atomic_load(&line->stop) && !line->mailbox.full)
        result = pthread_cond_clockwait(&line->wake, &line->lock, CLOCK_MONOTONIC, &time);
    pthread_mutex_unlock(&line->lock);
}

static void take_turn(struct line *line)
{
    int64_t now = clock_mono_ns();
    bool wanted = line->schedule.n_groups > 0; /* a line without units is dialled for requests */
    if (wanted && !line->connected && now >= line->dial_at_ns) {
        dial(line);
        return;
    }
    struct turn turn = schedule_next(&line->schedule, line->connected, now);
    switch (turn.kind) {
    case TURN_POLL:
        poll_group(line, turn.group);
        break;
    case TURN_NOTICE:
        deliver_notice(line, turn.group);
        schedule_put_off(&line->schedule, turn.group, now);
        break;
    case TURN_WAIT:
        if (wanted && !line->connected && line->dial_at_ns < turn.at_ns)
            turn.at_ns = line->dial_at_ns;
        wait_until(line, min_i64(turn.at_ns, now + IDLE_MAX_NS));
        break;
    }
}

void *line_work(void *argument)
{
    struct line *line = argument;
    char name[16];
    (void)snprintf(name, sizeof(name), "line-%s", name_of(line));
    (void)pthread_setname_np(pthread_self(), name);
    (void)prctl(PR_SET_TIMERSLACK, 1UL); /* nanoseconds; the default adds 50 us to each wait */
    schedule_start(&line->schedule, clock_mono_ns(), line->phase, line->total);
    while (!atomic_load(&line->stop)) {
        beat(line);
        serve_request(line);
        take_turn(line);
    }
    line->driver->disconnect(line->instance);
    refuse_request(line);
    return NULL;
}
