/* The status document. The lines are fakes. */
#include "agent/payload/status.h"

#include "tests/support/test.h"
#include "tunnel/firewall/firewall.h"
#include "tunnel/model/session.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

struct line {
    struct line_health health;
    struct device_health devices[2];
};

void line_get_health(struct line *line, struct line_health *ret_health)
{
    *ret_health = line->health;
}

void line_get_device_health(struct line *line, size_t device, struct device_health *ret_health)
{
    *ret_health = line->devices[device];
}

const size_t *line_devices(const struct line *line, size_t *ret_length)
{
    static const size_t devices[] = {0, 1};
    (void)line;
    *ret_length = 2;
    return devices;
}

static struct config_bus buses[] = {{.name = (char *)"spare"}, {.name = (char *)"plc1"}};
static struct config_device devices[] = {{.name = (char *)"boiler"}, {.name = (char *)"pump"}};
static const struct config config = {.gateway = {.id = (char *)"gw", .site = (char *)"plant-7"},
                                     .buses = buses,
                                     .n_buses = 2,
                                     .devices = devices,
                                     .n_devices = 2};

const struct config *line_config(const struct line *line)
{
    (void)line;
    return &config;
}

static struct line plc1 = {
    .health = {.state = LINE_UP,
               .polls_ok = 5,
               .polls_failed = 1,
               .polls_skipped = 2,
               .batches_refused = 3,
               .error = "an old one"},
    .devices = {{.state = UNIT_OK, .polls_ok = 4, .last_us = 1500, .error = "an old one"},
                {.state = UNIT_TRIPPED, .polls_failed = 9, .error = "no \"answer\""}}};
static struct line *lines[] = {NULL, &plc1};

static const struct status_facts plain = {
    .wall_ms = INT64_C(1795343987123),
    .uptime_s = 60,
    .config = &config,
    .lines = lines,
    .stream = "9f2c61aa",
    .outbox = {.messages = 1,
               .bytes = 4096,
               .dropped = 7,
               .next_seq = 12,
               .max_bytes = 1 << 20,
               .runway_h = -1},
    .uplink = {.phase = UPLINK_UP,
               .server = "mqtts://b:8883",
               .reason = "",
               .since_wall_ms = 17,
               .next_attempt_ms = 0,
               .connects = 2,
               .failures = 1,
               .published = 30,
               .acknowledged = 29,
               .in_flight = 1},
};

#define HEAD                                                                                       \
    "{\"state\":\"online\",\"timestamp\":1795343987123,\"version\":\"" SALLYPORT_VERSION           \
    "\",\"uptime_s\":60"
#define LINES                                                                                      \
    ",\"lines\":{\"plc1\":{\"state\":\"up\",\"polls_ok\":5,\"polls_failed\":1,"                    \
    "\"polls_skipped\":2,\"refused\":3,\"units\":{"                                                \
    "\"boiler\":{\"state\":\"ok\",\"polls_ok\":4,\"polls_failed\":0,\"last_ms\":1.500},"           \
    "\"pump\":{\"state\":\"tripped\",\"polls_ok\":0,\"polls_failed\":9,\"last_ms\":0.000,"         \
    "\"error\":\"no \\\"answer\\\"\"}}}}"
#define OUTBOX                                                                                     \
    ",\"outbox\":{\"stream\":\"9f2c61aa\",\"messages\":1,\"bytes\":4096,\"max_bytes\":1048576,"    \
    "\"dropped\":7,\"next_seq\":12,\"runway_h\":null}"

static void expect(const struct status_facts *facts, bool local, const char *expected)
{
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    struct json_text json = JSON_TEXT(&out);
    status_json(facts, local, &json);
    TEST_TEXT_EQUAL(strbuf_text(&out), expected);
    json_t *parsed = json_loads(strbuf_text(&out), JSON_REJECT_DUPLICATES, NULL);
    CU_ASSERT_PTR_NOT_NULL(parsed);
    json_decref(parsed);
}

static void test_without_netd(void)
{
    expect(&plain, false,
           HEAD LINES OUTBOX
           ",\"firewall\":{\"state\":\"unknown\"},\"tunnel\":{\"state\":\"unknown\"}}");
}

static void test_local(void)
{
    expect(&plain, true,
           HEAD ",\"gateway\":\"plant-7/gw\",\"uplink\":{\"state\":\"up\",\"server\":"
                "\"mqtts://b:8883\",\"reason\":\"\",\"since\":17,\"next_attempt_ms\":0,"
                "\"connects\":2,\"failures\":1,\"published\":30,\"acknowledged\":29,"
                "\"in_flight\":1}" LINES OUTBOX
                ",\"firewall\":{\"state\":\"unknown\"},\"tunnel\":{\"state\":\"unknown\"}}");
}

