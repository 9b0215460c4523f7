/*
 * The JSON payloads: `P/data/<device>` and `P/event`. A stored body starts behind the identity,
 * at "timestamp"; the envelope puts the identity in front. Names of tags and events need no
 * escaping: the configuration admits [A-Za-z0-9_.-] only.
 */
#include "agent/payload/encode.h"

#include <string.h>

static void add_key(struct strbuf *body, const char *key)
{
    size_t length = strlen(key);
    char *place = strbuf_reserve(body, length + 3);
    place[0] = '"';
    memcpy(place + 1, key, length);
    memcpy(place + 1 + length, "\":", 3);
    body->length += length + 3;
}

static bool wanted(const union slot *sample, bool good, const bool *picked)
{
    return (sample->sample.quality == QUALITY_GOOD) == good &&
           (!picked || picked[sample->sample.tag]);
}

/* Appends `"tag":value` or `"tag":"quality"` for each wanted sample; returns how many. */
static size_t add_members(const struct config_device *device, const union slot *slots,
                          size_t n_slots, bool good, const bool *picked, struct strbuf *body)
{
    size_t count = 0;
    for (const union slot *at = slots + 1; at < slots + n_slots; at += sample_slots(at)) {
        if (!wanted(at, good, picked))
            continue;
        char name[24];
        if (count++ > 0)
            strbuf_add_char(body, ',');
        add_key(body, device->tags[at->sample.tag].name);
        if (good) {
            json_add_sample(body, at);
        } else {
            strbuf_add_char(body, '"');
            strbuf_add(body, quality_name((enum quality)at->sample.quality, at->sample.code, name));
            strbuf_add_char(body, '"');
        }
    }
    return count;
}

static size_t encode_data(const struct config_device *device, const union slot *slots,
                          size_t n_slots, const bool *picked, struct strbuf *body)
{
    strbuf_add(body, "\"timestamp\":");
    strbuf_add_i64(body, slots[0].header.timestamp_ms);
    strbuf_add(body, ",\"values\":{");
    size_t good = add_members(device, slots, n_slots, true, picked, body);
    strbuf_add(body, "},\"errors\":{");
    size_t bad = add_members(device, slots, n_slots, false, picked, body);
    strbuf_add(body, "}}");
    return good + bad;
}

static void encode_event(const char *name, int64_t timestamp_ms, const struct event_field *fields,
                         size_t n_fields, struct strbuf *body)
{
    strbuf_add(body, "\"timestamp\":");
    strbuf_add_i64(body, timestamp_ms);
    strbuf_add(body, ",\"event\":\"");
    strbuf_add(body, name);
    strbuf_add_char(body, '"');
    for (size_t i = 0; i < n_fields; i++) {
        strbuf_add_char(body, ',');
        add_key(body, fields[i].key);
        if (fields[i].text)
            json_add_string(body, fields[i].text, strlen(fields[i].text));
        else
            strbuf_add_i64(body, fields[i].number);
    }
    strbuf_add_char(body, '}');
}

static void encode_envelope(const char *stream, uint64_t seq, bool historical, const void *body,
                            size_t body_length, struct strbuf *message)
{
    strbuf_add(message, "{\"stream\":\"");
    strbuf_add(message, stream);
    strbuf_add(message, "\",\"seq\":");
    strbuf_add_u64(message, seq);
    strbuf_add(message, historical ? ",\"historical\":true," : ",");
    strbuf_append(message, body, body_length);
}

const struct encoder encoder_json = {
    .name = "json",
    .data = encode_data,
    .event = encode_event,
    .envelope = encode_envelope,
};
