/* From the lines to custody. The intake is a fake that remembers what it was given. */
#include "agent/flow/pipeline.h"

#include "agent/base/memory.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    char log[4096]; /* "DEVICE LEVEL PICKED\n" of each poll, "KIND REASON MESSAGES\n" of events */
    bool is_full;   /* refuses everything */
    enum line_event event;
    size_t owner;
} fake;

static void note(const char *text)
{
    CU_ASSERT_FATAL(strlen(fake.log) + strlen(text) < sizeof(fake.log));
    strcat(fake.log, text);
}

uint64_t intake_data(struct intake *intake, const struct config_device *device,
                     const union slot *slots, size_t n_slots, const bool *picked)
{
    char text[80];
    (void)intake, (void)n_slots;
    (void)snprintf(text, sizeof(text), "%s %llu %s\n", device->name,
                   (unsigned long long)slots[1].sample.value.u64,
                   !picked                  ? "all"
                   : picked[0] && picked[1] ? "both"
                   : picked[0]              ? "level"
                                            : "name");
    note(text);
    return 1;
}

uint64_t intake_event(struct intake *intake, const struct event *event)
{
    char text[80];
    (void)intake;
    if (fake.is_full)
        return 0;
    (void)snprintf(text, sizeof(text), "%s %s %lld\n", event_name(event),
                   event_text(event, MEMBER_REASON),
                   (long long)event_find(event, MEMBER_MESSAGES)->number);
    note(text);
    return 1;
}

static void line_event(void *context, enum line_event event, uint16_t owner, int64_t timestamp_ms)
{
    (void)context, (void)timestamp_ms;
    fake.event = event;
    fake.owner = owner;
}

static struct config_tag tags[] = {
    {.name = "level", .type = VALUE_UINT16, .interval_ms = 1000},
    {.name = "name", .type = VALUE_STRING, .length = 20, .interval_ms = 1000}};
static struct config_device devices[] = {
    {.name = "boiler", .tags = tags, .n_tags = 2, .report = REPORT_ALWAYS, .heartbeat_s = 900},
    {.name = "pump", .tags = tags, .n_tags = 2, .report = REPORT_CHANGE, .heartbeat_s = 900}};
static const struct config config = {.devices = devices, .n_devices = 2};

static struct pipeline *begin(void)
{
    static const struct pipeline_callbacks callbacks = {.line_event = line_event};
    memset(&fake, 0, sizeof(fake));
    return pipeline_new(&config, NULL, &callbacks);
}

static bool deliver(struct pipeline *pipeline, uint16_t device, uint64_t level, const char *name)
{
    union slot slots[16];
    struct batch batch = {.slots = slots, .capacity = 16};
    batch_begin(&batch, device);
    batch_put_u64(&batch, 0, level);
    batch_put_text(&batch, 1, name, strlen(name));
    batch_end(&batch, 5000);
    return pipeline_deliver(pipeline, slots, batch.used);
}

static void test_data(void)
{
    struct pipeline *pipeline = begin();
    CU_ASSERT_TRUE(deliver(pipeline, 0, 1, "a name of more than one slot"));
    CU_ASSERT_TRUE(deliver(pipeline, 1, 1, "x"));
    CU_ASSERT_TRUE(deliver(pipeline, 1, 1, "x"));
    CU_ASSERT_TRUE(deliver(pipeline, 1, 2, "x"));
    CU_ASSERT_EQUAL(pipeline_drain(pipeline, 100), 4);
    TEST_TEXT_EQUAL(fake.log, "boiler 1 all\n"
                              "pump 1 both\n"
                              "pump 2 level\n");
    int64_t timestamp_ms;
    const union slot *latest = value_table_get(pipeline_values(pipeline), 1, 0, &timestamp_ms);
    CU_ASSERT_EQUAL(latest->sample.value.u64, 2);
    CU_ASSERT_EQUAL(timestamp_ms, 5000);
    pipeline_free(pipeline);
}

