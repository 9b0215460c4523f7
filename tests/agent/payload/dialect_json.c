/* The JSON dialect: a golden text for each kind of message. */
#include "agent/payload/dialect_json.h"

#include "agent/payload/dialect_table.h"
#include "tests/support/test.h"

#include <jansson.h>
#include <string.h>

#define STREAM "9f2c61aa"

static union slot slots[256];
static struct config_tag tags[] = {{.name = "temperature"}, {.name = "running"}, {.name = "total"},
                                   {.name = "model"},       {.name = "alarm"},   {.name = "lost"}};
static const struct config_device device = {.name = "boiler", .tags = tags, .n_tags = 6};
static const struct config config = {
    .gateway = {.id = (char *)"gw", .site = (char *)"plant-7"},
    .uplink = {.format = FORMAT_JSON, .prefix = (char *)"acme"},
};

/* The dialect under test, and what it makes. */
struct speech {
    struct dialect *dialect;
    const struct dialect_type *type;
    struct strbuf text;
    struct dialect_message message;
};

static struct speech begin(void)
{
    struct speech speech = {.dialect = dialect_new(&config)};
    CU_ASSERT_PTR_NOT_NULL_FATAL(speech.dialect);
    speech.type = speech.dialect->type;
    return speech;
}

static void end(struct speech *speech)
{
    dialect_message_free(&speech->message);
    strbuf_free(&speech->text);
    CU_ASSERT_PTR_NULL(dialect_free(speech->dialect));
}

static void expect(const struct speech *speech, const char *topic, const char *payload,
                   bool retained)
{
    TEST_TEXT_EQUAL(strbuf_text(&speech->message.topic), topic);
    TEST_TEXT_EQUAL(strbuf_text(&speech->message.payload), payload);
    CU_ASSERT_EQUAL(speech->message.retained, retained);
    CU_ASSERT_EQUAL(speech->message.qos, 1);
}

static size_t make_batch(void)
{
    struct batch batch = {.slots = slots, .capacity = 256, .used = 0};
    batch_begin(&batch, 0);
    batch_put_f64(&batch, 0, 21.5);
    batch_put_bool(&batch, 1, true);
    batch_put_u64(&batch, 2, UINT64_MAX);
    batch_put_text(&batch, 3, "PM \"51\\10\" \xc2\xb0", 13);
    batch_put_bad(&batch, 4, QUALITY_EXCEPTION, 2);
    batch_put_bad(&batch, 5, QUALITY_TIMEOUT, 0);
    batch_end(&batch, INT64_C(1795343987123));
    return batch.used;
}

static void test_table(void)
{
    struct config other = config;
    CU_ASSERT_PTR_NULL(dialect_free(NULL));
    other.uplink.format = FORMAT_SPARKPLUG;
    CU_ASSERT_PTR_NULL(dialect_new(&other));
    struct speech speech = begin();
    CU_ASSERT_PTR_EQUAL(speech.type, &dialect_json);
    end(&speech);
}

static void test_data(void)
{
    struct speech speech = begin();
    const struct outbox_facts facts = {.kind = OUTBOX_DATA, .owner = "boiler"};
    size_t n_slots = make_batch();
    CU_ASSERT_EQUAL(speech.type->data(speech.dialect, &device, slots, n_slots, NULL, &speech.text),
                    6);
    const struct outbox_message stored = {.seq = 1234,
                                          .topic = "data/boiler",
                                          .facts = facts,
                                          .body = speech.text.data,
                                          .body_length = speech.text.length};
    speech.type->envelope(speech.dialect, STREAM, &stored, &speech.message);
    expect(&speech, "acme/plant-7/gw/data/boiler",
           "{\"stream\":\"9f2c61aa\",\"seq\":1234,\"timestamp\":1795343987123,\"values\":{"
           "\"temperature\":21.5,\"running\":true,\"total\":18446744073709551615,"
           "\"model\":\"PM \\\"51\\\\10\\\" \xc2\xb0\"},"
           "\"errors\":{\"alarm\":\"exception-2\",\"lost\":\"timeout\"}}",
           false);
    json_t *parsed =
        json_loads(strbuf_text(&speech.message.payload), JSON_DECODE_INT_AS_REAL, NULL);
    CU_ASSERT_PTR_NOT_NULL(parsed);
    json_decref(parsed);
    strbuf_reset(&speech.text);
    speech.type->topic(speech.dialect, &facts, &speech.text);
    TEST_TEXT_EQUAL(strbuf_text(&speech.text), "data/boiler");
    end(&speech);
}

