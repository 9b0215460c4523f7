/* From the lines to custody. The store is a fake that remembers what it was given. */
#include "agent/flow/pipeline.h"

#include "agent/base/memory.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    char log[4096];            /* "TOPIC BODY\n" of each message in custody */
    struct outbox_facts facts; /* of the last one */
    bool full;                 /* refuses everything */
    size_t n_gaps, n_reported;
    struct outbox_gap gaps[4];
    enum line_event event;
    size_t owner;
} fake;

uint64_t outbox_take(struct outbox *outbox, const char *topic, const struct outbox_facts *facts,
                     const void *body, size_t body_length, int64_t now_ms, int64_t wall_ms)
{
    (void)outbox, (void)now_ms, (void)wall_ms;
    if (fake.full)
        return 0;
    size_t used = strlen(fake.log);
    (void)snprintf(fake.log + used, sizeof(fake.log) - used, "%s %.*s\n", topic, (int)body_length,
                   (const char *)body);
    fake.facts = *facts;
    return 1;
}

bool outbox_next_gap(const struct outbox *outbox, struct outbox_gap *ret_gap)
{
    (void)outbox;
    if (fake.n_reported == fake.n_gaps)
        return false;
    *ret_gap = fake.gaps[fake.n_reported];
    return true;
}

void outbox_gap_reported(struct outbox *outbox)
{
    (void)outbox;
    fake.n_reported++;
}

static void line_event(void *context, enum line_event event, size_t owner, int64_t timestamp_ms)
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
    return pipeline_new(&config, &encoder_json, NULL, &callbacks);
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
    TEST_TEXT_EQUAL(
        fake.log,
        "data/boiler \"timestamp\":5000,\"values\":{\"level\":1,"
        "\"name\":\"a name of more than one slot\"},\"errors\":{}}\n"
        "data/pump \"timestamp\":5000,\"values\":{\"level\":1,\"name\":\"x\"},\"errors\":{}}\n"
        "data/pump \"timestamp\":5000,\"values\":{\"level\":2},\"errors\":{}}\n");
    CU_ASSERT_EQUAL(fake.facts.kind, OUTBOX_DATA);
    TEST_TEXT_EQUAL(fake.facts.owner, "pump");
    CU_ASSERT_EQUAL(fake.facts.timestamp_ms, 5000);
    int64_t timestamp_ms;
    const union slot *latest = value_table_get(pipeline_values(pipeline), 1, 0, &timestamp_ms);
    CU_ASSERT_EQUAL(latest->sample.value.u64, 2);
    CU_ASSERT_EQUAL(timestamp_ms, 5000);
    pipeline_free(pipeline);
}

static void test_event(void)
{
    struct pipeline *pipeline = begin();
    CU_ASSERT_EQUAL(pipeline_event(pipeline, "started", 7000, NULL, 0), 1);
    TEST_TEXT_EQUAL(fake.log, "event \"timestamp\":7000,\"event\":\"started\"}\n");
    CU_ASSERT_EQUAL(fake.facts.kind, OUTBOX_EVENT);
    TEST_TEXT_EQUAL(fake.facts.owner, "");
    CU_ASSERT_EQUAL(fake.facts.timestamp_ms, 7000);
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
    fake.full = true;
    pipeline_report_losses(pipeline); /* cannot be told now, and is not forgotten */
    fake.full = false;
    pipeline_report_losses(pipeline);
    TEST_CONTAINS(fake.log, "event ");
    TEST_CONTAINS(fake.log, "\"event\":\"gap\",\"reason\":\"overload\",\"messages\":2}");
    fake.log[0] = '\0';
    pipeline_report_losses(pipeline);
    TEST_TEXT_EQUAL(fake.log, "");
    pipeline_free(pipeline);
}

static void test_gaps(void)
{
    struct pipeline *pipeline = begin();
    fake.gaps[0] = (struct outbox_gap){7, 9, 1000, 2000, "full"};
    fake.gaps[1] = (struct outbox_gap){12, 99, 0, 0, "power-loss"};
    fake.n_gaps = 2;
    fake.full = true;
    pipeline_report_losses(pipeline);
    CU_ASSERT_EQUAL(fake.n_reported, 0);
    fake.full = false;
    pipeline_report_losses(pipeline);
    CU_ASSERT_EQUAL(fake.n_reported, 2);
    TEST_CONTAINS(fake.log, "\"event\":\"gap\",\"first\":7,\"last\":9,\"from\":1000,\"to\":2000,"
                            "\"reason\":\"full\"}");
    TEST_CONTAINS(fake.log, "\"first\":12,\"last\":99,");
    pipeline_free(pipeline);
}

TEST_MAIN("pipeline", {"polls become messages, unchanged ones on change do not", test_data},
          {"an event has its kind and its time", test_event},
          {"what a line reports of itself reaches the gateway", test_line_event},
          {"a full queue does not keep the loop from its other work", test_turns},
          {"what the queue refused is counted and told once", test_overload},
          {"gaps of the store are told once, when they can be", test_gaps})
