/*
 * The session to the broker: MQTT 3.1.1 over TLS, by Paho MQTTAsync (mqtt_client.c). It connects
 * (own loop, full jitter, one server per attempt, last good first), publishes within a window of
 * its own, hands acknowledgements back, and says why a connection failed.
 *
 * All functions: main loop only, and none of them blocks but uplink_stop(). Paho's own threads only
 * copy what they have into a small ring and wake the loop. Nothing is ever sent over a connection
 * whose chain and name were not verified: there is no switch for it.
 *
 * A message that the broker's access control denies is acknowledged nevertheless: MQTT 3.1.1 has
 * no refusal of a message (section 3.3.5.2). Only a refused subscription is seen (section 3.9.3).
 */
#ifndef SALLYPORT_AGENT_UPLINK_UPLINK_H
#define SALLYPORT_AGENT_UPLINK_UPLINK_H

#include "agent/uplink/uplink_owner.h"
#include "agent/uplink/uplink_state.h"
#include "config/schema/config.h"

#include <systemd/sd-event.h>

struct uplink; /* opaque */

/*
 * Makes the session object and attaches it to LOOP; connects on uplink_start(). CONFIG and
 * CALLBACKS are copied. Reads no file yet: certificates and passwords are read at each attempt, so
 * that replacing the files renews them. Takes the proxy variables out of the environment of the
 * process, so call it before other threads use that. Returns 0 or a negative errno, logged.
 */
int uplink_new(const struct config_uplink *config, const struct uplink_callbacks *callbacks,
               sd_event *loop, struct uplink **ret_uplink);

void uplink_start(struct uplink *uplink);

/*
 * Other settings, all of them or none; CONFIG is copied. Once uplink_start() was called, in any
 * phase, any number of times: only the last settings count. Returns at once:
 *   - A session ends: what is in flight has 3 s to be acknowledged (what the owner has published
 *     just before, such as a last status, goes with it), nothing more is taken, then a DISCONNECT
 *     follows, so no will is published, and `down` is called: what has not been acknowledged has
 *     to be published again.
 *   - An attempt to connect cannot be called off: its end is awaited.
 *   - Then the settings take effect, `open` is called, and an attempt follows without a pause.
 * Files of certificates and passwords are read again also when CONFIG is the same as before.
 * Returns 0; -EINVAL, logged, when the settings cannot work: then nothing changes; -ENOTCONN
 * before uplink_start() and after uplink_stop().
 */
int uplink_reconfigure(struct uplink *uplink, const struct config_uplink *config);

/*
 * Handles what has come without waking the loop: acknowledgements wait up to 20 ms for it. For an
 * owner that is awake anyway; may call any callback.
 */
void uplink_collect(struct uplink *uplink);

/*
 * Ends the session: waits for at most TIMEOUT_MS for what is in flight, sends a DISCONNECT, and
 * calls no callback but `acknowledged` any more. Blocking; for the clean stop only. Returns false
 * when Paho is stuck and the process should leave with _exit().
 */
bool uplink_stop(struct uplink *uplink, int timeout_ms);

/*
 * Accepts NULL, returns NULL. After a clean uplink_stop(), or when it was never started. Else the
 * object stays in memory for good, because Paho's threads may still use it.
 */
struct uplink *uplink_free(struct uplink *uplink);

/*
 * Publishes MESSAGE, which is copied. TAG comes back with the acknowledgement; 0 means that it is
 * not needed, and such a message may use UPLINK_SPARE places beyond the window, so that a status
 * finds room where data does not. Returns 0, -EAGAIN when the window is full, -ENOTCONN when down
 * (or breaking at this moment), -EINVAL for a topic that is not UTF-8 or a QoS above 1.
 */
int uplink_publish(struct uplink *uplink, const struct mqtt_message *message, uint64_t tag);

/* How many messages the window takes now; 0 when it is full or the session is down. */
size_t uplink_room(const struct uplink *uplink);

struct uplink_health {
    enum uplink_phase phase;
    const char *server;      /* of the session or of the last attempt; "" before the first */
    const char *reason;      /* why it is down: the last sentence; "" when up or not known yet */
    int64_t since_wall_ms;   /* when the phase, as its name says it, began */
    int64_t next_attempt_ms; /* milliseconds from now, while waiting; else 0 */
    uint64_t connects, failures, published, acknowledged;
    size_t in_flight;
};
void uplink_get_health(const struct uplink *uplink, struct uplink_health *ret_health);

#endif
