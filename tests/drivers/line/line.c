/*
 * A line with a real worker thread and a driver that does what each case tells it. Cases wait for
 * what they expect to happen, with a deadline; none asserts how long something took.
 */
#include "drivers/line/line.h"

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "drivers/line/breaker.h"
#include "tests/support/test.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_UNITS 16
#define MAX_LOG 4096
#define DEADLINE_S 20

/* Everything that driver, worker and case share; under the lock. */
struct rig {
    pthread_mutex_t lock;
    pthread_cond_t news;

    /* what the driver does */
    int connect_result;
    enum outcome outcome[MAX_UNITS]; /* by device */
    bool breaks_once;                /* the next read finds the connection closed */
    int64_t read_takes_ns;
    bool read_hangs; /* until told to stop */
    bool late;       /* good replies come after the timeout */
    bool spare;      /* there was time to spare for that */
    bool must_ask;   /* as the last poll was told */
    enum outcome request_outcome;
    bool request_hangs; /* until released */
    int prepare_result;
    bool full; /* deliver() has no room */

    /* what happened */
    unsigned connects, disconnects, reads, requests, instances, polls;
    bool is_connected, read_without_connection, signals_open, malformed;
    uint16_t order[MAX_LOG]; /* devices in the order they were read */
    size_t n_order;
    unsigned events[8];            /* by enum line_event */
    uint16_t event_owner[8];       /* of the last one */
    unsigned values[MAX_UNITS];    /* good samples */
    unsigned bad[MAX_UNITS][16];   /* by quality */
    uint64_t tags_seen[MAX_UNITS]; /* bit per tag that came in the last batch */
    size_t text_length;            /* of the last text */
    unsigned done;                 /* requests answered */
    enum outcome done_outcome;
    char done_error[160];
    pthread_t done_thread, read_thread;

    struct config config;
    struct config_bus bus;
    struct config_device devices[MAX_UNITS];
    struct config_tag tags[MAX_UNITS][4];
    struct line *line;
};

/* ---- the driver ---- */

struct fake_bus {
    int64_t timeout_ms;
    struct rig *rig;
};

struct fake_line {
    struct rig *rig;
    const atomic_bool *stop;
    const struct driver_turn *turn;
};

struct fake_poll {
    const struct config_device *device;
    uint16_t index;
    const uint16_t *tags;
    size_t n_tags;
};

static int fake_create(const struct driver_host *host, void **ret_line)
{
    const struct fake_bus *bus = host->bus->options;
    struct fake_line *line = memory_zeroed(1, sizeof(*line));
    *line = (struct fake_line){bus->rig, host->stop, host->turn};
    line->rig->instances++;
    *ret_line = line;
    return 0;
}

static void fake_free(void *instance)
{
    struct fake_line *line = instance;
    if (line)
        line->rig->instances--;
    free(line);
}

static int fake_prepare(void *instance, const struct config_device *device, const uint16_t *tags,
                        size_t n_tags, void **ret_poll)
{
    struct rig *rig = ((struct fake_line *)instance)->rig;
    if (rig->prepare_result < 0 && rig->polls == 1)
        return rig->prepare_result;
    struct fake_poll *poll = memory_zeroed(1, sizeof(*poll));
    *poll = (struct fake_poll){device, (uint16_t)(device - rig->devices), tags, n_tags};
    rig->polls++;
    *ret_poll = poll;
    return 0;
}

static void fake_poll_free(void *poll)
{
    free(poll);
}

static int fake_connect(void *instance, struct driver_error *error)
{
    struct rig *rig = ((struct fake_line *)instance)->rig;
    pthread_mutex_lock(&rig->lock);
    int result = rig->connect_result;
    rig->connects++;
    rig->is_connected = result == 0;
    if (result < 0)
        (void)snprintf(error->text, sizeof(error->text), "nobody at home");
    pthread_cond_broadcast(&rig->news);
    pthread_mutex_unlock(&rig->lock);
    return result;
}

static void fake_disconnect(void *instance)
{
    struct rig *rig = ((struct fake_line *)instance)->rig;
    pthread_mutex_lock(&rig->lock);
    rig->disconnects += rig->is_connected;
    rig->is_connected = false;
    pthread_mutex_unlock(&rig->lock);
}

static enum outcome next_outcome(struct rig *rig, uint16_t device)
{
    if (!rig->breaks_once)
        return rig->outcome[device];
    rig->breaks_once = false;
    return OUTCOME_DISCONNECTED;
}

static const enum quality quality_of[] = {
    [OUTCOME_OK] = QUALITY_GOOD,
    [OUTCOME_TIMEOUT] = QUALITY_TIMEOUT,
    [OUTCOME_BAD_REPLY] = QUALITY_BAD_REPLY,
    [OUTCOME_DISCONNECTED] = QUALITY_DISCONNECTED,
    [OUTCOME_UNSUPPORTED] = QUALITY_BAD_REPLY,
};

