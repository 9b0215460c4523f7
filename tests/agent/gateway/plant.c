/* The lines of a configuration, and of the next one, with the built-in plant. The intake is a fake.
 */
#include "agent/gateway/plant.h"

#include "agent/base/clock.h"
#include "config/load/load.h"
#include "config/schema/finding.h"
#include "drivers/modbus/modbus_request.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define TIMEOUT_S 10

static struct {
    const char *device; /* polls of this one are counted, beside those of "tank" */
    unsigned polls, of_tank, others, events, tripped, recovered, changes;
} fake;

uint64_t intake_data(struct intake *intake, const struct config_device *device,
                     const union slot *slots, size_t n_slots, const bool *picked)
{
    (void)intake, (void)slots, (void)n_slots, (void)picked;
    if (strcmp(device->name, fake.device) == 0)
        fake.polls++;
    else if (strcmp(device->name, "tank") == 0)
        fake.of_tank++;
    else
        fake.others++;
    return 1;
}

uint64_t intake_event(struct intake *intake, const struct event *event)
{
    (void)intake;
    fake.events += event->kind == EVENT_LINE_UP;
    fake.tripped += event->kind == EVENT_UNIT_TRIPPED;
    fake.recovered += event->kind == EVENT_UNIT_RECOVERED;
    CU_ASSERT_NOT_EQUAL(event->kind, EVENT_LINE_DOWN);
    return 1;
}

static void on_change(void *context)
{
    CU_ASSERT_PTR_EQUAL(context, &fake);
    fake.changes++;
}

/*
 * A line "kept" with the device "tank", a line "try" with DEVICE, which has the keys MORE, and one
 * without devices.
 */
static struct generation *load_with(const char *device, const char *more)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    struct config *config = NULL;
    char text[1000];
    (void)snprintf(text, sizeof(text),
                   "gateway: { id = \"gw\"; site = \"s\"; };\n"
                   "uplink: { servers = [ \"mqtts://b\" ]; ca = \"system\"; };\n"
                   "buses: ( { name = \"spare\"; driver = \"sim\"; },\n"
                   "         { name = \"kept\"; driver = \"sim\"; },\n"
                   "         { name = \"try\"; driver = \"sim\"; timeout_ms = 20; } );\n"
                   "devices: ( { name = \"tank\"; bus = \"kept\"; interval_ms = 10;\n"
                   "             tags = ( { name = \"level\"; } ); },\n"
                   "           { name = \"%s\"; bus = \"try\"; interval_ms = 10; %s\n"
                   "             tags = ( { name = \"count\"; } ); } );\n",
                   device, more);
    CU_ASSERT_EQUAL_FATAL(
        config_load(test_file("plant.conf", text), drivers_for_config(), &findings, &config), 0);
    return generation_new(config);
}

static struct generation *load(const char *device)
{
    return load_with(device, "");
}

/* Runs the loop until DEVICE and "tank" were polled three times each. */
static void expect_polls(sd_event *loop, const char *device)
{
    int64_t end_ns = clock_mono_ns() + TIMEOUT_S * CLOCK_NS_PER_S;
    fake.device = device;
    fake.polls = fake.of_tank = fake.others = 0;
    while ((fake.polls < 3 || fake.of_tank < 3) && clock_mono_ns() < end_ns)
        CU_ASSERT_FATAL(sd_event_run(loop, 100000) >= 0);
    CU_ASSERT_TRUE(fake.polls >= 3 && fake.of_tank >= 3);
    CU_ASSERT_EQUAL(fake.others, 0);
}

static const char *values(struct plant *plant, const char *device)
{
    static struct strbuf out;
    struct json_text json = JSON_TEXT(&out);
    strbuf_reset(&out);
    if (plant_values(plant, device, &json) < 0)
        return "none";
    return strbuf_text(&out);
}

/* By the worker; the built-in plant has no registers. */
static void on_read(void *context, enum outcome outcome, const struct driver_error *error)
{
    atomic_int *seen = context;
    (void)error;
    atomic_store(seen, (int)outcome);
}

static void test_generations(void)
{
    static const bool touched[] = {false, false, true};
    struct generation *first = load("boiler"), *second = load("pump");
    struct plant_change *change = NULL;
    struct plant *plant = NULL;
    sd_event *loop = NULL;
    memset(&fake, 0, sizeof(fake));
    CU_ASSERT_FATAL(sd_event_new(&loop) >= 0);
    CU_ASSERT_EQUAL_FATAL(plant_new(first, NULL, loop, on_change, &fake, &plant), 0);
    generation_unref(first);
    CU_ASSERT_PTR_NULL(plant_lines(plant)[0]); /* a line without devices */
    CU_ASSERT_EQUAL_FATAL(plant_start(plant), 0);
    expect_polls(loop, "boiler");
    CU_ASSERT_EQUAL(fake.events, 2);
    CU_ASSERT_EQUAL(fake.changes, 2);
    TEST_CONTAINS(values(plant, "boiler"), "{\"device\":\"boiler\",\"tags\":[{\"tag\":\"count\",");
    CU_ASSERT_TRUE(plant_is_alive(plant, clock_mono_ns() / CLOCK_NS_PER_MS));
    const struct line *kept = plant_lines(plant)[1];
    CU_ASSERT_EQUAL_FATAL(plant_prepare(plant, second, touched, &change), 0);
    CU_ASSERT_PTR_NULL(plant_change_free(change)); /* given up: nothing has changed */
    expect_polls(loop, "boiler");
    CU_ASSERT_EQUAL_FATAL(plant_prepare(plant, second, touched, &change), 0);
    CU_ASSERT_EQUAL_FATAL(plant_commit(plant, change), 0);
    generation_unref(second);
    expect_polls(loop, "pump");
    CU_ASSERT_PTR_EQUAL(plant_lines(plant)[1], kept);
    CU_ASSERT_EQUAL(fake.events, 3); /* the one line came up again, the other never went */
    TEST_TEXT_EQUAL(values(plant, "boiler"), "none");
    TEST_CONTAINS(values(plant, "pump"), "\"count\"");
    plant_report_refused(plant); /* nothing was */
    plant_stop(plant);
    fake.polls = fake.of_tank = 0;
    CU_ASSERT_TRUE(sd_event_run(loop, 50000) >= 0);
    CU_ASSERT_EQUAL(fake.polls + fake.of_tank, 0);
    CU_ASSERT_PTR_NULL(plant_free(plant));
    CU_ASSERT_PTR_NULL(plant_free(NULL));
    sd_event_unref(loop);
}