static void test_historical(void)
{
    struct speech speech = begin();
    static const char body[] = "\"timestamp\":1}";
    const struct outbox_message stored = {.seq = 7,
                                          .topic = "event",
                                          .historical = true,
                                          .body = body,
                                          .body_length = sizeof(body) - 1};
    speech.type->envelope(speech.dialect, "00000001", &stored, &speech.message);
    expect(&speech, "acme/plant-7/gw/event",
           "{\"stream\":\"00000001\",\"seq\":7,\"historical\":true,\"timestamp\":1}", false);
    end(&speech);
}

static void test_picked(void)
{
    struct speech speech = begin();
    bool picked[6] = {[2] = true, [5] = true};
    size_t n_slots = make_batch();
    CU_ASSERT_EQUAL(
        speech.type->data(speech.dialect, &device, slots, n_slots, picked, &speech.text), 2);
    TEST_TEXT_EQUAL(strbuf_text(&speech.text),
                    "\"timestamp\":1795343987123,\"values\":{\"total\":"
                    "18446744073709551615},\"errors\":{\"lost\":\"timeout\"}}");
    memset(picked, 0, sizeof(picked));
    CU_ASSERT_EQUAL(
        speech.type->data(speech.dialect, &device, slots, n_slots, picked, &speech.text), 0);
    end(&speech);
}

static void test_event(void)
{
    struct speech speech = begin();
    const struct outbox_facts facts = {.kind = OUTBOX_EVENT, .owner = ""};
    struct event event;
    event_init(&event, EVENT_GAP, 99);
    event_add_number(&event, MEMBER_FIRST, -5);
    event_add_text(&event, MEMBER_REASON, "tab\tbad\xff byte\x7f");
    speech.type->event(speech.dialect, &event, &speech.text);
    TEST_TEXT_EQUAL(strbuf_text(&speech.text),
                    "\"timestamp\":99,\"event\":\"gap\",\"first\":-5,"
                    "\"reason\":\"tab\\u0009bad\xef\xbf\xbd byte\\u007f\"}");
    strbuf_reset(&speech.text);
    event_init(&event, EVENT_STOPPING, 100);
    speech.type->event(speech.dialect, &event, &speech.text);
    TEST_TEXT_EQUAL(strbuf_text(&speech.text), "\"timestamp\":100,\"event\":\"stopping\"}");
    strbuf_reset(&speech.text);
    speech.type->topic(speech.dialect, &facts, &speech.text);
    TEST_TEXT_EQUAL(strbuf_text(&speech.text), "event");
    end(&speech);
}

static void test_challenge(void)
{
    struct speech speech = begin();
    speech.type->challenge(speech.dialect, "0a1b", &speech.message);
    expect(&speech, "acme/plant-7/gw/challenge", "0a1b", true);
    speech.type->challenge(speech.dialect, "", &speech.message); /* the broker forgets it */
    expect(&speech, "acme/plant-7/gw/challenge", "", true);
    CU_ASSERT_EQUAL(speech.message.payload.length, 0);
    end(&speech);
}

static void test_reply(void)
{
    struct speech speech = begin();
    struct wire_signed_reply reply = {.session_state = SESSION_OPEN,
                                      .id = "job-1",
                                      .text =
                                          "ssh tcp 10.254.1.42:22\n\nplc1 tcp 192.168.10.5:502\n"};
    speech.type->reply(speech.dialect, REFUSAL_NONE, &reply, &speech.message);
    expect(&speech, "acme/plant-7/gw/reply",
           "{\"id\":\"job-1\",\"result\":\"accepted\",\"state\":\"open\",\"connect\":"
           "[\"ssh tcp 10.254.1.42:22\",\"plc1 tcp 192.168.10.5:502\"]}",
           false);
    reply = (struct wire_signed_reply){.session_state = SESSION_WAIT_APPROVAL, .id = "job-2"};
    speech.type->reply(speech.dialect, REFUSAL_NONE, &reply, &speech.message);
    expect(&speech, "acme/plant-7/gw/reply",
           "{\"id\":\"job-2\",\"result\":\"accepted\",\"state\":\"waiting\"}", false);
    reply = (struct wire_signed_reply){.id = ""};
    speech.type->reply(speech.dialect, REFUSAL_BAD_SIGNATURE, &reply, &speech.message);
    expect(&speech, "acme/plant-7/gw/reply",
           "{\"id\":\"\",\"result\":\"refused\",\"reason\":\"bad-signature\"}", false);
    end(&speech);
}

