/* From facts to custody. The store is a fake that remembers what it was given. */
#include "agent/flow/intake.h"

#include "agent/payload/dialect_table.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

static struct {
    char log[4096]; /* "TOPIC BODY\n" of each message in custody */
    struct outbox_facts facts;
    char owner[64]; /* of the last one */
    bool is_full;   /* refuses everything */
    size_t n_gaps, n_reported;
    struct outbox_gap gaps[4];
} fake;

uint64_t outbox_take(struct outbox *outbox, const char *topic, const struct outbox_facts *facts,
                     const void *body, size_t body_length, int64_t now_ms, int64_t wall_ms)
{
    (void)outbox, (void)now_ms, (void)wall_ms;
    if (fake.is_full)
        return 0;
    size_t used = strlen(fake.log);
    (void)snprintf(fake.log + used, sizeof(fake.log) - used, "%s %.*s\n", topic, (int)body_length,
                   (const char *)body);
    fake.facts = *facts;
    (void)snprintf(fake.owner, sizeof(fake.owner), "%s", facts->owner);
    return 7;
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

static struct dialect *dialect;

static struct intake *begin(void)
{
    static const struct config config = {
        .gateway = {.id = (char *)"gw", .site = (char *)"plant-7"},
        .uplink = {.format = FORMAT_JSON, .prefix = (char *)"acme"}};
    memset(&fake, 0, sizeof(fake));
    dialect = dialect_new(&config);
    return intake_new(dialect, NULL);
}

static void end(struct intake *intake)
{
    CU_ASSERT_PTR_NULL(intake_free(intake));
    dialect_free(dialect);
}

static void test_data(void)
{
    static struct config_tag tags[] = {{.name = (char *)"level", .type = VALUE_UINT16}};
    const struct config_device pump = {.name = (char *)"pump", .tags = tags, .n_tags = 1};
    static const bool none[1];
    union slot slots[4];
    struct batch batch = {.slots = slots, .capacity = 4};
    struct intake *intake = begin();
    batch_begin(&batch, 0);
    batch_put_u64(&batch, 0, 5);
    batch_end(&batch, 5000);
    CU_ASSERT_EQUAL(intake_data(intake, &pump, slots, batch.used, NULL), 7);
    TEST_TEXT_EQUAL(fake.log,
                    "data/pump \"timestamp\":5000,\"values\":{\"level\":5},\"errors\":{}}\n");
    CU_ASSERT_EQUAL(fake.facts.kind, OUTBOX_DATA);
    CU_ASSERT_EQUAL(fake.facts.timestamp_ms, 5000);
    TEST_TEXT_EQUAL(fake.owner, "pump");
    fake.log[0] = '\0';
    CU_ASSERT_EQUAL(intake_data(intake, &pump, slots, batch.used, none), 0);
    TEST_TEXT_EQUAL(fake.log, ""); /* nothing was worth a message */
    end(intake);
}

static void test_event(void)
{
    struct intake *intake = begin();
    struct event event;
    event_init(&event, EVENT_UNIT_TRIPPED, 99);
    event_add_text(&event, MEMBER_LINE, "plc1");
    event_add_text(&event, MEMBER_DEVICE, "pump");
    CU_ASSERT_EQUAL(intake_event(intake, &event), 7);
    TEST_TEXT_EQUAL(fake.log, "event \"timestamp\":99,\"event\":\"unit_tripped\","
                              "\"line\":\"plc1\",\"device\":\"pump\"}\n");
    CU_ASSERT_EQUAL(fake.facts.kind, OUTBOX_EVENT);
    CU_ASSERT_EQUAL(fake.facts.timestamp_ms, 99);
    TEST_TEXT_EQUAL(fake.owner, "pump");
    event_init(&event, EVENT_STOPPING, 100);
    CU_ASSERT_EQUAL(intake_event(intake, &event), 7);
    TEST_TEXT_EQUAL(fake.owner, "");
    fake.is_full = true;
    CU_ASSERT_EQUAL(intake_event(intake, &event), 0);
    end(intake);
}

static void test_gaps(void)
{
    struct intake *intake = begin();
    fake.gaps[0] = (struct outbox_gap){7, 9, 1000, 2000, "full"};
    fake.gaps[1] = (struct outbox_gap){12, 99, 0, 0, "power-loss"};
    fake.n_gaps = 2;
    fake.is_full = true;
    intake_report_gaps(intake);
    CU_ASSERT_EQUAL(fake.n_reported, 0);
    fake.is_full = false;
    intake_report_gaps(intake);
    CU_ASSERT_EQUAL(fake.n_reported, 2);
    TEST_CONTAINS(fake.log, "\"event\":\"gap\",\"first\":7,\"last\":9,\"from\":1000,\"to\":2000,"
                            "\"reason\":\"full\"}");
    TEST_CONTAINS(fake.log, "\"first\":12,\"last\":99,\"from\":0,\"to\":0,");
    fake.log[0] = '\0';
    intake_report_gaps(intake);
    TEST_TEXT_EQUAL(fake.log, "");
    end(intake);
}

TEST_MAIN("intake", {"a poll goes in with its device and time", test_data},
          {"so does an event", test_event},
          {"gaps of the store are reported once, when they can be", test_gaps})
