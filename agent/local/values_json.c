/* The latest values as JSON. */
#include "agent/local/values_json.h"

#include <errno.h>
#include <string.h>

/* The value goes as a text: JSON libraries have no number as large as a uint64. */
static void values_json_add_value(struct json_text *json, const union slot *sample)
{
    CLEANUP(strbuf_free) struct strbuf value = STRBUF_EMPTY;
    struct json_text inner = JSON_TEXT(&value);
    json_text_sample(&inner, NULL, sample);
    json_text_bytes(json, "value", value.data, value.length);
}

static void values_json_add_tag(struct json_text *json, const struct config_tag *tag,
                                const union slot *sample, int64_t timestamp_ms)
{
    char name[24];
    json_text_open_object(json, NULL);
    json_text_string(json, "tag", tag->name);
    json_text_i64(json, "timestamp", timestamp_ms);
    if (sample->sample.quality == QUALITY_GOOD)
        values_json_add_value(json, sample);
    else
        json_text_string(
            json, "error",
            quality_name((enum quality)sample->sample.quality, sample->sample.code, name));
    if (tag->unit)
        json_text_string(json, "unit", tag->unit);
    json_text_close_object(json);
}

static void values_json_add_device(const struct config_device *device,
                                   const struct value_table *values, size_t index,
                                   struct json_text *json)
{
    json_text_open_object(json, NULL);
    json_text_string(json, "device", device->name);
    json_text_open_array(json, "tags");
    for (size_t tag = 0; tag < device->n_tags; tag++) {
        int64_t timestamp_ms;
        const union slot *sample = value_table_get(values, index, tag, &timestamp_ms);
        if (sample)
            values_json_add_tag(json, &device->tags[tag], sample, timestamp_ms);
    }
    json_text_close_array(json);
    json_text_close_object(json);
}

int values_json(const struct config *config, const struct value_table *values, const char *device,
                struct json_text *json)
{
    bool is_found = false;
    for (size_t i = 0; i < config->n_devices; i++) {
        if (device && strcmp(config->devices[i].name, device) != 0)
            continue;
        is_found = true;
        values_json_add_device(&config->devices[i], values, i, json);
    }
    return device && !is_found ? -ENOENT : 0;
}