static void fill(const struct fake_poll *poll, enum outcome outcome, struct batch *batch)
{
    static const char text[SAMPLE_TEXT_MAX + 1] = {[0 ... SAMPLE_TEXT_MAX - 1] = 'x'};
    for (size_t i = 0; i < poll->n_tags; i++) {
        uint16_t tag = poll->tags[i];
        if (outcome != OUTCOME_OK)
            batch_put_bad(batch, tag, quality_of[outcome], 0);
        else if (poll->device->tags[tag].type == VALUE_STRING)
            batch_put_text(batch, tag, text, SAMPLE_TEXT_MAX);
        else
            batch_put_i64(batch, tag, 42);
    }
}

static bool signals_are_open(void)
{
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    return !sigismember(&mask, SIGTERM) || !sigismember(&mask, SIGUSR1);
}

static enum outcome fake_read(void *instance, void *plan, struct batch *batch,
                              struct driver_error *error)
{
    struct fake_line *line = instance;
    struct rig *rig = line->rig;
    const struct fake_poll *poll = plan;
    pthread_mutex_lock(&rig->lock);
    enum outcome outcome = next_outcome(rig, poll->index);
    bool hangs = rig->read_hangs, late = rig->late;
    rig->spare |= line->turn->spare_until_ns > clock_mono_ns();
    rig->must_ask = line->turn->must_ask;
    int64_t takes = rig->read_takes_ns;
    rig->reads++;
    rig->read_thread = pthread_self();
    rig->read_without_connection |= !rig->is_connected;
    rig->signals_open |= signals_are_open();
    if (rig->n_order < MAX_LOG)
        rig->order[rig->n_order++] = poll->index;
    pthread_cond_broadcast(&rig->news);
    pthread_mutex_unlock(&rig->lock);
    clock_sleep_until(clock_mono_ns() + takes);
    while (hangs && !atomic_load(line->stop))
        clock_sleep_until(clock_mono_ns() + CLOCK_NS_PER_MS);
    fill(poll, outcome, batch);
    if (outcome != OUTCOME_OK)
        (void)snprintf(error->text, sizeof(error->text), "device %u is moody", poll->index);
    else if (late)
        (void)snprintf(error->text, sizeof(error->text), "7 ms late");
    return outcome;
}

/* What a request asks, and its reply. */
struct fake_body {
    int address, value;
};

static const struct driver_service fake_service = {.name = "fake requests"};

static enum outcome fake_request(void *instance, void *body, struct driver_error *error)
{
    struct fake_body *asked = body;
    struct rig *rig = ((struct fake_line *)instance)->rig;
    pthread_mutex_lock(&rig->lock);
    rig->requests++;
    rig->read_without_connection |= !rig->is_connected;
    pthread_cond_broadcast(&rig->news);
    while (rig->request_hangs)
        pthread_cond_wait(&rig->news, &rig->lock);
    enum outcome outcome = rig->breaks_once ? OUTCOME_DISCONNECTED : rig->request_outcome;
    rig->breaks_once = false;
    pthread_mutex_unlock(&rig->lock);
    asked->value = asked->address;
    if (outcome != OUTCOME_OK)
        (void)snprintf(error->text, sizeof(error->text), "no answer");
    return outcome;
}

/* 10 ms for each tag. */
static int64_t fake_cost(void *instance, const void *plan)
{
    (void)instance;
    return (int64_t)((const struct fake_poll *)plan)->n_tags * 10000;
}

static int64_t timeout_of(const void *instance)
{
    const struct fake_bus *bus = ((const struct fake_line *)instance)->rig->bus.options;
    return bus->timeout_ms * 1000;
}

static struct driver_link connection_link(const void *instance)
{
    return (struct driver_link){timeout_of(instance), .outlives_timeout = false, .redials = true};
}

static struct driver_link port_link(const void *instance)
{
    return (struct driver_link){timeout_of(instance), .outlives_timeout = true, .redials = false};
}

/* A serial line at the far end of a connection. */
static struct driver_link far_link(const void *instance)
{
    return (struct driver_link){timeout_of(instance), .outlives_timeout = true, .redials = true};
}

#define FAKE_DRIVER(kind, ask, asks)                                                               \
    {                                                                                              \
        .config = {.name = "fake"}, .create = fake_create, .free = fake_free,                      \
        .prepare = fake_prepare, .poll_free = fake_poll_free, .connect = fake_connect,             \
        .disconnect = fake_disconnect, .read = fake_read, .request = (ask), .service = (asks),     \
        .cost_us = fake_cost, .link = (kind)                                                       \
    }
static const struct driver tcp = FAKE_DRIVER(connection_link, fake_request, &fake_service);
static const struct driver serial = FAKE_DRIVER(port_link, fake_request, &fake_service);
static const struct driver far = FAKE_DRIVER(far_link, fake_request, &fake_service);
static const struct driver mute = FAKE_DRIVER(port_link, NULL, NULL);

/* These take the place of the generated table. */
const struct driver *const drivers_all[] = {&tcp, &serial, &far, &mute, NULL};
const struct config_driver *const drivers_all_config[] = {&tcp.config, &serial.config, &far.config,
                                                          &mute.config, NULL};

/* ---- the other side ---- */

