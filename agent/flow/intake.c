/* From facts to custody. */
#include "agent/flow/intake.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"

#include <stdlib.h>

struct intake {
    struct dialect *dialect;
    struct outbox *outbox;
    struct strbuf topic, body; /* reused */
};

struct intake *intake_new(struct dialect *dialect, struct outbox *outbox)
{
    struct intake *intake = memory_zeroed(1, sizeof(*intake));
    intake->dialect = dialect;
    intake->outbox = outbox;
    return intake;
}

struct intake *intake_free(struct intake *intake)
{
    if (!intake)
        return NULL;
    strbuf_free(&intake->topic);
    strbuf_free(&intake->body);
    free(intake);
    return NULL;
}

static uint64_t intake_take(struct intake *intake, const struct outbox_facts *facts)
{
    strbuf_reset(&intake->topic);
    intake->dialect->type->topic(intake->dialect, facts, &intake->topic);
    return outbox_take(intake->outbox, intake->topic.data, facts, intake->body.data,
                       intake->body.length, clock_mono_ns() / CLOCK_NS_PER_MS, clock_wall_ms());
}

uint64_t intake_data(struct intake *intake, const struct config_device *device,
                     const union slot *slots, size_t n_slots, const bool *picked)
{
    const struct outbox_facts facts = {
        .kind = OUTBOX_DATA, .owner = device->name, .timestamp_ms = slots[0].header.timestamp_ms};
    strbuf_reset(&intake->body);
    size_t count =
        intake->dialect->type->data(intake->dialect, device, slots, n_slots, picked, &intake->body);
    return count > 0 ? intake_take(intake, &facts) : 0;
}

uint64_t intake_event(struct intake *intake, const struct event *event)
{
    const struct outbox_facts facts = {.kind = OUTBOX_EVENT,
                                       .owner = event_text(event, MEMBER_DEVICE),
                                       .timestamp_ms = event->time_ms};
    strbuf_reset(&intake->body);
    intake->dialect->type->event(intake->dialect, event, &intake->body);
    return intake_take(intake, &facts);
}

static bool report_gap(struct intake *intake, const struct outbox_gap *gap)
{
    struct event event;
    event_init(&event, EVENT_GAP, clock_wall_ms());
    event_add_number(&event, MEMBER_FIRST, (int64_t)gap->first);
    event_add_number(&event, MEMBER_LAST, (int64_t)gap->last);
    event_add_number(&event, MEMBER_FROM, gap->from_ms);
    event_add_number(&event, MEMBER_TO, gap->to_ms);
    event_add_text(&event, MEMBER_REASON, gap->reason);
    if (!intake_event(intake, &event))
        return false;
    log_warning("outbox",
                "first=%llu last=%llu reason=%s: these messages may never arrive; "
                "reported as a gap",
                (unsigned long long)gap->first, (unsigned long long)gap->last, gap->reason);
    return true;
}

void intake_report_gaps(struct intake *intake)
{
    struct outbox_gap gap;
    while (outbox_next_gap(intake->outbox, &gap)) {
        if (!report_gap(intake, &gap))
            return; /* the store cannot take it now; the record stays */
        outbox_gap_reported(intake->outbox);
    }
}
