/* The JSON dialect. */
#include "agent/payload/dialect_json.h"

#include "agent/base/memory.h"
#include "agent/payload/json_text.h"

#include <stdlib.h>
#include <string.h>

#define QOS 1

struct json_dialect {
    struct dialect dialect; /* must be first */
    char *prefix;           /* "<prefix>/<site>/<id>/" */
    char *command_topic;
    struct dialect_message will;
};

static struct json_dialect *of(struct dialect *dialect)
{
    return (struct json_dialect *)dialect;
}

static struct dialect *dialect_json_create(const struct config *config)
{
    struct json_dialect *json = memory_zeroed(1, sizeof(*json));
    json->dialect.type = &dialect_json;
    json->prefix =
        memory_printf("%s/%s/%s/", config->uplink.prefix, config->gateway.site, config->gateway.id);
    json->command_topic = memory_printf("%scommand", json->prefix);
    return &json->dialect;
}

static void destroy(struct dialect *dialect)
{
    struct json_dialect *json = of(dialect);
    dialect_message_free(&json->will);
    free(json->prefix);
    free(json->command_topic);
    free(json);
}

/* --- what is stored --------------------------------------------------------------------------- */

static void make_topic(struct dialect *dialect, const struct outbox_facts *facts,
                       struct strbuf *topic)
{
    (void)dialect;
    switch (facts->kind) {
    case OUTBOX_DATA:
        strbuf_add(topic, "data/");
        strbuf_add(topic, facts->owner);
        return;
    case OUTBOX_EVENT:
        strbuf_add(topic, "event");
        return;
    case OUTBOX_KINDS:
        break;
    }
    assert(false);
}

static bool is_wanted(const union slot *sample, bool good, const bool *picked)
{
    return (sample->sample.quality == QUALITY_GOOD) == good &&
           (!picked || picked[sample->sample.tag]);
}

/* Appends `"tag":value` or `"tag":"quality"` for each wanted sample; returns how many. */
static size_t add_samples(struct json_text *json, const struct config_device *device,
                          const union slot *slots, size_t n_slots, bool good, const bool *picked)
{
    size_t count = 0;
    for (const union slot *at = slots + 1; at < slots + n_slots; at += sample_slots(at)) {
        if (!is_wanted(at, good, picked))
            continue;
        char name[24];
        const char *tag = device->tags[at->sample.tag].name;
        count++;
        if (good)
            json_text_sample(json, tag, at);
        else
            json_text_string(json, tag,
                             quality_name((enum quality)at->sample.quality, at->sample.code, name));
    }
    return count;
}

static size_t make_data(struct dialect *dialect, const struct config_device *device,
                        const union slot *slots, size_t n_slots, const bool *picked,
                        struct strbuf *body)
{
    struct json_text json = JSON_TEXT(body);
    (void)dialect;
    json_text_i64(&json, "timestamp", slots[0].header.timestamp_ms);
    json_text_open_object(&json, "values");
    size_t good = add_samples(&json, device, slots, n_slots, true, picked);
    json_text_close_object(&json);
    json_text_open_object(&json, "errors");
    size_t bad = add_samples(&json, device, slots, n_slots, false, picked);
    json_text_close_object(&json);
    json_text_close_object(&json); /* which the envelope opens */
    return good + bad;
}

static void make_event(struct dialect *dialect, const struct event *event, struct strbuf *body)
{
    struct json_text json = JSON_TEXT(body);
    (void)dialect;
    json_text_i64(&json, "timestamp", event->time_ms);
    json_text_string(&json, "event", event_name(event));
    for (size_t i = 0; i < event->n_members; i++) {
        const struct event_member *member = &event->members[i];
        const char *key = event_member_name(event, member);
        if (member->is_number)
            json_text_i64(&json, key, member->number);
        else
            json_text_string(&json, key, event_member_text(event, member));
    }
    json_text_close_object(&json); /* which the envelope opens */
}

/* --- what is published ------------------------------------------------------------------------ */

static void dialect_json_begin(struct dialect *dialect, const char *topic, bool retained,
                               struct dialect_message *message)
{
    strbuf_reset(&message->topic);
    strbuf_reset(&message->payload);
    strbuf_add(&message->topic, of(dialect)->prefix);
    strbuf_add(&message->topic, topic);
    message->qos = QOS;
    message->retained = retained;
}