static void note_sample(struct rig *rig, uint16_t owner, const union slot *sample)
{
    rig->tags_seen[owner] |= UINT64_C(1) << sample->sample.tag;
    if (sample->sample.quality == QUALITY_GOOD)
        rig->values[owner]++;
    else
        rig->bad[owner][sample->sample.quality]++;
    if (sample->sample.kind == SAMPLE_TEXT)
        rig->text_length = sample->sample.length;
}

static bool take(void *context, const union slot *slots, size_t n_slots)
{
    struct rig *rig = context;
    pthread_mutex_lock(&rig->lock);
    bool full = rig->full;
    rig->malformed |= slots[0].header.n_slots != n_slots - 1;
    rig->malformed |= slots[0].header.timestamp_ms < 1500000000000;
    uint16_t owner = slots[0].header.owner;
    if (slots[0].header.kind == BATCH_EVENT && !full) {
        rig->events[slots[0].header.event]++;
        rig->event_owner[slots[0].header.event] = owner;
    } else if (!full) {
        rig->tags_seen[owner] = 0;
        for (size_t at = 1; at < n_slots; at += sample_slots(&slots[at]))
            note_sample(rig, owner, &slots[at]);
    }
    pthread_cond_broadcast(&rig->news);
    pthread_mutex_unlock(&rig->lock);
    return !full;
}

static void answered(void *context, enum outcome outcome, const struct driver_error *error)
{
    struct rig *rig = context;
    pthread_mutex_lock(&rig->lock);
    rig->done++;
    rig->done_outcome = outcome;
    memcpy(rig->done_error, error->text, sizeof(rig->done_error));
    rig->done_thread = pthread_self();
    pthread_cond_broadcast(&rig->news);
    pthread_mutex_unlock(&rig->lock);
}

/* Waits until CONDITION, an expression over `rig`, holds. The lock is free again afterwards. */
#define WAIT_FOR(condition)                                                                        \
    do {                                                                                           \
        struct timespec end_;                                                                      \
        clock_gettime(CLOCK_MONOTONIC, &end_);                                                     \
        end_.tv_sec += DEADLINE_S;                                                                 \
        pthread_mutex_lock(&rig->lock);                                                            \
        int late_ = 0;                                                                             \
        while (!(condition) && !late_)                                                             \
            late_ = pthread_cond_clockwait(&rig->news, &rig->lock, CLOCK_MONOTONIC, &end_);        \
        bool holds_ = (condition);                                                                 \
        pthread_mutex_unlock(&rig->lock);                                                          \
        CU_assertImplementation(holds_, __LINE__, "WAIT_FOR(" #condition ")", __FILE__, "",        \
                                CU_TRUE);                                                          \
    } while (0)

/* A look at one of them while the worker runs. */
#define GET(field)                                                                                 \
    __extension__({                                                                                \
        pthread_mutex_lock(&rig->lock);                                                            \
        __typeof__(rig->field) copy_ = rig->field;                                                 \
        pthread_mutex_unlock(&rig->lock);                                                          \
        copy_;                                                                                     \
    })

/* Changes something that the driver looks at. */
#define SET(assignment)                                                                            \
    do {                                                                                           \
        pthread_mutex_lock(&rig->lock);                                                            \
        rig->assignment;                                                                           \
        pthread_mutex_unlock(&rig->lock);                                                          \
    } while (0)

static void add_tag(struct rig *rig, size_t device, int type, int64_t interval_ms)
{
    struct config_device *owner = &rig->devices[device];
    owner->tags[owner->n_tags++] = (struct config_tag){.type = type, .interval_ms = interval_ms};
}

/* N_DEVICES with one tag each. The case may add more before rig_start(). */
static struct rig *rig_new(const struct driver *driver, size_t n_devices, int64_t interval_ms)
{
    struct rig *rig = memory_zeroed(1, sizeof(*rig));
    pthread_mutex_init(&rig->lock, NULL);
    pthread_cond_init(&rig->news, NULL);
    struct fake_bus *bus = memory_zeroed(1, sizeof(*bus));
    *bus = (struct fake_bus){200, rig};
    rig->bus = (struct config_bus){.name = "bench", .driver = &driver->config, .options = bus};
    rig->config = (struct config){
        .buses = &rig->bus, .n_buses = 1, .devices = rig->devices, .n_devices = n_devices};
    for (size_t i = 0; i < n_devices; i++) {
        rig->devices[i] = (struct config_device){.name = "device", .tags = rig->tags[i]};
        add_tag(rig, i, VALUE_INT16, interval_ms);
    }
    return rig;
}

static int rig_make_line(struct rig *rig)
{
    const struct line_callbacks callbacks = {take, rig};
    return line_new(&rig->config, 0, &callbacks, 0, line_group_count(&rig->config, 0), &rig->line);
}

static void rig_start(struct rig *rig)
{
    CU_ASSERT_EQUAL_FATAL(rig_make_line(rig), 0);
    CU_ASSERT_EQUAL_FATAL(line_start(rig->line), 0);
}

