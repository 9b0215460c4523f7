/*
 * The session to the broker: the public functions, and the two sources that drive it in the main
 * loop. Events from the MQTT client come through the ring; one timer serves every deadline.
 */
#include "agent/uplink/uplink.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/uplink/uplink_engine.h"

#include <poll.h>
#include <stdlib.h>

/* The part of the time for stopping that is reserved for the DISCONNECT itself. */
#define FAREWELL_NS (1 * CLOCK_NS_PER_S)

struct uplink {
    struct uplink_session session;
    sd_event_source *wake_source, *timer_source;
    int64_t armed_ns; /* when the timer fires; INT64_MAX when it is off */
};

static void arm(struct uplink *uplink)
{
    int64_t deadline_ns = uplink_engine_deadline_ns(&uplink->session);
    uplink->armed_ns = deadline_ns;
    if (deadline_ns == INT64_MAX) {
        (void)sd_event_source_set_enabled(uplink->timer_source, SD_EVENT_OFF);
        return;
    }
    (void)sd_event_source_set_time(uplink->timer_source, (uint64_t)(deadline_ns / CLOCK_NS_PER_US));
    (void)sd_event_source_set_enabled(uplink->timer_source, SD_EVENT_ONESHOT);
}

/* The timer may fire too early, and looks again then: it is not set for each acknowledgement. */
static void arm_if_earlier(struct uplink *uplink)
{
    if (uplink_engine_deadline_ns(&uplink->session) < uplink->armed_ns)
        arm(uplink);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *context)
{
    struct uplink *uplink = context;
    (void)source, (void)usec;
    if (clock_mono_ns() >= uplink_engine_deadline_ns(&uplink->session))
        uplink_engine_on_deadline(&uplink->session);
    arm(uplink); /* most deadlines have moved since it was set */
    return 0;
}

static int on_wake(sd_event_source *source, int descriptor, uint32_t events, void *context)
{
    struct uplink *uplink = context;
    (void)source, (void)descriptor, (void)events;
    uplink_engine_drain(&uplink->session);
    arm_if_earlier(uplink);
    return 0;
}

/* --- making and ending ------------------------------------------------------------------------ */

static int attach(struct uplink *uplink, sd_event *loop)
{
    int result =
        sd_event_add_io(loop, &uplink->wake_source, uplink_ring_descriptor(uplink->session.ring),
                        POLLIN, on_wake, uplink);
    if (result >= 0)
        result = sd_event_add_time(loop, &uplink->timer_source, CLOCK_MONOTONIC, UINT64_MAX, 0,
                                   on_timer, uplink);
    if (result >= 0)
        result = sd_event_source_set_enabled(uplink->timer_source, SD_EVENT_OFF);
    return result < 0 ? result : 0;
}

int uplink_new(const struct config_uplink *config, const struct uplink_callbacks *callbacks,
               sd_event *loop, struct uplink **ret_uplink)
{
    struct uplink *uplink = memory_zeroed(1, sizeof(*uplink));
    uplink->armed_ns = INT64_MAX;
    int result = uplink_engine_init(&uplink->session, config, callbacks);
    if (result == 0)
        result = attach(uplink, loop);
    if (result < 0) {
        uplink_free(uplink);
        return result;
    }
    *ret_uplink = uplink;
    return 0;
}

void uplink_start(struct uplink *uplink)
{
    uplink_engine_start(&uplink->session); /* the attempt is due at once: the timer makes it */
    arm_if_earlier(uplink);
}

int uplink_reconfigure(struct uplink *uplink, const struct config_uplink *config)
{
    int result = uplink_engine_reconfigure(&uplink->session, config);
    arm_if_earlier(uplink);
    return result;
}

void uplink_collect(struct uplink *uplink)
{
    if (uplink_ring_is_empty(uplink->session.ring))
        return;
    uplink_engine_drain(&uplink->session);
    arm_if_earlier(uplink);
}

/* Handles one deadline, or what comes until the next one, for a second at most. */
static void turn(struct uplink_session *session, int64_t until_ns)
{
    int64_t now_ns = clock_mono_ns(), deadline_ns = uplink_engine_deadline_ns(session);
    if (now_ns >= deadline_ns) {
        uplink_engine_on_deadline(session);
        return;
    }
    int64_t wait_ns = (deadline_ns < until_ns ? deadline_ns : until_ns) - now_ns;
    int wait_ms = wait_ns > CLOCK_NS_PER_S ? 1000 : (int)(wait_ns / CLOCK_NS_PER_MS) + 1;
    struct pollfd wait = {.fd = uplink_ring_descriptor(session->ring), .events = POLLIN};
    (void)poll(&wait, 1, wait_ms);
    uplink_engine_drain(session);
}

bool uplink_stop(struct uplink *uplink, int timeout_ms)
{
    struct uplink_session *session = &uplink->session;
    int64_t timeout_ns = timeout_ms * CLOCK_NS_PER_MS;
    int64_t until_ns = clock_mono_ns() + timeout_ns;
    int64_t farewell_ns = timeout_ns / 2 < FAREWELL_NS ? timeout_ns / 2 : FAREWELL_NS;
    uplink_engine_stop(session, until_ns - farewell_ns);
    while (!uplink_engine_is_quiet(session) && clock_mono_ns() < until_ns)
        turn(session, until_ns);
    descriptor_close(&session->socket);
    arm(uplink);
    return uplink_engine_is_quiet(session);
}

struct uplink *uplink_free(struct uplink *uplink)
{
    if (!uplink)
        return NULL;
    uplink->timer_source = sd_event_source_disable_unref(uplink->timer_source);
    uplink->wake_source = sd_event_source_disable_unref(uplink->wake_source);
    if (!uplink_engine_is_quiet(&uplink->session)) {
        log_warning("uplink", "the MQTT client is stuck in an attempt; its memory is not freed");
        return NULL;
    }
    uplink_engine_free(&uplink->session);
    free(uplink);
    return NULL;
}

/* --- publishing ------------------------------------------------------------------------------- */

size_t uplink_room(const struct uplink *uplink)
{
    return uplink_engine_room(&uplink->session);
}

int uplink_publish(struct uplink *uplink, const struct mqtt_message *message, uint64_t tag)
{
    int result = uplink_engine_publish(&uplink->session, message, tag);
    arm_if_earlier(uplink);
    return result;
}

void uplink_get_health(const struct uplink *uplink, struct uplink_health *ret_health)
{
    const struct uplink_session *session = &uplink->session;
    int64_t wait_ns = 0;
    if (session->state.phase == UPLINK_WAITING)
        wait_ns = session->due_ns - clock_mono_ns();
    *ret_health = (struct uplink_health){
        .phase = session->state.phase,
        .server = uplink_session_server(session),
        .reason = uplink_reasons_text(&session->reasons),
        .since_wall_ms = session->since_wall_ms,
        .next_attempt_ms = wait_ns > 0 ? wait_ns / CLOCK_NS_PER_MS : 0,
        .connects = session->connects,
        .failures = session->failures,
        .published = session->published,
        .acknowledged = session->acknowledged,
        .in_flight = session->window.in_flight,
    };
}
