/*
 * The only file that knows Paho MQTTAsync 1.3.12: a thin adapter that avoids what is wrong with
 * it. Operations return at once; what becomes of them arrives as events in an uplink_ring.
 *
 * Main loop only, and not while an attempt to connect is under way: Paho resolves names and talks
 * to proxies with its global lock held, and every call of ours would wait for that.
 *
 * A message that the broker's access control denies is acknowledged nevertheless: MQTT 3.1.1
 * has no negative PUBACK (section 3.3.5.2), so this side cannot see it.
 */
#ifndef SALLYPORT_AGENT_UPLINK_MQTT_CLIENT_H
#define SALLYPORT_AGENT_UPLINK_MQTT_CLIENT_H

#include "agent/uplink/mqtt_message.h"
#include "agent/uplink/uplink_ring.h"
#include "config/load/broker_url.h"

#include <openssl/x509.h>

struct mqtt_client; /* opaque */

/* Longer messages from the broker arrive cut to this length, which is then the sign of it. */
#define MQTT_RECEIVED_MAX_BYTES 65536

/*
 * Makes a client for servers of one kind: Paho keeps the transport of its first address for ever.
 * MAX_MESSAGES: how many may be in its hands at a time. The RING must outlive the client. Returns
 * 0 or a negative errno.
 */
int mqtt_client_new(const char *client_id, bool websocket, size_t max_messages,
                    struct uplink_ring *ring, struct mqtt_client **ret_client);

/*
 * The same with MQTT 5, for a test of what a login may do: there a denied publication ends with
 * UPLINK_EVENT_REJECTED (section 3.4.2.1). A broker that speaks only 3.1.1 refuses with
 * MQTT_NO_VERSION_5.
 */
int mqtt_client_new_5(const char *client_id, bool websocket, size_t max_messages,
                      struct uplink_ring *ring, struct mqtt_client **ret_client);
#define MQTT_NO_VERSION_5 0x84 /* MQTT 5, section 3.2.2.2: unsupported protocol version */

/*
 * No attempt and no session may be left. Takes up to a second when it is the last client of the
 * process, since Paho ends its threads then. Accepts NULL, returns NULL.
 */
struct mqtt_client *mqtt_client_free(struct mqtt_client *client);

/* Everything is copied during the call. NULL: unset. */
struct mqtt_attempt {
    const struct broker_url *server;
    const char *ca, *certificate, *key, *key_password; /* as struct tls_files */
    const char *crl;                                   /* for sentences */
    STACK_OF(X509_CRL) * lists;                        /* those of CRL */
    const char *username, *password;
    const char *alpn, *proxy; /* the same proxy in every attempt of a client */
    struct mqtt_message will; /* topic NULL: none */
    int keepalive_s, connect_timeout_s;
    uint32_t generation; /* comes back in the events */
};

/* Ends with UPLINK_EVENT_LOGIN or UPLINK_EVENT_REFUSED. Returns 0 or a negative errno. */
int mqtt_client_connect(struct mqtt_client *client, const struct mqtt_attempt *attempt);

/* Ends with UPLINK_EVENT_SUBSCRIBED or UPLINK_EVENT_DENIED. One at a time. QOS: 0 or 1. */
int mqtt_client_subscribe(struct mqtt_client *client, const char *filter, int qos);

/*
 * UPLINK_EVENT_DELIVERED carries the token. At QoS 0 that is always 0, and the event only says that
 * one more message was written to the connection, in the order of the calls. Returns 0, -ENOTCONN,
 * -EINVAL for a topic that is not UTF-8 or another QoS, or -EIO when the client takes no more,
 * which only a new session cures.
 */
int mqtt_client_publish(struct mqtt_client *client, const struct mqtt_message *message,
                        int *ret_token);

/* Ends with UPLINK_EVENT_CLOSED. Returns 0, or -ENOTCONN when there is no session. */
int mqtt_client_disconnect(struct mqtt_client *client);

/*
 * Why the broker refused, from the code of UPLINK_EVENT_REFUSED (MQTT 3.1.1, section 3.2.2.3), or
 * NULL when Paho does not know.
 */
const char *mqtt_client_refusal(int code);

#endif
