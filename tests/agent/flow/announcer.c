/*
 * What goes out first in a session, and the status after it. The session is a fake; so is the
 * dialect, which opens a session with two messages.
 */
#include "agent/flow/announcer.h"

#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct {
    size_t room; /* of the window */
    char log[512];
} fake;

int uplink_publish(struct uplink *uplink, const struct mqtt_message *message, uint64_t tag)
{
    (void)uplink;
    CU_ASSERT_EQUAL(tag, 0);
    if (fake.room == 0)
        return -EAGAIN;
    fake.room--;
    size_t used = strlen(fake.log);
    (void)snprintf(fake.log + used, sizeof(fake.log) - used, "%s=%.*s ", message->topic,
                   (int)message->length, (const char *)message->payload);
    return 0;
}

static void make(struct dialect_message *message, const char *topic, int64_t number)
{
    strbuf_reset(&message->topic);
    strbuf_add(&message->topic, topic);
    strbuf_reset(&message->payload);
    strbuf_add_i64(&message->payload, number);
}

static bool fake_birth(struct dialect *dialect, const struct status_facts *facts, size_t index,
                       struct dialect_message *message)
{
    (void)dialect;
    make(message, index == 0 ? "node" : "device", facts->wall_ms);
    return index < 2;
}

static void fake_status(struct dialect *dialect, const struct status_facts *facts,
                        struct dialect_message *message)
{
    (void)dialect;
    make(message, "status", facts->wall_ms);
}

static bool fake_farewell(struct dialect *dialect, struct dialect_message *message)
{
    (void)dialect;
    make(message, "death", 0);
    return true;
}

static const struct dialect_type type = {
    .birth = fake_birth, .status = fake_status, .farewell = fake_farewell};

/* Each snapshot has a number of its own. */
static void get_facts(void *context, struct status_facts *ret_facts)
{
    int64_t *snapshots = context;
    *ret_facts = (struct status_facts){.wall_ms = ++*snapshots};
}

static struct announcer *begin(int64_t *snapshots)
{
    static struct dialect dialect = {&type};
    *snapshots = 0;
    memset(&fake, 0, sizeof(fake));
    fake.room = 10;
    return announcer_new(&dialect, NULL, get_facts, snapshots);
}

static const char *settle(struct announcer *announcer, int64_t now_ms, int64_t expected_due_ms)
{
    CU_ASSERT_EQUAL(announcer_settle(announcer, now_ms), expected_due_ms);
    static char seen[sizeof(fake.log)];
    strcpy(seen, fake.log);
    fake.log[0] = '\0';
    return seen;
}

static void test_session(void)
{
    int64_t snapshots;
    struct announcer *announcer = begin(&snapshots);
    announcer_status_soon(announcer, 1000);
    TEST_TEXT_EQUAL(settle(announcer, 5000, INT64_MAX), ""); /* there is no session */
    CU_ASSERT_FALSE(announcer_is_open(announcer));
    announcer_farewell(announcer);
    TEST_TEXT_EQUAL(fake.log, "");
    announcer_open(announcer, 10000);
    CU_ASSERT_TRUE(announcer_is_open(announcer));
    TEST_TEXT_EQUAL(settle(announcer, 10000, 70000), "node=1 device=1 ");
    TEST_TEXT_EQUAL(settle(announcer, 69999, 70000), "");
    TEST_TEXT_EQUAL(settle(announcer, 70000, 130000), "status=2 ");
    announcer_farewell(announcer);
    TEST_TEXT_EQUAL(settle(announcer, 70000, 130000), "death=0 ");
    announcer_close(announcer);
    CU_ASSERT_FALSE(announcer_is_open(announcer));
    TEST_TEXT_EQUAL(settle(announcer, 200000, INT64_MAX), "");
    announcer_open(announcer, 300000); /* the next session is opened in full */
    TEST_TEXT_EQUAL(settle(announcer, 300000, 360000), "node=3 device=3 ");
    announcer_open(announcer, 300001); /* somebody wants to hear it again */
    TEST_TEXT_EQUAL(settle(announcer, 300001, 360001), "node=4 device=4 ");
    CU_ASSERT_PTR_NULL(announcer_free(announcer));
}

/* A burst of changes makes one status, within a second. */
static void test_changes(void)
{
    int64_t snapshots;
    struct announcer *announcer = begin(&snapshots);
    announcer_open(announcer, 1000);
    (void)settle(announcer, 1000, 61000);
    announcer_status_soon(announcer, 2000);
    announcer_status_soon(announcer, 2900);
    TEST_TEXT_EQUAL(settle(announcer, 2999, 3000), "");
    TEST_TEXT_EQUAL(settle(announcer, 3000, 63000), "status=2 ");
    announcer_status_soon(announcer, 62500); /* it is due before */
    TEST_TEXT_EQUAL(settle(announcer, 63000, 123000), "status=3 ");
    announcer_free(announcer);
}

/* A full window delays, and changes no order. */
static void test_full(void)
{
    int64_t snapshots;
    struct announcer *announcer = begin(&snapshots);
    fake.room = 1;
    announcer_open(announcer, 1000);
    CU_ASSERT_FALSE(announcer_is_open(announcer));
    TEST_TEXT_EQUAL(settle(announcer, 1000, 2000), "node=1 ");
    announcer_farewell(announcer); /* of a session that was never open */
    TEST_TEXT_EQUAL(settle(announcer, 1500, 2500), "");
    fake.room = 1;
    TEST_TEXT_EQUAL(settle(announcer, 1600, 61600), "device=4 ");
    CU_ASSERT_TRUE(announcer_is_open(announcer));
    TEST_TEXT_EQUAL(settle(announcer, 61600, 62600), "");
    TEST_TEXT_EQUAL(settle(announcer, 62599, 62600), "");
    fake.room = 1;
    TEST_TEXT_EQUAL(settle(announcer, 62600, 122600), "status=6 ");
    announcer_free(announcer);
}

TEST_MAIN("announcer", {"a session is opened, then the status goes out each minute", test_session},
          {"changes are announced within a second", test_changes},
          {"a full window delays what opens the session and the status", test_full})
