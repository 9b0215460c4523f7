/*
 * What drives an uplink, without the loop that it runs in: events of the MQTT client, deadlines,
 * and requests of the owner. Called by uplink.c only, in the main loop; none of these blocks.
 */
#ifndef SALLYPORT_AGENT_UPLINK_UPLINK_ENGINE_H
#define SALLYPORT_AGENT_UPLINK_UPLINK_ENGINE_H

#include "agent/uplink/uplink_session.h"

/* Returns 0 or a negative errno, logged; SESSION is fit for uplink_engine_free() either way. */
int uplink_engine_init(struct uplink_session *session, const struct config_uplink *config,
                       const struct uplink_callbacks *callbacks);

/* The session must be quiet. */
void uplink_engine_free(struct uplink_session *session);

/* Neither an attempt nor a session nor a probe, and there will be none. */
bool uplink_engine_is_quiet(const struct uplink_session *session);

/* When uplink_engine_on_deadline() has to be called; INT64_MAX for never. */
int64_t uplink_engine_deadline_ns(const struct uplink_session *session);
void uplink_engine_on_deadline(struct uplink_session *session);

/* Handles everything that waits in the ring, and the result of a probe. */
void uplink_engine_drain(struct uplink_session *session);

void uplink_engine_start(struct uplink_session *session);

/* See uplink_reconfigure(). */
int uplink_engine_reconfigure(struct uplink_session *session, const struct config_uplink *config);

/* The session ends; what is in flight has until LEAVE_NS to be acknowledged. */
void uplink_engine_stop(struct uplink_session *session, int64_t leave_ns);

/* See uplink_publish() and uplink_room(). */
int uplink_engine_publish(struct uplink_session *session, const struct mqtt_message *message,
                          uint64_t tag);
size_t uplink_engine_room(const struct uplink_session *session);

#endif
