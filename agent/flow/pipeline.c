/* The way of plant data through the main loop. */
#include "agent/flow/pipeline.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/flow/change_filter.h"
#include "agent/flow/queue.h"

#include <stdio.h>
#include <stdlib.h>

#define QUEUE_MS 3000 /* of data, while the main loop waits for a slow disk */
#define QUEUE_SLOTS_MAX (1u << 20)

struct pipeline {
    const struct config *config;
    const struct encoder *encoder;
    struct outbox *outbox;
    struct pipeline_callbacks callbacks;
    struct queue *queue;
    struct change_filter *report;
    struct value_table *values;
    char (*topics)[80];  /* of each device: "data/NAME" */
    union slot *scratch; /* one batch */
    struct strbuf body;  /* reused */
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

struct pipeline *pipeline_new(const struct config *config, const struct encoder *encoder,
                              struct outbox *outbox, const struct pipeline_callbacks *callbacks)
{
    struct pipeline *pipeline = memory_zeroed(1, sizeof(*pipeline));
    pipeline->config = config;
    pipeline->encoder = encoder;
    pipeline->outbox = outbox;
    pipeline->callbacks = *callbacks;
    pipeline->queue = queue_new(queue_size(config));
    pipeline->report = change_filter_new(config);
    pipeline->values = value_table_new(config);
    pipeline->scratch = memory_zeroed(queue_capacity(pipeline->queue), sizeof(union slot));
    pipeline->topics = memory_zeroed(config->n_devices, sizeof(*pipeline->topics));
    for (size_t i = 0; i < config->n_devices; i++)
        (void)snprintf(pipeline->topics[i], sizeof(pipeline->topics[i]), "data/%s",
                       config->devices[i].name);
    return pipeline;
}

struct pipeline *pipeline_free(struct pipeline *pipeline)
{
    if (!pipeline)
        return NULL;
    queue_free(pipeline->queue);
    change_filter_free(pipeline->report);
    value_table_free(pipeline->values);
    strbuf_free(&pipeline->body);
    free(pipeline->scratch);
    free(pipeline->topics);
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

static uint64_t take(struct pipeline *pipeline, const char *topic, const struct outbox_facts *facts)
{
    return outbox_take(pipeline->outbox, topic, facts, pipeline->body.data, pipeline->body.length,
                       clock_mono_ns() / CLOCK_NS_PER_MS, clock_wall_ms());
}

static void move_data(struct pipeline *pipeline, size_t n_slots)
{
    const union slot *slots = pipeline->scratch;
    size_t owner = slots[0].header.owner;
    assert(owner < pipeline->config->n_devices);
    for (const union slot *at = slots + 1; at < slots + n_slots; at += sample_slots(at))
        value_table_put(pipeline->values, owner, at, slots[0].header.timestamp_ms);
    bool any;
    const bool *picked = change_filter_pick(pipeline->report, slots, n_slots,
                                            clock_mono_ns() / CLOCK_NS_PER_MS, &any);
    if (!any)
        return;
    const struct config_device *device = &pipeline->config->devices[owner];
    const struct outbox_facts facts = {
        .kind = OUTBOX_DATA, .owner = device->name, .timestamp_ms = slots[0].header.timestamp_ms};
    strbuf_reset(&pipeline->body);
    if (pipeline->encoder->data(device, slots, n_slots, picked, &pipeline->body) > 0)
        (void)take(pipeline, pipeline->topics[owner], &facts);
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

uint64_t pipeline_event(struct pipeline *pipeline, const char *name, int64_t timestamp_ms,
                        const struct event_field *fields, size_t n_fields)
{
    const struct outbox_facts facts = {
        .kind = OUTBOX_EVENT, .owner = "", .timestamp_ms = timestamp_ms};
    strbuf_reset(&pipeline->body);
    pipeline->encoder->event(name, timestamp_ms, fields, n_fields, &pipeline->body);
    return take(pipeline, "event", &facts);
}

static void report_refused(struct pipeline *pipeline)
{
    uint64_t refused = queue_refused(pipeline->queue);
    if (refused == pipeline->refused)
        return;
    int64_t messages = (int64_t)(refused - pipeline->refused);
    const struct event_field fields[] = {{.key = "reason", .text = "overload"},
                                         {.key = "messages", .number = messages}};
    if (!pipeline_event(pipeline, "gap", clock_wall_ms(), fields, 2))
        return;
    log_warning("pipeline",
                "lost=%lld: the main loop was held up longer than the queue lasts; "
                "reported as a gap",
                (long long)messages);
    pipeline->refused = refused;
}

void pipeline_report_losses(struct pipeline *pipeline)
{
    struct outbox_gap gap;
    report_refused(pipeline);
    while (outbox_next_gap(pipeline->outbox, &gap)) {
        const struct event_field fields[] = {
            {.key = "first", .number = (int64_t)gap.first},
            {.key = "last", .number = (int64_t)gap.last},
            {.key = "from", .number = gap.from_ms},
            {.key = "to", .number = gap.to_ms},
            {.key = "reason", .text = gap.reason},
        };
        if (!pipeline_event(pipeline, "gap", clock_wall_ms(), fields, 5))
            return; /* the store cannot take it now; the record stays */
        log_warning("outbox",
                    "first=%llu last=%llu reason=%s: these messages may never arrive; "
                    "reported as a gap",
                    (unsigned long long)gap.first, (unsigned long long)gap.last, gap.reason);
        outbox_gap_reported(pipeline->outbox);
    }
}

const struct value_table *pipeline_values(const struct pipeline *pipeline)
{
    return pipeline->values;
}