static void rig_free(struct rig *rig)
{
    line_free(rig->line);
    CU_ASSERT_EQUAL(rig->instances, 0);
    CU_ASSERT_FALSE(rig->is_connected);
    CU_ASSERT_FALSE(rig->read_without_connection);
    CU_ASSERT_FALSE(rig->signals_open);
    CU_ASSERT_FALSE(rig->malformed);
    pthread_cond_destroy(&rig->news);
    pthread_mutex_destroy(&rig->lock);
    free(rig->bus.options);
    free(rig);
}

static enum device_state device_state(struct rig *rig, size_t device)
{
    struct device_health health;
    line_get_device_health(rig->line, device, &health);
    return health.state;
}

/* ---- polling ---- */

static void test_polls(void)
{
    struct rig *rig = rig_new(&tcp, 2, 5);
    rig_start(rig);
    WAIT_FOR(rig->values[0] >= 20 && rig->values[1] >= 20);
    CU_ASSERT_EQUAL(GET(events[LINE_EVENT_UP]), 1);
    CU_ASSERT_EQUAL(GET(events[LINE_EVENT_DOWN]), 0);
    struct line_health health;
    line_get_health(rig->line, &health);
    CU_ASSERT_EQUAL(health.state, LINE_UP);
    CU_ASSERT_TRUE(health.polls_ok >= 40);
    CU_ASSERT_EQUAL(health.polls_failed, 0);
    TEST_TEXT_EQUAL(health.error, "");
    struct device_health unit;
    line_get_device_health(rig->line, 1, &unit);
    CU_ASSERT_EQUAL(unit.state, UNIT_OK);
    CU_ASSERT_TRUE(unit.polls_ok >= 20);
    rig_free(rig);
}

static void test_groups(void)
{
    struct rig *rig = rig_new(&serial, 2, 5);
    add_tag(rig, 1, VALUE_INT16, 50); /* tag 1 */
    add_tag(rig, 1, VALUE_INT16, 5);
    add_tag(rig, 1, VALUE_INT16, 50); /* tag 3 */
    CU_ASSERT_EQUAL(line_group_count(&rig->config, 0), 3);
    CU_ASSERT_EQUAL(line_group_count(&rig->config, 1), 0);
    rig_start(rig);
    WAIT_FOR(rig->tags_seen[1] == (1 << 0 | 1 << 2));
    WAIT_FOR(rig->tags_seen[1] == (1 << 1 | 1 << 3));
    size_t n_devices;
    const size_t *devices = line_devices(rig->line, &n_devices);
    CU_ASSERT_EQUAL_FATAL(n_devices, 2);
    CU_ASSERT_EQUAL(devices[1], 1);
    rig_free(rig);
}

static void test_long_texts_fit(void)
{
    struct rig *rig = rig_new(&serial, 1, 5);
    for (int i = 0; i < 3; i++)
        add_tag(rig, 0, VALUE_STRING, 5);
    rig_start(rig);
    WAIT_FOR(rig->text_length == SAMPLE_TEXT_MAX);
    rig_free(rig);
}

static void test_turns_on_a_full_line(void)
{
    struct rig *rig = rig_new(&serial, 8, 1);
    rig->read_takes_ns = 3 * CLOCK_NS_PER_MS; /* 24 times what the line can carry */
    rig_start(rig);
    WAIT_FOR(rig->n_order >= 100);
    pthread_mutex_lock(&rig->lock);
    for (size_t i = 20; i < 100; i++)
        CU_ASSERT_EQUAL(rig->order[i], rig->order[i - 8]);
    for (size_t i = 21; i < 28; i++)
        CU_ASSERT_NOT_EQUAL(rig->order[i], rig->order[20]);
    pthread_mutex_unlock(&rig->lock);
    struct line_health health;
    line_get_health(rig->line, &health);
    CU_ASSERT_TRUE(health.polls_skipped > 200);
    rig_free(rig);
}

static void test_refused_batches(void)
{
    struct rig *rig = rig_new(&serial, 1, 1);
    rig->full = true;
    rig_start(rig);
    WAIT_FOR(rig->reads >= 50);
    struct line_health health;
    line_get_health(rig->line, &health);
    CU_ASSERT_TRUE(health.batches_refused >= 49);
    SET(full = false);
    WAIT_FOR(rig->values[0] >= 10);
    rig_free(rig);
}

/* ---- failures ---- */

static void test_refused_connection(void)
{
    struct rig *rig = rig_new(&tcp, 2, 5);
    rig->connect_result = -ECONNREFUSED;
    rig_start(rig);
    WAIT_FOR(rig->events[LINE_EVENT_DOWN] == 1);
    WAIT_FOR(rig->bad[0][QUALITY_DISCONNECTED] >= 1 && rig->bad[1][QUALITY_DISCONNECTED] >= 1);
    WAIT_FOR(rig->connects >= 2);
    struct line_health health;
    line_get_health(rig->line, &health);
    CU_ASSERT_EQUAL(health.state, LINE_DOWN);
    TEST_TEXT_EQUAL(health.error, "nobody at home");
    CU_ASSERT_EQUAL(device_state(rig, 0), UNIT_UNKNOWN); /* nobody asked it */
    SET(connect_result = 0);
    WAIT_FOR(rig->events[LINE_EVENT_UP] == 1);
    WAIT_FOR(rig->values[0] >= 10 && rig->values[1] >= 10);
    CU_ASSERT_EQUAL(GET(events[LINE_EVENT_DOWN]), 1); /* one outage, one event */
    rig->line = line_free(rig->line);
    CU_ASSERT_EQUAL(rig->reads, rig->values[0] + rig->values[1]);
    rig_free(rig);
}