/* What a session is opened with, and what is left when the gateway is gone or stops. */
static void test_session(void)
{
    struct speech speech = begin();
    struct uplink_opening opening = {.n_subscriptions = 0};
    const struct status_facts facts = {
        .wall_ms = 17, .config = &config, .stream = STREAM, .outbox = {.runway_h = -1}};
    CU_ASSERT_TRUE(speech.type->birth(speech.dialect, &facts, 0, &speech.message));
    TEST_TEXT_EQUAL(strbuf_text(&speech.message.topic), "acme/plant-7/gw/status");
    TEST_CONTAINS(strbuf_text(&speech.message.payload), "{\"state\":\"online\",\"timestamp\":17,");
    CU_ASSERT_TRUE(speech.message.retained);
    CU_ASSERT_FALSE(speech.type->birth(speech.dialect, &facts, 1, &speech.message));
    speech.type->status(speech.dialect, &facts, &speech.message);
    TEST_TEXT_EQUAL(strbuf_text(&speech.message.topic), "acme/plant-7/gw/status");
    TEST_CONTAINS(strbuf_text(&speech.message.payload), "\"state\":\"online\"");
    CU_ASSERT_TRUE(speech.message.retained);
    speech.type->open(speech.dialect, &opening);
    TEST_TEXT_EQUAL(opening.will.topic, "acme/plant-7/gw/status");
    TEST_TEXT_EQUAL(opening.will.payload, "{\"state\":\"offline\"}");
    CU_ASSERT_EQUAL(opening.will.length, strlen(opening.will.payload));
    CU_ASSERT_TRUE(opening.will.retained && opening.will.qos == 1);
    CU_ASSERT_EQUAL_FATAL(opening.n_subscriptions, 1);
    TEST_TEXT_EQUAL(opening.subscriptions[0].filter, "acme/plant-7/gw/command");
    CU_ASSERT_TRUE(opening.subscriptions[0].qos == 1 && opening.subscriptions[0].is_optional);
    CU_ASSERT_TRUE(speech.type->farewell(speech.dialect, &speech.message));
    expect(&speech, "acme/plant-7/gw/status", "{\"state\":\"offline\"}", true);
    end(&speech);
}

static enum dialect_inbound_kind kind_of(struct speech *speech, const char *topic, size_t length)
{
    struct dialect_inbound inbound;
    speech->type->recognise(speech->dialect, topic, "x", length, &inbound);
    return inbound.kind;
}

static void test_inbound(void)
{
    struct speech speech = begin();
    static const char text[] = "a\0b";
    struct dialect_inbound inbound;
    speech.type->recognise(speech.dialect, "acme/plant-7/gw/command", text, sizeof(text), &inbound);
    CU_ASSERT_EQUAL(inbound.kind, DIALECT_COMMAND);
    CU_ASSERT_TRUE(inbound.length == sizeof(text) && memcmp(inbound.text, text, 4) == 0);
    CU_ASSERT_EQUAL(kind_of(&speech, "acme/plant-7/gw/command", 1), DIALECT_COMMAND);
    /* a retained one was removed */
    CU_ASSERT_EQUAL(kind_of(&speech, "acme/plant-7/gw/command", 0), DIALECT_NOTHING);
    CU_ASSERT_EQUAL(kind_of(&speech, "acme/plant-7/gx/command", 1), DIALECT_NOTHING);
    CU_ASSERT_EQUAL(kind_of(&speech, "acme/plant-7/gw/commands", 1), DIALECT_NOTHING);
    CU_ASSERT_EQUAL(kind_of(&speech, "command", 1), DIALECT_NOTHING);
    CU_ASSERT_EQUAL(kind_of(&speech, "", 1), DIALECT_NOTHING);
    end(&speech);
}

TEST_MAIN("dialect_json", {"the configuration chooses the dialect", test_table},
          {"a poll becomes one message with values and errors", test_data},
          {"what was stored through an outage says so", test_historical},
          {"only what was picked goes out", test_picked},
          {"events carry their details, whatever bytes are in them", test_event},
          {"a challenge is kept by the broker until there is none", test_challenge},
          {"netd's answers become replies", test_reply},
          {"a session begins with the status and ends with offline", test_session},
          {"only messages on the command topic are commands, byte by byte", test_inbound})
