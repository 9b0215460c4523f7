/* What goes out first, and how much of the backlog beside it. The store and the session are fakes.
 */
#include "agent/flow/publisher.h"

#include "agent/payload/dialect_table.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct {
    uint64_t live_next, live_end, backlog_next, backlog_end; /* numbers still to hand out */
    size_t body_length;
    size_t window, in_flight;
    bool broken; /* the link breaks with the next publish */
    char log[4096];
    char last_topic[128], last_message[512];
} fake;

static char body[20000];

static bool next(uint64_t *at, uint64_t end, bool historical, struct outbox_message *ret_message)
{
    if (*at == end)
        return false;
    *ret_message = (struct outbox_message){.seq = (*at)++,
                                           .topic = "data/boiler",
                                           .historical = historical,
                                           .body = body,
                                           .body_length = fake.body_length};
    return true;
}

bool outbox_next_live(struct outbox *outbox, struct outbox_message *ret_message)
{
    (void)outbox;
    return next(&fake.live_next, fake.live_end, false, ret_message);
}

bool outbox_next_backlog(struct outbox *outbox, struct outbox_message *ret_message)
{
    (void)outbox;
    return next(&fake.backlog_next, fake.backlog_end, true, ret_message);
}

const char *outbox_stream(const struct outbox *outbox)
{
    (void)outbox;
    return "9f2c61aa";
}

size_t uplink_room(const struct uplink *uplink)
{
    (void)uplink;
    return fake.broken ? 0 : fake.window - fake.in_flight;
}

int uplink_publish(struct uplink *uplink, const struct mqtt_message *message, uint64_t tag)
{
    (void)uplink;
    CU_ASSERT_EQUAL(message->qos, 1); /* custody ends with the broker's acknowledgement */
    CU_ASSERT_FALSE(message->retained);
    CU_ASSERT(fake.in_flight < fake.window);
    fake.in_flight++;
    size_t used = strlen(fake.log);
    (void)snprintf(fake.log + used, sizeof(fake.log) - used, "%llu ", (unsigned long long)tag);
    (void)snprintf(fake.last_topic, sizeof(fake.last_topic), "%s", message->topic);
    (void)snprintf(fake.last_message, sizeof(fake.last_message), "%.*s", (int)message->length,
                   (const char *)message->payload);
    return 0;
}

static struct dialect *dialect;

static struct publisher *begin(size_t window, uint64_t rate)
{
    static const struct config config = {
        .gateway = {.id = (char *)"gw", .site = (char *)"plant-7"},
        .uplink = {.format = FORMAT_JSON, .prefix = (char *)"sallyport"}};
    memset(&fake, 0, sizeof(fake));
    memset(body, 'x', sizeof(body));
    fake.window = window;
    fake.body_length = 10;
    dialect = dialect_new(&config);
    return publisher_new((int64_t)window, rate, dialect, NULL, NULL);
}

static void end(struct publisher *publisher)
{
    CU_ASSERT_PTR_NULL(publisher_free(publisher));
    dialect_free(dialect);
}

static const char *pump(struct publisher *publisher, int64_t now_ms, int64_t expect)
{
    fake.log[0] = '\0';
    CU_ASSERT_EQUAL(publisher_pump(publisher, now_ms), expect);
    return fake.log;
}

static void test_form(void)
{
    struct publisher *publisher = begin(8, 0);
    fake.backlog_next = 7, fake.backlog_end = 8;
    fake.body_length = 3;
    (void)pump(publisher, 0, -1);
    TEST_TEXT_EQUAL(fake.last_topic, "sallyport/plant-7/gw/data/boiler");
    TEST_TEXT_EQUAL(fake.last_message,
                    "{\"stream\":\"9f2c61aa\",\"seq\":7,\"historical\":true,xxx");
    end(publisher);
}

static void test_live_first(void)
{
    struct publisher *publisher = begin(8, 0);
    fake.live_next = 100, fake.live_end = 103;
    fake.backlog_next = 1, fake.backlog_end = 50;
    /* the backlog leaves a quarter of the window to what comes next */
    TEST_TEXT_EQUAL(pump(publisher, 0, -1), "100 101 102 1 2 3 ");
    fake.live_end = 110;
    TEST_TEXT_EQUAL(pump(publisher, 0, -1), "103 104 ");
    TEST_TEXT_EQUAL(pump(publisher, 0, -1), "");
    fake.in_flight = 0;
    TEST_TEXT_EQUAL(pump(publisher, 0, -1), "105 106 107 108 109 4 ");
    end(publisher);
}

static void test_tiny_window(void)
{
    struct publisher *publisher = begin(1, 0); /* one message at a time still drains everything */
    fake.backlog_next = 1, fake.backlog_end = 3;
    TEST_TEXT_EQUAL(pump(publisher, 0, -1), "1 ");
    fake.in_flight = 0;
    TEST_TEXT_EQUAL(pump(publisher, 0, -1), "2 ");
    end(publisher);
}

static void test_rate(void)
{
    struct publisher *publisher = begin(64, 10240);
    fake.body_length = 10200; /* with its identity a little over a second's worth */
    fake.backlog_next = 1, fake.backlog_end = 50;
    fake.log[0] = '\0';
    int64_t wait_ms = publisher_pump(publisher, 1000000);
    TEST_TEXT_EQUAL(fake.log, "1 ");
    CU_ASSERT(wait_ms > 0 && wait_ms < 1000);
    TEST_TEXT_EQUAL(pump(publisher, 1000000, wait_ms), "");
    fake.live_next = 100, fake.live_end = 101; /* the limit is not for live data */
    TEST_TEXT_EQUAL(pump(publisher, 1000000, wait_ms), "100 ");
    fake.log[0] = '\0';
    (void)publisher_pump(publisher, 1000000 + wait_ms);
    TEST_TEXT_EQUAL(fake.log, "2 ");
    fake.log[0] = '\0';
    (void)publisher_pump(publisher, 9000000); /* hours of silence save up one second only */
    TEST_TEXT_EQUAL(fake.log, "3 ");
    end(publisher);
}

TEST_MAIN("publisher", {"a message has its topic and its identity", test_form},
          {"live data goes first, the backlog beside it", test_live_first},
          {"a window of one drains everything", test_tiny_window},
          {"the backlog keeps to its rate, live data does not wait", test_rate})