static void test_silent_unit_behind_a_gateway(void)
{
    struct rig *rig = rig_new(&tcp, 2, 5);
    rig->outcome[1] = OUTCOME_TIMEOUT;
    rig_start(rig);
    WAIT_FOR(rig->events[LINE_EVENT_UNIT_TRIPPED] == 1);
    CU_ASSERT_EQUAL(GET(event_owner[LINE_EVENT_UNIT_TRIPPED]), 1);
    WAIT_FOR(rig->bad[1][QUALITY_TRIPPED] >= 1);
    CU_ASSERT_EQUAL(GET(bad[1][QUALITY_TIMEOUT]), 3);
    CU_ASSERT_EQUAL(device_state(rig, 1), UNIT_TRIPPED);
    struct device_health health;
    line_get_device_health(rig->line, 1, &health);
    CU_ASSERT_EQUAL(health.polls_failed, 3);
    CU_ASSERT_EQUAL(health.failures_in_row, 3);
    TEST_TEXT_EQUAL(health.error, "device 1 is moody");
    unsigned before = GET(values[0]);
    WAIT_FOR(rig->values[0] >= before + 20);
    CU_ASSERT_EQUAL(GET(disconnects), 3); /* the late answer must not meet the next question */
    CU_ASSERT_EQUAL(GET(connects), 4);
    CU_ASSERT_EQUAL(GET(events[LINE_EVENT_DOWN]), 0);
    CU_ASSERT_FALSE(GET(must_ask)); /* unit 0, which is well */
    SET(outcome[1] = OUTCOME_OK);   /* the first probe comes after five seconds */
    WAIT_FOR(rig->events[LINE_EVENT_UNIT_RECOVERED] == 1);
    WAIT_FOR(rig->values[1] >= 20);
    CU_ASSERT_EQUAL(device_state(rig, 1), UNIT_OK);
    rig_free(rig);
}

/* A driver learns that a unit did not answer: it must not report one well that it did not ask. */
static void test_must_ask(void)
{
    struct rig *rig = rig_new(&serial, 1, 5);
    rig_start(rig);
    WAIT_FOR(rig->values[0] >= 3 && !rig->must_ask);
    SET(outcome[0] = OUTCOME_TIMEOUT);
    WAIT_FOR(rig->bad[0][QUALITY_TIMEOUT] >= 2 && rig->must_ask);
    rig_free(rig);
}

/* Late replies are good ones, are counted, and the status says how late. */
static void test_late_replies(void)
{
    struct rig *rig = rig_new(&tcp, 1, 5);
    struct device_health health;
    rig_start(rig);
    WAIT_FOR(rig->values[0] >= 5 && rig->spare);
    line_get_device_health(rig->line, 0, &health);
    CU_ASSERT_FALSE(health.is_late);
    CU_ASSERT_EQUAL(health.polls_late, 0);
    SET(late = true);
    unsigned before = GET(values[0]);
    WAIT_FOR(rig->values[0] >= before + 5);
    line_get_device_health(rig->line, 0, &health);
    CU_ASSERT_TRUE(health.is_late);
    CU_ASSERT_TRUE(health.polls_late >= 3);
    CU_ASSERT_EQUAL(health.polls_failed, 0);
    CU_ASSERT_EQUAL(health.state, UNIT_OK);
    TEST_TEXT_EQUAL(health.error, "7 ms late");
    SET(late = false);
    before = GET(values[0]);
    WAIT_FOR(rig->values[0] >= before + 3);
    line_get_device_health(rig->line, 0, &health);
    CU_ASSERT_FALSE(health.is_late);
    CU_ASSERT_EQUAL(GET(events[LINE_EVENT_UNIT_TRIPPED]), 0);
    rig_free(rig);
}

/* Waits for one more failure of DEVICE than trip its breaker. */
static bool fails_again(struct rig *rig, size_t device)
{
    struct device_health health;
    int64_t end = clock_mono_ns() + DEADLINE_S * CLOCK_NS_PER_S;
    do {
        clock_sleep_until(clock_mono_ns() + CLOCK_NS_PER_MS);
        line_get_device_health(rig->line, device, &health);
    } while (health.polls_failed <= BREAKER_TRIPS_AFTER && clock_mono_ns() < end);
    return health.polls_failed == BREAKER_TRIPS_AFTER + 1;
}