/* Why a line is down, and what is wrong with the store. */
static void test_trouble(void)
{
    struct line line = {.health = {.state = LINE_DOWN, .error = "no route"}};
    struct line *const down[] = {&line, NULL};
    struct status_facts facts = plain;
    facts.lines = down;
    facts.outbox.runway_h = 12.345;
    (void)snprintf(facts.outbox.problem, sizeof(facts.outbox.problem), "disk full");
    facts.outbox.unsafe_since_ms = 1795343987000;
    (void)snprintf(facts.outbox.unsafe_reason, sizeof(facts.outbox.unsafe_reason), "it is full");
    expect(&facts, false,
           HEAD ",\"lines\":{\"spare\":{\"state\":\"down\",\"polls_ok\":0,\"polls_failed\":0,"
                "\"polls_skipped\":0,\"refused\":0,\"error\":\"no route\",\"units\":{"
                "\"boiler\":{\"state\":\"unknown\",\"polls_ok\":0,\"polls_failed\":0,"
                "\"last_ms\":0.000},\"pump\":{\"state\":\"unknown\",\"polls_ok\":0,"
                "\"polls_failed\":0,\"last_ms\":0.000}}}},"
                "\"outbox\":{\"stream\":\"9f2c61aa\",\"messages\":1,\"bytes\":4096,"
                "\"max_bytes\":1048576,\"dropped\":7,\"next_seq\":12,\"runway_h\":12.3,"
                "\"problem\":\"disk full\",\"unsafe_since\":1795343987000,"
                "\"unsafe_reason\":\"it is full\"},"
                "\"firewall\":{\"state\":\"unknown\"},\"tunnel\":{\"state\":\"unknown\"}}");
}

/* A device whose replies come late is well, and the status says how late. */
static void test_late_replies(void)
{
    struct line line = plc1;
    struct line *const of_config[] = {NULL, &line};
    struct status_facts facts = plain;
    facts.lines = of_config;
    line.devices[0].polls_late = 3;
    for (int is_late = 0; is_late < 2; is_late++) {
        CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
        struct json_text json = JSON_TEXT(&out);
        line.devices[0].is_late = is_late;
        status_json(&facts, false, &json);
        TEST_CONTAINS(strbuf_text(&out), "\"last_ms\":1.500,\"polls_late\":3");
        CU_ASSERT_EQUAL(strstr(strbuf_text(&out), "an old one") != NULL, is_late);
    }
}

static void test_session(void)
{
    struct wire_status status = {.session_state = SESSION_OPEN,
                                 .remaining_ms = 3599999,
                                 .bytes = 77,
                                 .n_services = 2,
                                 .services = {"ssh", "plc1"},
                                 .opener = "alice@plant-7",
                                 .reason = "drive \"fault\"",
                                 .firewall_state = FIREWALL_LOCKED,
                                 .firewall_exceptions = 1,
                                 .firewall_reloads = 2,
                                 .agent_reach = AGENT_BOUND,
                                 .firewall_problem = "x"};
    const struct wire_counters counters = {
        .dropped_in = 1, .dropped_forward = 2, .dropped_out = 3, .spoofed = 4};
    struct status_facts facts = plain;
    facts.netd = &status;
    facts.counters = &counters;
    expect(&facts, false,
           HEAD LINES OUTBOX
           ",\"firewall\":{\"state\":\"locked\",\"exceptions\":1,\"reloads\":2,\"agent\":\"bound\","
           "\"dropped_in\":1,"
           "\"dropped_forward\":2,\"dropped_out\":3,\"spoofed\":4,\"problem\":\"x\"},"
           "\"tunnel\":{\"state\":\"open\",\"services\":[\"ssh\",\"plc1\"],\"remaining_s\":3599,"
           "\"bytes\":77,\"opener\":\"alice@plant-7\",\"reason\":\"drive \\\"fault\\\"\"}}");
    facts.counters = NULL;
    status = (struct wire_status){.session_state = SESSION_CLOSED,
                                  .session_end = SESSION_END_EXPIRED,
                                  .firewall_state = FIREWALL_LOCKED};
    expect(
        &facts, false,
        HEAD LINES OUTBOX
        ",\"firewall\":{\"state\":\"locked\",\"exceptions\":0,\"reloads\":0,\"agent\":\"unknown\"},"
        "\"tunnel\":{\"state\":\"closed\",\"last_end\":\"expired\"}}");
    status.session_end = SESSION_END_NONE;
    expect(
        &facts, false,
        HEAD LINES OUTBOX
        ",\"firewall\":{\"state\":\"locked\",\"exceptions\":0,\"reloads\":0,\"agent\":\"unknown\"},"
        "\"tunnel\":{\"state\":\"closed\"}}");
}

TEST_MAIN("status", {"lines, devices and outbox; netd may not be there", test_without_netd},
          {"the command line also learns of the uplink", test_local},
          {"what is wrong is said", test_trouble}, {"late replies are said", test_late_replies},
          {"firewall and tunnel as netd has them", test_session})
