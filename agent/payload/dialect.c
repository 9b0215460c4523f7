/* What is the same for all dialects. */
#include "agent/payload/dialect.h"

struct dialect *dialect_free(struct dialect *dialect)
{
    if (dialect)
        dialect->type->free(dialect);
    return NULL;
}

struct mqtt_message dialect_message_view(const struct dialect_message *message)
{
    return (struct mqtt_message){.topic = strbuf_text(&message->topic),
                                 .payload = message->payload.data,
                                 .length = message->payload.length,
                                 .qos = message->qos,
                                 .retained = message->retained};
}

void dialect_message_free(struct dialect_message *message)
{
    strbuf_free(&message->topic);
    strbuf_free(&message->payload);
}