static void test_silent_unit_on_a_serial_line(void)
{
    struct rig *rig = rig_new(&serial, 3, 5);
    rig->outcome[1] = OUTCOME_TIMEOUT;
    rig->outcome[2] = OUTCOME_BAD_REPLY;
    rig_start(rig);
    WAIT_FOR(rig->events[LINE_EVENT_UNIT_TRIPPED] == 2);
    CU_ASSERT_EQUAL(GET(bad[2][QUALITY_BAD_REPLY]), 6); /* noise weighs half as much as silence */
    unsigned before = GET(values[0]);
    WAIT_FOR(rig->values[0] >= before + 20);
    CU_ASSERT_TRUE(fails_again(rig, 1)); /* the first probe, after five seconds */
    CU_ASSERT_EQUAL(GET(bad[1][QUALITY_TIMEOUT]), BREAKER_TRIPS_AFTER);
    CU_ASSERT_TRUE(GET(bad[1][QUALITY_TRIPPED]) >= 3); /* said once a second all the while */
    CU_ASSERT_EQUAL(GET(connects), 1);                 /* the port is never closed for one unit */
    CU_ASSERT_EQUAL(GET(disconnects), 0);
    rig_free(rig);
}

static void test_unplugged(void)
{
    struct rig *rig = rig_new(&serial, 2, 5);
    rig_start(rig);
    WAIT_FOR(rig->values[0] >= 3 && rig->values[1] >= 3);
    pthread_mutex_lock(&rig->lock);
    rig->breaks_once = true;
    rig->connect_result = -ENODEV;
    pthread_mutex_unlock(&rig->lock);
    WAIT_FOR(rig->events[LINE_EVENT_DOWN] == 1);
    WAIT_FOR(rig->bad[0][QUALITY_DISCONNECTED] >= 2 && rig->bad[1][QUALITY_DISCONNECTED] >= 2);
    CU_ASSERT_EQUAL(device_state(rig, 0), UNIT_OK); /* not the units' fault */
    CU_ASSERT_EQUAL(device_state(rig, 1), UNIT_OK);
    unsigned before = GET(values[0]);
    SET(connect_result = 0);
    WAIT_FOR(rig->values[0] >= before + 3);
    CU_ASSERT_EQUAL(GET(events[LINE_EVENT_UP]), 2);
    CU_ASSERT_EQUAL(GET(events[LINE_EVENT_UNIT_TRIPPED]), 0);
    rig_free(rig);
}

static void test_idle_connection_closed(void)
{
    struct rig *rig = rig_new(&tcp, 1, 5);
    rig_start(rig);
    for (unsigned i = 1; i <= 5; i++) {
        SET(breaks_once = true);
        WAIT_FOR(rig->connects == 1 + i);
        unsigned before = GET(values[0]);
        WAIT_FOR(rig->values[0] >= before + 2);
    }
    CU_ASSERT_EQUAL(GET(bad[0][QUALITY_DISCONNECTED]), 0); /* the question was repeated */
    CU_ASSERT_EQUAL(GET(events[LINE_EVENT_DOWN]), 0);
    CU_ASSERT_EQUAL(device_state(rig, 0), UNIT_OK);
    rig_free(rig);
}

static void test_gateway_closes_for_one_unit(void)
{
    struct rig *rig = rig_new(&tcp, 2, 5);
    rig->outcome[1] = OUTCOME_DISCONNECTED;
    rig_start(rig);
    WAIT_FOR(rig->events[LINE_EVENT_UNIT_TRIPPED] == 1);
    unsigned before = GET(values[0]);
    WAIT_FOR(rig->values[0] >= before + 20);
    CU_ASSERT_EQUAL(GET(events[LINE_EVENT_DOWN]), 0);
    CU_ASSERT_EQUAL(device_state(rig, 0), UNIT_OK);
    rig_free(rig);
}

static void test_connection_lost_for_good(void)
{
    struct rig *rig = rig_new(&tcp, 1, 5);
    rig_start(rig);
    WAIT_FOR(rig->values[0] >= 3);
    pthread_mutex_lock(&rig->lock);
    rig->breaks_once = true;
    rig->connect_result = -EHOSTUNREACH;
    pthread_mutex_unlock(&rig->lock);
    WAIT_FOR(rig->events[LINE_EVENT_DOWN] == 1);
    WAIT_FOR(rig->bad[0][QUALITY_DISCONNECTED] >= 2);
    CU_ASSERT_EQUAL(device_state(rig, 0), UNIT_OK);
    rig_free(rig);
}

/* A value that is read once a day does not wait for tomorrow. */
static void test_slow_values_after_an_outage(void)
{
    struct rig *rig = rig_new(&tcp, 1, 86400000);
    rig->connect_result = -EHOSTUNREACH;
    rig_start(rig);
    WAIT_FOR(rig->bad[0][QUALITY_DISCONNECTED] == 1);
    SET(connect_result = 0);
    WAIT_FOR(rig->values[0] == 1);
    rig_free(rig);
}

/* ---- requests ---- */

static struct fake_body some_body;
static const struct driver_request some_request = {
    .service = &fake_service, .body = &some_body, .may_repeat = true};

