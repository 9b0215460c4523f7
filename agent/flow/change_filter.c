/* Report on change. */
#include "agent/flow/change_filter.h"

#include "agent/base/memory.h"
#include "agent/flow/value_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct change_filter {
    const struct config *config;
    struct value_table *sent;
    bool *picked; /* as many as the largest device has tags */
};

struct change_filter *change_filter_new(const struct config *config)
{
    struct change_filter *filter = memory_zeroed(1, sizeof(*filter));
    size_t most_tags = 1;
    for (size_t i = 0; i < config->n_devices; i++) {
        if (config->devices[i].n_tags > most_tags)
            most_tags = config->devices[i].n_tags;
    }
    filter->config = config;
    filter->sent = value_table_new(config);
    filter->picked = memory_zeroed(most_tags, sizeof(*filter->picked));
    return filter;
}

struct change_filter *change_filter_free(struct change_filter *filter)
{
    if (!filter)
        return NULL;
    value_table_free(filter->sent);
    free(filter->picked);
    free(filter);
    return NULL;
}

void change_filter_carry(struct change_filter *filter, size_t device,
                         const struct change_filter *old, size_t old_device)
{
    value_table_carry(filter->sent, device, old->sent, old_device);
}

/* 64-bit counters are compared exactly: a double would swallow small steps of large ones. */
static bool left_deadband_u64(uint64_t a, uint64_t b, double deadband)
{
    uint64_t distance = a > b ? a - b : b - a;
    return (double)distance > deadband;
}

static bool value_changed(const union slot *fresh, const union slot *sent, double deadband)
{
    if (fresh->sample.kind != sent->sample.kind)
        return true;
    switch ((enum sample_kind)fresh->sample.kind) {
    case SAMPLE_BOOL:
        return fresh->sample.value.truth != sent->sample.value.truth;
    case SAMPLE_U64:
        return left_deadband_u64(fresh->sample.value.u64, sent->sample.value.u64, deadband);
    case SAMPLE_I64:
        /* shifted by 2^63 the order stays and the distance is unsigned */
        return left_deadband_u64((uint64_t)fresh->sample.value.i64 + (UINT64_C(1) << 63),
                                 (uint64_t)sent->sample.value.i64 + (UINT64_C(1) << 63), deadband);
    case SAMPLE_F64:
        return fabs(fresh->sample.value.f64 - sent->sample.value.f64) > deadband;
    case SAMPLE_TEXT:
        return fresh->sample.length != sent->sample.length ||
               memcmp(sample_text(fresh), sample_text(sent), fresh->sample.length) != 0;
    case SAMPLE_NONE:
        return false;
    }
    return true;
}

static bool worth_sending(const struct change_filter *filter, size_t device,
                          const union slot *fresh, int64_t now_ms)
{
    const struct config_device *owner = &filter->config->devices[device];
    int64_t sent_ms;
    const union slot *sent = value_table_get(filter->sent, device, fresh->sample.tag, &sent_ms);
    if (!sent || now_ms - sent_ms >= owner->heartbeat_s * 1000)
        return true;
    if (fresh->sample.quality != sent->sample.quality || fresh->sample.code != sent->sample.code)
        return true;
    return value_changed(fresh, sent, owner->tags[fresh->sample.tag].deadband);
}

const bool *change_filter_pick(struct change_filter *filter, size_t device, const union slot *slots,
                               size_t n_slots, int64_t now_ms, bool *ret_any)
{
    const struct config_device *owner = &filter->config->devices[device];
    *ret_any = n_slots > 1;
    if (owner->report == REPORT_ALWAYS)
        return NULL;
    *ret_any = false;
    memset(filter->picked, 0, owner->n_tags * sizeof(*filter->picked));
    for (const union slot *at = slots + 1; at < slots + n_slots; at += sample_slots(at)) {
        if (!worth_sending(filter, device, at, now_ms))
            continue;
        value_table_put(filter->sent, device, at, now_ms);
        filter->picked[at->sample.tag] = true;
        *ret_any = true;
    }
    return filter->picked;
}