static void make_envelope(struct dialect *dialect, const char *stream,
                          const struct outbox_message *stored, struct dialect_message *message)
{
    struct json_text json = JSON_TEXT(&message->payload);
    dialect_json_begin(dialect, stored->topic, false, message);
    json_text_open_object(&json, NULL);
    json_text_string(&json, "stream", stream);
    json_text_u64(&json, "seq", stored->seq);
    if (stored->historical)
        json_text_bool(&json, "historical", true);
    json_text_insert(&json, stored->body, stored->body_length);
}

static void make_status(struct dialect *dialect, const struct status_facts *facts,
                        struct dialect_message *message)
{
    struct json_text json = JSON_TEXT(&message->payload);
    dialect_json_begin(dialect, "status", true, message);
    status_json(facts, false, &json);
}

static void make_challenge(struct dialect *dialect, const char *challenge,
                           struct dialect_message *message)
{
    dialect_json_begin(dialect, "challenge", true, message);
    strbuf_add(&message->payload, challenge);
}

/* TEXT: a line for each service of the session. */
static void add_connect(struct json_text *json, const char *text)
{
    bool is_open = false;
    while (*text) {
        size_t length = strcspn(text, "\n");
        if (length > 0 && !is_open) {
            json_text_open_array(json, "connect");
            is_open = true;
        }
        if (length > 0)
            json_text_bytes(json, NULL, text, length);
        text += length + (text[length] == '\n');
    }
    if (is_open)
        json_text_close_array(json);
}

static void make_reply(struct dialect *dialect, enum refusal refusal,
                       const struct wire_signed_reply *reply, struct dialect_message *message)
{
    struct json_text json = JSON_TEXT(&message->payload);
    dialect_json_begin(dialect, "reply", false, message);
    json_text_open_object(&json, NULL);
    json_text_string(&json, "id", reply->id);
    if (refusal == REFUSAL_NONE) {
        json_text_string(&json, "result", "accepted");
        json_text_string(&json, "state", session_state_names[reply->session_state]);
        add_connect(&json, reply->text);
    } else {
        json_text_string(&json, "result", "refused");
        json_text_string(&json, "reason", refusal_names[refusal]);
    }
    json_text_close_object(&json);
}

/* --- a session with the broker ---------------------------------------------------------------- */

static bool make_birth(struct dialect *dialect, const struct status_facts *facts, size_t index,
                       struct dialect_message *message)
{
    if (index > 0)
        return false;
    make_status(dialect, facts, message);
    return true;
}

/* The will, and what a clean stop publishes. */
static bool make_offline(struct dialect *dialect, struct dialect_message *message)
{
    struct json_text json = JSON_TEXT(&message->payload);
    dialect_json_begin(dialect, "status", true, message);
    json_text_open_object(&json, NULL);
    json_text_string(&json, "state", "offline");
    json_text_close_object(&json);
    return true;
}

/* Data is published also where commands are not allowed, so a refused subscription is not a
 * failure. */
static void dialect_json_open_session(struct dialect *dialect, struct uplink_opening *opening)
{
    struct json_dialect *json = of(dialect);
    (void)make_offline(dialect, &json->will);
    opening->will = dialect_message_view(&json->will);
    opening->subscriptions[opening->n_subscriptions++] = (struct uplink_subscription){
        .filter = json->command_topic,
        .qos = QOS,
        .is_optional = true,
        .crowd_bytes = WIRE_SIGNED_BYTES + 1}; /* one more than allowed: netd sees that */
}

/* An empty message removes a retained one. */
static void recognise(struct dialect *dialect, const char *topic, const void *payload,
                      size_t length, struct dialect_inbound *ret_inbound)
{
    bool is_command = length > 0 && strcmp(topic, of(dialect)->command_topic) == 0;
    *ret_inbound = (struct dialect_inbound){
        .kind = is_command ? DIALECT_COMMAND : DIALECT_NOTHING, .text = payload, .length = length};
}

const struct dialect_type dialect_json = {
    .create = dialect_json_create,
    .free = destroy,
    .topic = make_topic,
    .data = make_data,
    .event = make_event,
    .envelope = make_envelope,
    .status = make_status,
    .challenge = make_challenge,
    .reply = make_reply,
    .open = dialect_json_open_session,
    .birth = make_birth,
    .farewell = make_offline,
    .recognise = recognise,
};