static void test_request(void)
{
    struct rig *rig = rig_new(&tcp, 1, 5);
    rig_start(rig);
    WAIT_FOR(rig->values[0] >= 1);
    some_body = (struct fake_body){.address = 77};
    CU_ASSERT_EQUAL(line_request(rig->line, &some_request, answered, rig), 0);
    WAIT_FOR(rig->done == 1);
    CU_ASSERT_EQUAL(GET(done_outcome), OUTCOME_OK);
    CU_ASSERT_EQUAL(some_body.value, 77);
    CU_ASSERT_TRUE(pthread_equal(rig->done_thread, rig->read_thread));
    unsigned before = GET(values[0]);
    WAIT_FOR(rig->values[0] > before);
    rig_free(rig);
}

/* The connection breaks while it is asked: who asked cannot know whether it was carried out. */
static void break_once(const struct driver *driver, bool may_repeat, enum outcome outcome,
                       unsigned requests)
{
    struct rig *rig = rig_new(driver, 1, 86400000);
    rig_start(rig);
    WAIT_FOR(rig->values[0] == 1);
    SET(breaks_once = true);
    struct driver_request request = some_request;
    request.may_repeat = may_repeat;
    CU_ASSERT_EQUAL(line_request(rig->line, &request, answered, rig), 0);
    WAIT_FOR(rig->done == 1);
    CU_ASSERT_EQUAL(GET(done_outcome), outcome);
    CU_ASSERT_EQUAL(GET(requests), requests);
    WAIT_FOR(rig->connects == 2); /* either way the line is made again */
    rig_free(rig);
}

static void test_request_is_repeated_only_if_it_may_be(void)
{
    break_once(&tcp, true, OUTCOME_OK, 2);
    break_once(&tcp, false, OUTCOME_DISCONNECTED, 1);
    break_once(&far, true, OUTCOME_OK, 2);
    break_once(&far, false, OUTCOME_DISCONNECTED, 1);
    break_once(&serial, true, OUTCOME_DISCONNECTED, 1);
}

static void test_one_request_at_a_time(void)
{
    struct rig *rig = rig_new(&serial, 1, 5);
    rig->request_hangs = true;
    rig_start(rig);
    CU_ASSERT_EQUAL(line_request(rig->line, &some_request, answered, rig), 0);
    WAIT_FOR(rig->requests == 1); /* being served */
    CU_ASSERT_EQUAL(line_request(rig->line, &some_request, answered, rig), -EBUSY);
    pthread_mutex_lock(&rig->lock);
    rig->request_hangs = false;
    rig->request_outcome = OUTCOME_TIMEOUT;
    pthread_cond_broadcast(&rig->news);
    pthread_mutex_unlock(&rig->lock);
    WAIT_FOR(rig->done == 1);
    CU_ASSERT_EQUAL(GET(done_outcome), OUTCOME_TIMEOUT);
    TEST_TEXT_EQUAL(rig->done_error, "no answer");
    CU_ASSERT_EQUAL(line_request(rig->line, &some_request, answered, rig), 0);
    WAIT_FOR(rig->done == 2);
    rig_free(rig);
}

static void test_request_wakes_a_waiting_line(void)
{
    struct rig *rig = rig_new(&serial, 1, 86400000);
    rig_start(rig);
    WAIT_FOR(rig->values[0] == 1);
    struct line_health before, after;
    line_get_health(rig->line, &before);
    CU_ASSERT_EQUAL(line_request(rig->line, &some_request, answered, rig), 0);
    WAIT_FOR(rig->done == 1);
    int64_t end = clock_mono_ns() + DEADLINE_S * CLOCK_NS_PER_S;
    do { /* the heartbeat rises even when nothing is due for a day */
        clock_sleep_until(clock_mono_ns() + CLOCK_NS_PER_MS);
        line_get_health(rig->line, &after);
    } while (after.heartbeat < before.heartbeat + 4 && clock_mono_ns() < end);
    CU_ASSERT_TRUE(after.heartbeat >= before.heartbeat + 4);
    CU_ASSERT_EQUAL(GET(reads), 1);
    rig_free(rig);
}

static void test_request_without_devices(void)
{
    struct rig *rig = rig_new(&tcp, 0, 0);
    rig_start(rig);
    CU_ASSERT_EQUAL(line_request(rig->line, &some_request, answered, rig), 0);
    WAIT_FOR(rig->done == 1);
    CU_ASSERT_EQUAL(GET(done_outcome), OUTCOME_OK);
    CU_ASSERT_EQUAL(GET(connects), 1);
    rig_free(rig);
}

static void test_request_on_a_line_that_is_down(void)
{
    struct rig *rig = rig_new(&tcp, 1, 5);
    rig->connect_result = -ECONNREFUSED;
    rig_start(rig);
    WAIT_FOR(rig->events[LINE_EVENT_DOWN] == 1);
    CU_ASSERT_EQUAL(line_request(rig->line, &some_request, answered, rig), 0);
    WAIT_FOR(rig->done == 1);
    CU_ASSERT_EQUAL(GET(done_outcome), OUTCOME_DISCONNECTED);
    TEST_TEXT_EQUAL(rig->done_error, "nobody at home");
    rig_free(rig);
}

