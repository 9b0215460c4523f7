/* From the outbox to the uplink. */
#include "agent/flow/publisher.h"

#include "agent/base/memory.h"

#include <stdlib.h>

#define ELAPSED_MAX_MS 1000000

struct publisher {
    size_t reserved; /* room in the window that the backlog leaves to live messages */
    struct dialect *dialect;
    struct outbox *outbox;
    struct uplink *uplink;
    uint64_t rate;     /* bytes a second, 0: no limit */
    int64_t allowance; /* bytes that the backlog may send now; negative: in debt */
    int64_t refilled_ms;
    struct dialect_message message; /* reused */
};

void publisher_set_window(struct publisher *publisher, int64_t window)
{
    publisher->reserved = (size_t)window / 4;
}

struct publisher *publisher_new(int64_t window, uint64_t backlog_rate, struct dialect *dialect,
                                struct outbox *outbox, struct uplink *uplink)
{
    struct publisher *publisher = memory_zeroed(1, sizeof(*publisher));
    publisher_set_window(publisher, window);
    publisher->dialect = dialect;
    publisher->outbox = outbox;
    publisher->uplink = uplink;
    publisher->rate = backlog_rate;
    return publisher;
}

struct publisher *publisher_free(struct publisher *publisher)
{
    if (!publisher)
        return NULL;
    dialect_message_free(&publisher->message);
    free(publisher);
    return NULL;
}

static bool publisher_publish(struct publisher *publisher, const struct outbox_message *stored)
{
    struct dialect_message *message = &publisher->message;
    publisher->dialect->type->envelope(publisher->dialect, outbox_stream(publisher->outbox), stored,
                                       message);
    const struct mqtt_message view = dialect_message_view(message);
    return uplink_publish(publisher->uplink, &view, stored->seq) == 0;
}

/* At most one second's worth may be saved up; a debt is paid off in full. */
static void refill(struct publisher *publisher, int64_t now_ms)
{
    int64_t elapsed_ms = now_ms - publisher->refilled_ms;
    publisher->refilled_ms = now_ms;
    if (elapsed_ms > ELAPSED_MAX_MS)
        elapsed_ms = ELAPSED_MAX_MS; /* keeps the product below within 64 bits */
    publisher->allowance += (int64_t)publisher->rate * elapsed_ms / 1000;
    if (publisher->allowance > (int64_t)publisher->rate)
        publisher->allowance = (int64_t)publisher->rate;
}

/* Returns milliseconds until the allowance is positive, or -1 when something else limits. */
static int64_t pump_backlog(struct publisher *publisher, int64_t now_ms)
{
    struct outbox_message message;
    if (publisher->rate)
        refill(publisher, now_ms);
    while (uplink_room(publisher->uplink) > publisher->reserved) {
        if (publisher->rate && publisher->allowance <= 0)
            return 1 + -publisher->allowance * 1000 / (int64_t)publisher->rate;
        if (!outbox_next_backlog(publisher->outbox, &message) ||
            !publisher_publish(publisher, &message))
            return -1;
        publisher->allowance -= (int64_t)publisher->message.payload.length;
    }
    return -1;
}

int64_t publisher_pump(struct publisher *publisher, int64_t now_ms)
{
    struct outbox_message message;
    while (uplink_room(publisher->uplink) > 0) {
        if (!outbox_next_live(publisher->outbox, &message))
            return pump_backlog(publisher, now_ms);
        if (!publisher_publish(publisher, &message))
            break; /* the link broke this moment: outbox_link(false) brings it back */
    }
    return -1;
}
