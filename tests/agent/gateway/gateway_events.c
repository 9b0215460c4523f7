/* What the gateway reports of its own. Intake, lines and certificates are fakes. */
#include "agent/gateway/gateway_events.h"

#include "agent/base/memory.h"
#include "agent/tls/certificate.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct line {
    const char *error;
};

static struct config_bus buses[] = {{.name = (char *)"plc1"}, {.name = (char *)"plc2"}};
static struct config_device devices[] = {{.name = (char *)"boiler", .bus = 0},
                                         {.name = (char *)"pump", .bus = 1}};
static const struct config config = {
    .buses = buses, .n_buses = 2, .devices = devices, .n_devices = 2};

const struct config *line_config(const struct line *line)
{
    (void)line;
    return &config;
}

void line_get_health(struct line *line, struct line_health *ret_health)
{
    *ret_health = (struct line_health){.state = LINE_DOWN};
    (void)snprintf(ret_health->error, sizeof(ret_health->error), "%s", line->error);
}

void line_get_device_health(struct line *line, size_t device, struct device_health *ret_health)
{
    *ret_health = (struct device_health){.state = UNIT_TRIPPED};
    (void)snprintf(ret_health->error, sizeof(ret_health->error), "%s, device %zu", line->error,
                   device);
}

/* A file is called after the days that its certificate is still good for. */
int certificate_time_left(const char *path, int64_t now_s, int64_t *ret_left_s, char *subject,
                          size_t size)
{
    long long days;
    CU_ASSERT_TRUE(now_s > 1000000);
    if (sscanf(path, "%lld", &days) != 1)
        return -ENOENT;
    *ret_left_s = days * 86400;
    (void)snprintf(subject, size, "CN=%s", path);
    return 0;
}

static char seen[2000]; /* "TIME NAME KEY=VALUE ...\n" of each event */

uint64_t intake_event(struct intake *intake, const struct event *event)
{
    size_t used = strlen(seen);
    (void)intake;
    used +=
        (size_t)snprintf(seen + used, sizeof(seen) - used, "%lld %s",
                         event->time_ms < 1000 ? (long long)event->time_ms : 0, event_name(event));
    for (size_t i = 0; i < event->n_members; i++) {
        const struct event_member *member = &event->members[i];
        used += (size_t)snprintf(seen + used, sizeof(seen) - used,
                                 " %s=", event_member_name(event, member));
        used += member->is_number ? (size_t)snprintf(seen + used, sizeof(seen) - used, "%lld",
                                                     (long long)member->number)
                                  : (size_t)snprintf(seen + used, sizeof(seen) - used, "\"%s\"",
                                                     event_member_text(event, member));
    }
    (void)snprintf(seen + used, sizeof(seen) - used, "\n");
    return 1;
}

static void test_lines(void)
{
    static struct line plc2 = {"no route"};
    struct line *const lines[] = {NULL, &plc2};
    seen[0] = '\0';
    gateway_events_line(NULL, &config, lines, LINE_EVENT_NONE, 1, 1);
    gateway_events_line(NULL, &config, lines, LINE_EVENT_DOWN, 1, 2);
    gateway_events_line(NULL, &config, lines, LINE_EVENT_UP, 1, 3);
    gateway_events_line(NULL, &config, lines, LINE_EVENT_UNIT_TRIPPED, 1, 4);
    gateway_events_line(NULL, &config, lines, LINE_EVENT_UNIT_RECOVERED, 1, 5);
    gateway_events_line(NULL, &config, lines, LINE_EVENT_DOWN, 0, 6); /* the line is gone */
    TEST_TEXT_EQUAL(seen,
                    "2 line_down line=\"plc2\" reason=\"no route\"\n"
                    "3 line_up line=\"plc2\"\n"
                    "4 unit_tripped line=\"plc2\" device=\"pump\" reason=\"no route, device 1\"\n"
                    "5 unit_recovered line=\"plc2\" device=\"pump\"\n"
                    "6 line_down line=\"plc1\" reason=\"\"\n");
}

static void test_texts(void)
{
    seen[0] = '\0';
    gateway_events_text(NULL, EVENT_STARTED, MEMBER_VERSION, "1.2");
    gateway_events_text(NULL, EVENT_STOPPING, MEMBER_OTHER, NULL);
    TEST_TEXT_EQUAL(seen, "0 started version=\"1.2\"\n0 stopping\n");
}

