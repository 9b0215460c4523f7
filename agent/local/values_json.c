/* The latest values as JSON. */
#include "agent/local/values_json.h"

#include "agent/payload/encode.h"

#include <errno.h>
#include <string.h>

/* The value goes as a text: JSON libraries have no number as large as a uint64. */
static void add_value(struct strbuf *out, const union slot *sample)
{
    CLEANUP(strbuf_free) struct strbuf value = STRBUF_EMPTY;
    json_add_sample(&value, sample);
    strbuf_add(out, "\"value\":");
    json_add_string(out, value.data, value.length);
}

static void add_tag(struct strbuf *out, const struct config_tag *tag, const union slot *sample,
                    int64_t timestamp_ms)
{
    char name[24];
    strbuf_addf(out, "{\"tag\":\"%s\",\"timestamp\":%lld,", tag->name, (long long)timestamp_ms);
    if (sample->sample.quality == QUALITY_GOOD)
        add_value(out, sample);
    else
        strbuf_addf(out, "\"error\":\"%s\"",
                    quality_name((enum quality)sample->sample.quality, sample->sample.code, name));
    if (tag->unit) {
        strbuf_add(out, ",\"unit\":");
        json_add_string(out, tag->unit, strlen(tag->unit));
    }
    strbuf_add_char(out, '}');
}

static void add_device(const struct config_device *device, const struct value_table *values,
                       size_t index, struct strbuf *out)
{
    const char *separator = "";
    strbuf_addf(out, "{\"device\":\"%s\",\"tags\":[", device->name);
    for (size_t tag = 0; tag < device->n_tags; tag++) {
        int64_t timestamp_ms;
        const union slot *sample = value_table_get(values, index, tag, &timestamp_ms);
        if (!sample)
            continue;
        strbuf_add(out, separator);
        separator = ",";
        add_tag(out, &device->tags[tag], sample, timestamp_ms);
    }
    strbuf_add(out, "]}");
}

int values_json(const struct config *config, const struct value_table *values, const char *device,
                struct strbuf *out)
{
    bool found = false;
    for (size_t i = 0; i < config->n_devices; i++) {
        if (device && strcmp(config->devices[i].name, device) != 0)
            continue;
        if (found)
            strbuf_add_char(out, ',');
        found = true;
        add_device(&config->devices[i], values, i, out);
    }
    return device && !found ? -ENOENT : 0;
}
