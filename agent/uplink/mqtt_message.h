/* One MQTT message on its way to the broker. A value that borrows; any thread. */
#ifndef SALLYPORT_AGENT_UPLINK_MQTT_MESSAGE_H
#define SALLYPORT_AGENT_UPLINK_MQTT_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

struct mqtt_message {
    const char *topic;
    const void *payload; /* any bytes; may be NULL when there are none */
    size_t length;
    int qos; /* 0 or 1 */
    bool retained;
};

#endif
