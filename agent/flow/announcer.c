/* What the gateway publishes about itself. */
#include "agent/flow/announcer.h"

#include "agent/base/memory.h"

#include <stdlib.h>

#define STATUS_PERIOD_MS 60000
#define SOON_MS 1000 /* after a change, and after the window was full */
#define NEVER_MS INT64_MAX

struct announcer {
    struct dialect *dialect;
    struct uplink *uplink;
    announcer_get_facts get_facts;
    void *context;
    bool is_up;                     /* there is a session */
    bool is_open;                   /* ... and all that opens it is published */
    size_t births;                  /* so much of it */
    int64_t due_ms;                 /* the next status, or the next try to open the session */
    struct dialect_message message; /* reused */
};

struct announcer *announcer_new(struct dialect *dialect, struct uplink *uplink,
                                announcer_get_facts get_facts, void *context)
{
    struct announcer *announcer = memory_zeroed(1, sizeof(*announcer));
    announcer->dialect = dialect;
    announcer->uplink = uplink;
    announcer->get_facts = get_facts;
    announcer->context = context;
    announcer->due_ms = NEVER_MS;
    return announcer;
}

struct announcer *announcer_free(struct announcer *announcer)
{
    if (!announcer)
        return NULL;
    dialect_message_free(&announcer->message);
    free(announcer);
    return NULL;
}

/* False: not now. A full window only delays it, and the next session publishes it again. */
static bool publish(struct announcer *announcer)
{
    const struct mqtt_message view = dialect_message_view(&announcer->message);
    return uplink_publish(announcer->uplink, &view, 0) == 0;
}

static void publish_births(struct announcer *announcer, int64_t now_ms)
{
    const struct dialect_type *type = announcer->dialect->type;
    struct status_facts facts;
    announcer->get_facts(announcer->context, &facts);
    announcer->due_ms = now_ms + SOON_MS;
    while (type->birth(announcer->dialect, &facts, announcer->births, &announcer->message)) {
        if (!publish(announcer))
            return;
        announcer->births++;
    }
    announcer->is_open = true;
    announcer->due_ms = now_ms + STATUS_PERIOD_MS;
}

static void publish_status(struct announcer *announcer, int64_t now_ms)
{
    struct status_facts facts;
    announcer->get_facts(announcer->context, &facts);
    announcer->dialect->type->status(announcer->dialect, &facts, &announcer->message);
    announcer->due_ms = now_ms + (publish(announcer) ? STATUS_PERIOD_MS : SOON_MS);
}

void announcer_open(struct announcer *announcer, int64_t now_ms)
{
    announcer->is_up = true;
    announcer->is_open = false;
    announcer->births = 0;
    publish_births(announcer, now_ms);
}

void announcer_close(struct announcer *announcer)
{
    announcer->is_up = announcer->is_open = false;
    announcer->due_ms = NEVER_MS;
}

bool announcer_is_open(const struct announcer *announcer)
{
    return announcer->is_open;
}

void announcer_status_soon(struct announcer *announcer, int64_t now_ms)
{
    if (announcer->is_up && now_ms + SOON_MS < announcer->due_ms)
        announcer->due_ms = now_ms + SOON_MS;
}

int64_t announcer_settle(struct announcer *announcer, int64_t now_ms)
{
    if (announcer->is_up && !announcer->is_open)
        publish_births(announcer, now_ms); /* each acknowledgement makes room */
    else if (announcer->is_open && now_ms >= announcer->due_ms)
        publish_status(announcer, now_ms);
    return announcer->due_ms;
}

void announcer_farewell(struct announcer *announcer)
{
    if (announcer->is_open &&
        announcer->dialect->type->farewell(announcer->dialect, &announcer->message))
        (void)publish(announcer);
}
