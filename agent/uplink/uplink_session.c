/* The state of an uplink, and what is reported about it. */
#include "agent/uplink/uplink_session.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"

#include <string.h>
#include <sys/random.h>

const struct broker_url *uplink_session_url(const struct uplink_session *session)
{
    return &session->settings.servers[session->server];
}

struct mqtt_client *uplink_session_client(const struct uplink_session *session)
{
    return session->clients.of[uplink_session_url(session)->websocket];
}

const char *uplink_session_server(const struct uplink_session *session)
{
    return session->generation > 0 ? session->settings.config.servers.items[session->server] : "";
}

bool uplink_session_is_wanted(const struct uplink_session *session)
{
    return session->state.goal == UPLINK_GOAL_SESSION;
}

bool uplink_session_is_ending(const struct uplink_session *session)
{
    return session->state.goal == UPLINK_GOAL_END;
}

bool uplink_session_step(struct uplink_session *session, enum uplink_input input)
{
    enum uplink_phase before = session->state.phase;
    uint32_t random = 0;
    int64_t wait_ms = 0;
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
        random = 0; /* the kernel has none yet, early at boot: the shortest wait */
    if (uplink_state_step(&session->state, input, random, &wait_ms) < 0) {
        log_debug("uplink", "phase=%s(%d) input=%d: too late; ignored", uplink_phase_name(before),
                  (int)before, (int)input);
        return false;
    }
    enum uplink_phase after = session->state.phase;
    if (after == before)
        return true;
    session->step_ns = clock_mono_ns();
    session->due_ns = session->step_ns + wait_ms * CLOCK_NS_PER_MS;
    if (strcmp(uplink_phase_name(after), uplink_phase_name(before)) != 0)
        session->since_wall_ms = clock_wall_ms();
    return true;
}

void uplink_session_say_down(struct uplink_session *session, const char *reason)
{
    if (session->owner_knows || uplink_session_is_ending(session))
        return;
    session->owner_knows = true;
    if (session->callbacks.down)
        session->callbacks.down(session->callbacks.context, reason);
}

void uplink_session_say(struct uplink_session *session, size_t server, const char *sentence)
{
    uplink_reasons_add(&session->reasons, server, sentence, clock_mono_ns());
    if (session->callbacks.failed && !uplink_session_is_ending(session))
        session->callbacks.failed(session->callbacks.context, sentence);
    uplink_session_say_down(session, sentence);
}

void uplink_session_say_of_server(struct uplink_session *session, size_t server, const char *reason)
{
    const struct broker_url *url = &session->settings.servers[server];
    char *sentence CLEANUP(memory_free_pointer) =
        memory_printf("%s:%u: %s", url->host, url->port, reason);
    uplink_session_say(session, server, sentence);
}

void uplink_session_close(struct uplink_session *session)
{
    if (mqtt_client_disconnect(uplink_session_client(session)) < 0)
        (void)uplink_session_step(session, UPLINK_CLOSED);
}