static void test_line_event(void)
{
    struct pipeline *pipeline = begin();
    const union slot slot = {
        .header = {.kind = BATCH_EVENT, .event = LINE_EVENT_UNIT_TRIPPED, .owner = 1}};
    CU_ASSERT_TRUE(pipeline_deliver(pipeline, &slot, 1));
    CU_ASSERT_EQUAL(pipeline_drain(pipeline, 100), 1);
    CU_ASSERT_EQUAL(fake.event, LINE_EVENT_UNIT_TRIPPED);
    CU_ASSERT_EQUAL(fake.owner, 1);
    TEST_TEXT_EQUAL(fake.log, "");
    pipeline_free(pipeline);
}

static void test_turns(void)
{
    struct pipeline *pipeline = begin();
    for (uint64_t i = 0; i < 5; i++)
        CU_ASSERT_TRUE(deliver(pipeline, 0, i, "x"));
    CU_ASSERT_EQUAL(pipeline_drain(pipeline, 3), 3);
    CU_ASSERT_EQUAL(pipeline_drain(pipeline, 3), 2); /* the rest in the next pass */
    pipeline_free(pipeline);
}

static void test_overload(void)
{
    struct pipeline *pipeline = begin();
    while (deliver(pipeline, 0, 1, "x"))
        ;
    CU_ASSERT_FALSE(deliver(pipeline, 0, 1, "x"));
    fake.is_full = true;
    pipeline_report_refused(pipeline); /* not now, and it is not forgotten */
    fake.is_full = false;
    pipeline_report_refused(pipeline);
    TEST_TEXT_EQUAL(fake.log, "gap overload 2\n");
    fake.log[0] = '\0';
    pipeline_report_refused(pipeline);
    TEST_TEXT_EQUAL(fake.log, "");
    pipeline_free(pipeline);
}

/* "pump" goes on under its old number in another place; "boiler" is another device now. */
static void test_apply(void)
{
    static struct config_device moved[] = {
        {.name = "new", .tags = tags, .n_tags = 1, .report = REPORT_ALWAYS, .heartbeat_s = 900},
        {.name = "boiler", .tags = tags, .n_tags = 1, .report = REPORT_ALWAYS, .heartbeat_s = 900},
        {.name = "pump", .tags = tags, .n_tags = 2, .report = REPORT_CHANGE, .heartbeat_s = 900}};
    static const struct config next = {.devices = moved, .n_devices = 3};
    static const uint16_t kept[] = {NUMBERING_NONE, NUMBERING_NONE, 1};
    CLEANUP(numbering_free) struct numbering first;
    CLEANUP(numbering_free) struct numbering numbers;
    struct pipeline *pipeline = begin();
    CU_ASSERT_TRUE(deliver(pipeline, 1, 7, "x"));
    CU_ASSERT_EQUAL(pipeline_drain(pipeline, 100), 1);
    CU_ASSERT_TRUE(deliver(pipeline, 0, 1, "late"));
    CU_ASSERT_TRUE(deliver(pipeline, 1, 7, "x"));
    numbering_begin(&first, 2);
    numbering_next(&first, kept, 3, &numbers);
    pipeline_apply(pipeline, &next, &numbers, kept);
    fake.log[0] = '\0';
    CU_ASSERT_EQUAL(pipeline_drain(pipeline, 100), 2);
    TEST_TEXT_EQUAL(fake.log, ""); /* gone; and unchanged since what was sent before */
    CU_ASSERT_EQUAL(value_table_get(pipeline_values(pipeline), 2, 0, NULL)->sample.value.u64, 7);
    CU_ASSERT_PTR_NULL(value_table_get(pipeline_values(pipeline), 1, 0, NULL));
    CU_ASSERT_TRUE(deliver(pipeline, 1, 8, "x"));
    CU_ASSERT_EQUAL(pipeline_drain(pipeline, 100), 1);
    TEST_TEXT_EQUAL(fake.log, "pump 8 level\n");
    pipeline_free(pipeline);
}

TEST_MAIN("pipeline", {"polls go on, unchanged ones on change do not", test_data},
          {"what a line reports of itself reaches the gateway", test_line_event},
          {"a full queue does not keep the loop from its other work", test_turns},
          {"what the queue refused is counted and reported once", test_overload},
          {"a kept device goes on under its number, a late batch of a lost one is dropped",
           test_apply})
