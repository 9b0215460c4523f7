/* The way of plant data through the main loop. */
#include "agent/flow/pipeline.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/flow/change_filter.h"
#include "agent/flow/queue.h"
#include "agent/flow/value_table.h"

#include <assert.h>
#include <stdlib.h>

#define QUEUE_MS 3000 /* of data, while the main loop waits for a slow disk */
#define QUEUE_SLOTS_MAX (1u << 20)

struct pipeline {
    const struct config *config;
    struct intake *intake;
    struct pipeline_callbacks callbacks;
    struct queue *queue;
    const struct numbering *devices; /* NULL: the number of each device is its index */
    struct change_filter *filter;
    struct value_table *values;
    union slot *scratch; /* one batch */
    uint64_t refused;    /* batches of the queue, already reported */
};

/* Slots that the whole plant fills in QUEUE_MS, at least two polls of everything. */
static size_t queue_size(const struct config *config)
{
    double slots = 0;
    for (size_t i = 0; i < config->n_devices; i++) {
        const struct config_device *device = &config->devices[i];
        for (size_t tag = 0; tag < device->n_tags; tag++) {
            double polls = (double)QUEUE_MS / (double)device->tags[tag].interval_ms;
            slots += (double)(value_table_room(&device->tags[tag]) + 1) * (polls < 2 ? 2 : polls);
        }
    }
    return slots > QUEUE_SLOTS_MAX ? QUEUE_SLOTS_MAX : (size_t)slots;
}

struct pipeline *pipeline_new(const struct config *config, struct intake *intake,
                              const struct pipeline_callbacks *callbacks)
{
    struct pipeline *pipeline = memory_zeroed(1, sizeof(*pipeline));
    pipeline->config = config;
    pipeline->intake = intake;
    pipeline->callbacks = *callbacks;
    pipeline->queue = queue_new(queue_size(config));
    pipeline->filter = change_filter_new(config);
    pipeline->values = value_table_new(config);
    pipeline->scratch = memory_zeroed(queue_capacity(pipeline->queue), sizeof(union slot));
    return pipeline;
}

void pipeline_apply(struct pipeline *pipeline, const struct config *config,
                    const struct numbering *devices, const uint16_t *kept)
{
    struct change_filter *filter = change_filter_new(config);
    struct value_table *values = value_table_new(config);
    for (size_t i = 0; i < config->n_devices; i++) {
        if (kept[i] == NUMBERING_NONE)
            continue;
        change_filter_carry(filter, i, pipeline->filter, kept[i]);
        value_table_carry(values, i, pipeline->values, kept[i]);
    }
    change_filter_free(pipeline->filter);
    value_table_free(pipeline->values);
    pipeline->filter = filter;
    pipeline->values = values;
    pipeline->config = config;
    pipeline->devices = devices;
    queue_grow(pipeline->queue, queue_size(config));
    pipeline->scratch =
        memory_resize(pipeline->scratch, queue_capacity(pipeline->queue), sizeof(union slot));
}

struct pipeline *pipeline_free(struct pipeline *pipeline)
{
    if (!pipeline)
        return NULL;
    queue_free(pipeline->queue);
    change_filter_free(pipeline->filter);
    value_table_free(pipeline->values);
    free(pipeline->scratch);
    free(pipeline);
    return NULL;
}

bool pipeline_deliver(void *context, const union slot *slots, size_t n_slots)
{
    struct pipeline *pipeline = context;
    return queue_push(pipeline->queue, slots, n_slots);
}

int pipeline_descriptor(const struct pipeline *pipeline)
{
    return queue_descriptor(pipeline->queue);
}

static void move_data(struct pipeline *pipeline, size_t n_slots)
{
    const union slot *slots = pipeline->scratch;
    size_t owner = slots[0].header.owner;
    if (pipeline->devices)
        owner = numbering_index(pipeline->devices, slots[0].header.owner);
    if (owner == NUMBERING_NONE)
        return; /* its device is gone */
    assert(owner < pipeline->config->n_devices);
    for (const union slot *at = slots + 1; at < slots + n_slots; at += sample_slots(at))
        value_table_put(pipeline->values, owner, at, slots[0].header.timestamp_ms);
    bool any;
    const bool *picked = change_filter_pick(pipeline->filter, owner, slots, n_slots,
                                            clock_mono_ns() / CLOCK_NS_PER_MS, &any);
    if (any)
        (void)intake_data(pipeline->intake, &pipeline->config->devices[owner], slots, n_slots,
                          picked);
}

static void move_batch(struct pipeline *pipeline, size_t n_slots)
{
    const union slot *header = pipeline->scratch;
    switch ((enum batch_kind)header->header.kind) {
    case BATCH_DATA:
        move_data(pipeline, n_slots);
        return;
    case BATCH_EVENT:
        pipeline->callbacks.line_event(pipeline->callbacks.context,
                                       (enum line_event)header->header.event, header->header.owner,
                                       header->header.timestamp_ms);
        return;
    }
}

size_t pipeline_drain(struct pipeline *pipeline, size_t most)
{
    size_t moved = 0;
    queue_acknowledge(pipeline->queue);
    while (moved < most) {
        size_t n_slots =
            queue_pop(pipeline->queue, pipeline->scratch, queue_capacity(pipeline->queue));
        if (n_slots == 0)
            return moved;
        move_batch(pipeline, n_slots);
        moved++;
    }
    queue_signal(pipeline->queue); /* there may be more: come back after the other sources */
    return moved;
}

void pipeline_report_refused(struct pipeline *pipeline)
{
    uint64_t refused = queue_refused(pipeline->queue);
    struct event event;
    if (refused == pipeline->refused)
        return;
    int64_t messages = (int64_t)(refused - pipeline->refused);
    event_init(&event, EVENT_GAP, clock_wall_ms());
    event_add_text(&event, MEMBER_REASON, "overload");
    event_add_number(&event, MEMBER_MESSAGES, messages);
    if (!intake_event(pipeline->intake, &event))
        return;
    log_warning("pipeline",
                "lost=%lld: the main loop was held up longer than the queue lasts; "
                "reported as a gap",
                (long long)messages);
    pipeline->refused = refused;
}

const struct value_table *pipeline_values(const struct pipeline *pipeline)
{
    return pipeline->values;
}