static void test_certificates(void)
{
    struct config_uplink uplink = {.certificate = (char *)"30.pem", .ca = (char *)"system"};
    seen[0] = '\0';
    gateway_events_certificates(NULL, &uplink);
    TEST_TEXT_EQUAL(seen, "0 certificate_expiring file=\"30.pem\" subject=\"CN=30.pem\" "
                          "days_left=30\n");
    seen[0] = '\0';
    uplink = (struct config_uplink){.certificate = (char *)"gone.pem", .ca = (char *)"31.pem"};
    gateway_events_certificates(NULL, &uplink);
    TEST_TEXT_EQUAL(seen, "");
    uplink = (struct config_uplink){.certificate = NULL, .ca = (char *)"-1.pem"};
    gateway_events_certificates(NULL, &uplink);
    TEST_CONTAINS(seen, "days_left=-1\n");
}

static void test_few_lines(void)
{
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    gateway_events_summary("a.conf:1: x: wrong\na.conf:2: y: wrong\n", &out);
    TEST_TEXT_EQUAL(strbuf_text(&out), "a.conf:1: x: wrong; a.conf:2: y: wrong");
    strbuf_reset(&out);
    gateway_events_summary("", &out);
    TEST_TEXT_EQUAL(strbuf_text(&out), "");
}

static void test_many_lines(void)
{
    CLEANUP(strbuf_free) struct strbuf lines = STRBUF_EMPTY, out = STRBUF_EMPTY;
    for (int i = 1; i <= 10000; i++)
        strbuf_addf(&lines, "tag %d changed\n", i);
    gateway_events_summary(strbuf_text(&lines), &out);
    TEST_CONTAINS(strbuf_text(&out), "; tag 10 changed; and 9990 more");
    CU_ASSERT(out.length < 500);
    CU_ASSERT_PTR_NULL(strchr(strbuf_text(&out), '\n'));
}

static void test_long_line(void)
{
    CLEANUP(strbuf_free) struct strbuf line = STRBUF_EMPTY, out = STRBUF_EMPTY;
    strbuf_add(&line, "x");
    for (int i = 0; i < 5000; i++)
        strbuf_add(&line, "\xc3\xa9");
    gateway_events_summary(strbuf_text(&line), &out);
    CU_ASSERT(out.length < 250);
    TEST_CONTAINS(strbuf_text(&out), "\xc3\xa9..."); /* no half character */
}

static void test_store(void)
{
    char known[40] = "";
    CU_ASSERT_FALSE(gateway_events_store("", known, sizeof(known)));
    CU_ASSERT_TRUE(gateway_events_store("disk full", known, sizeof(known)));
    CU_ASSERT_FALSE(gateway_events_store("disk full", known, sizeof(known)));
    CU_ASSERT_TRUE(gateway_events_store("", known, sizeof(known)));
}

/* Once when it begins, whatever the reason becomes, and once when it ends. */
static void test_unsafe(void)
{
    int64_t known_ms = 0;
    struct outbox_stats stats = {.unsafe_since_ms = 0};
    seen[0] = '\0';
    CU_ASSERT_FALSE(gateway_events_unsafe(NULL, &stats, &known_ms));
    stats.unsafe_since_ms = 500;
    (void)snprintf(stats.unsafe_reason, sizeof(stats.unsafe_reason), "disk full");
    CU_ASSERT_TRUE(gateway_events_unsafe(NULL, &stats, &known_ms));
    CU_ASSERT_FALSE(gateway_events_unsafe(NULL, &stats, &known_ms));
    CU_ASSERT_EQUAL(known_ms, 500);
    stats.unsafe_since_ms = 0;
    CU_ASSERT_TRUE(gateway_events_unsafe(NULL, &stats, &known_ms));
    CU_ASSERT_FALSE(gateway_events_unsafe(NULL, &stats, &known_ms));
    TEST_CONTAINS(seen, "store_unsafe from=500 reason=\"disk full\"\n0 store_safe from=500 to=");
}

TEST_MAIN("gateway_events", {"lines and devices, and why they failed", test_lines},
          {"small events with one text or none", test_texts},
          {"certificates that expire", test_certificates},
          {"a few lines are given whole", test_few_lines},
          {"of many lines the first are given, and how many more there are", test_many_lines},
          {"a long line is cut between two characters", test_long_line},
          {"trouble with the store is reported once, and its end", test_store},
          {"what a power cut may cost is reported once, and the end", test_unsafe})