static void test_request_to_a_driver_without_registers(void)
{
    struct rig *rig = rig_new(&mute, 1, 5);
    rig_start(rig);
    CU_ASSERT_EQUAL(line_request(rig->line, &some_request, answered, rig), 0);
    WAIT_FOR(rig->done == 1);
    CU_ASSERT_EQUAL(GET(done_outcome), OUTCOME_UNSUPPORTED);
    TEST_CONTAINS(rig->done_error, "fake");
    rig_free(rig);
}

static void test_request_and_stop(void)
{
    struct rig *rig = rig_new(&serial, 1, 5);
    CU_ASSERT_EQUAL_FATAL(rig_make_line(rig), 0);
    CU_ASSERT_EQUAL(line_request(rig->line, &some_request, answered, rig), -ENOTCONN);
    rig->read_hangs = true;
    CU_ASSERT_EQUAL_FATAL(line_start(rig->line), 0);
    WAIT_FOR(rig->reads == 1);
    CU_ASSERT_EQUAL(line_request(rig->line, &some_request, answered, rig), 0);
    line_stop(rig->line);
    WAIT_FOR(rig->done == 1);
    CU_ASSERT_EQUAL(GET(done_outcome), OUTCOME_DISCONNECTED);
    CU_ASSERT_EQUAL(GET(requests), 0);
    CU_ASSERT_EQUAL(line_request(rig->line, &some_request, answered, rig), -ENOTCONN);
    rig_free(rig);
}

/* ---- the rest ---- */

static void test_stop_is_no_failure(void)
{
    struct rig *rig = rig_new(&serial, 1, 5);
    rig->read_hangs = true;
    rig->outcome[0] = OUTCOME_TIMEOUT; /* a driver that is told to stop gives up like this */
    rig_start(rig);
    WAIT_FOR(rig->reads == 1);
    rig->line = line_free(rig->line);
    CU_ASSERT_EQUAL(GET(bad[0][QUALITY_TIMEOUT]), 0);
    rig_free(rig);
}

static void test_stop_without_start(void)
{
    struct rig *rig = rig_new(&serial, 1, 5);
    CU_ASSERT_EQUAL(rig_make_line(rig), 0);
    line_stop(rig->line);
    rig_free(rig);
    CU_ASSERT_PTR_NULL(line_free(NULL));
}

static void test_plan_fails(void)
{
    struct rig *rig = rig_new(&serial, 3, 5);
    rig->prepare_result = -EINVAL;
    CU_ASSERT_EQUAL(rig_make_line(rig), -EINVAL);
    CU_ASSERT_PTR_NULL(rig->line);
    rig_free(rig);
}

static void test_budget(void)
{
    struct rig *rig = rig_new(&serial, 2, 100); /* device 0: 10 ms of 100 ms */
    add_tag(rig, 1, VALUE_INT16, 100);          /* device 1: 20 ms of 100 ms */
    add_tag(rig, 1, VALUE_INT16, 1000);         /* and 10 ms of 1 s */
    CU_ASSERT_EQUAL(rig_make_line(rig), 0);
    struct line_budget budget;
    line_get_budget(rig->line, &budget);
    CU_ASSERT_DOUBLE_EQUAL(budget.cycle_s, 0.040, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(budget.load, 0.31, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(budget.dead_one_s, 0.010 + 2 * 0.200, 1e-9); /* both groups time out */
    rig_free(rig);
}

TEST_MAIN("line", {"polls every unit and delivers what they say", test_polls},
          {"tags with the same interval are one batch", test_groups},
          {"texts of full length fit a batch", test_long_texts_fit},
          {"a line asked for too much serves in turn and counts", test_turns_on_a_full_line},
          {"a full queue is counted and never waited for", test_refused_batches},
          {"no connection: down, disconnected, up", test_refused_connection},
          {"TCP: a silent unit trips, redials and recovers", test_silent_unit_behind_a_gateway},
          {"late replies count as good and are told of", test_late_replies},
          {"a unit that did not answer must be asked", test_must_ask},
          {"serial: the port stays open for a silent unit", test_silent_unit_on_a_serial_line},
          {"serial: an unplugged adapter is not the units' fault", test_unplugged},
          {"TCP: a closed idle connection loses nothing", test_idle_connection_closed},
          {"TCP: closing on one unit harms no other", test_gateway_closes_for_one_unit},
          {"TCP: a lost connection puts the line down", test_connection_lost_for_good},
          {"slow values are read soon after an outage", test_slow_values_after_an_outage},
          {"a request is served between polls", test_request},
          {"a request is repeated only if it may be", test_request_is_repeated_only_if_it_may_be},
          {"one request at a time", test_one_request_at_a_time},
          {"a request does not wait for the next poll", test_request_wakes_a_waiting_line},
          {"a line without devices serves requests", test_request_without_devices},
          {"a request on a line that is down says why", test_request_on_a_line_that_is_down},
          {"a request to a driver without registers", test_request_to_a_driver_without_registers},
          {"a request is answered when the line stops", test_request_and_stop},
          {"stopping is no failure of a unit", test_stop_is_no_failure},
          {"a line that never ran can be freed", test_stop_without_start},
          {"a plan that fails is returned", test_plan_fails},
          {"the budget counts wire time and timeouts", test_budget})