static void expect_tags(const struct generation *generation, size_t of_tank, size_t of_other)
{
    CU_ASSERT_EQUAL(generation->config->devices[0].n_tags, of_tank);
    CU_ASSERT_EQUAL(generation->config->devices[1].n_tags, of_other);
}

/* Change after change of one line: what the other was made from is all that is kept of the past. */
static void test_memory(void)
{
    static const bool one_of_them[] = {false, false, true}, both[] = {false, true, true};
    struct generation *generations[4];
    struct plant *plant = NULL;
    sd_event *loop = NULL;
    memset(&fake, 0, sizeof(fake));
    fake.device = "boiler";
    for (size_t i = 0; i < ARRAY_LENGTH(generations); i++)
        generations[i] = load("boiler");
    CU_ASSERT_FATAL(sd_event_new(&loop) >= 0);
    CU_ASSERT_EQUAL_FATAL(plant_new(generations[0], NULL, loop, on_change, &fake, &plant), 0);
    CU_ASSERT_EQUAL_FATAL(plant_start(plant), 0);
    for (size_t i = 1; i < ARRAY_LENGTH(generations); i++) {
        struct plant_change *change = NULL;
        CU_ASSERT_EQUAL_FATAL(
            plant_prepare(plant, generations[i], i == 3 ? both : one_of_them, &change), 0);
        CU_ASSERT_EQUAL_FATAL(plant_commit(plant, change), 0);
        expect_tags(generations[0], i < 3, 0);
        expect_tags(generations[i - 1], i == 1, 0);
        expect_tags(generations[i], 1, 1);
        expect_polls(loop, "boiler");
    }
    plant_free(plant);
    for (size_t i = 0; i < ARRAY_LENGTH(generations); i++)
        generation_unref(generations[i]);
    sd_event_unref(loop);
}

static void expect_count(sd_event *loop, const unsigned *count)
{
    int64_t end_ns = clock_mono_ns() + TIMEOUT_S * CLOCK_NS_PER_S;
    while (*count == 0 && clock_mono_ns() < end_ns)
        CU_ASSERT_FATAL(sd_event_run(loop, 100000) >= 0);
    CU_ASSERT_EQUAL(*count, 1);
}

/* Who is told of a tripped device is told when it is back, also when a reload brought it back. */
static void test_tripped(void)
{
    static const bool touched[] = {false, false, true};
    struct generation *first = load_with("boiler", "silent = true;"), *second = load("boiler");
    struct plant_change *change = NULL;
    struct plant *plant = NULL;
    sd_event *loop = NULL;
    memset(&fake, 0, sizeof(fake));
    fake.device = "boiler";
    CU_ASSERT_FATAL(sd_event_new(&loop) >= 0);
    CU_ASSERT_EQUAL_FATAL(plant_new(first, NULL, loop, on_change, &fake, &plant), 0);
    CU_ASSERT_EQUAL_FATAL(plant_start(plant), 0);
    expect_count(loop, &fake.tripped);
    CU_ASSERT_EQUAL_FATAL(plant_prepare(plant, second, touched, &change), 0);
    CU_ASSERT_EQUAL_FATAL(plant_commit(plant, change), 0);
    expect_count(loop, &fake.recovered);
    plant_free(plant);
    generation_unref(first);
    generation_unref(second);
    sd_event_unref(loop);
}

static void test_read(void)
{
    static struct modbus_call call;
    static atomic_int outcome = OUTCOME_OK;
    const struct driver_request request = modbus_call_request(&call);
    struct generation *generation = load("boiler");
    struct plant *plant = NULL;
    sd_event *loop = NULL;
    fake.device = "boiler";
    CU_ASSERT_FATAL(sd_event_new(&loop) >= 0);
    CU_ASSERT_EQUAL_FATAL(plant_new(generation, NULL, loop, on_change, &fake, &plant), 0);
    generation_unref(generation);
    CU_ASSERT_EQUAL(plant_read(plant, "try", &request, on_read, &outcome), -ENOTCONN);
    CU_ASSERT_EQUAL_FATAL(plant_start(plant), 0);
    CU_ASSERT_EQUAL(plant_read(plant, "spare", &request, on_read, &outcome), -ENOENT);
    CU_ASSERT_EQUAL(plant_read(plant, "other", &request, on_read, &outcome), -ENOENT);
    CU_ASSERT_EQUAL(plant_read(plant, "try", &request, on_read, &outcome), 0);
    plant_stop(plant);
    CU_ASSERT_NOT_EQUAL(atomic_load(&outcome), OUTCOME_OK); /* it was answered before that */
    plant_free(plant);
    sd_event_unref(loop);
}

TEST_MAIN("plant", {"a generation replaces the lines that it touches", test_generations},
          {"of the old ones only what is used stays in memory", test_memory},
          {"a device that was tripped before a reload is reported when it is back", test_tripped},
          {"a request goes to the line that it names", test_read})
