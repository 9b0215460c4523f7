/*
 * A payload dialect: how the facts that the gateway knows are published. It makes every
 * topic and every payload, says what opens and what ends a session with the broker, and recognises
 * what comes from there. It sends nothing itself and stores nothing.
 *
 * Plant data and events are encoded in two steps, because they wait in the outbox in between:
 * `data` and `event` make the body that is stored, under the topic that `topic` makes; `envelope`
 * makes what is published from a stored body once its number is known. All else is published as it
 * is made, and made again if it has to be.
 *
 * A new dialect is one file with one `const struct dialect_type dialect_NAME`, and one row of
 * PAYLOAD_DIALECTS in config/schema/config.h. Main loop only; the buffers are reused, so the steady
 * state allocates nothing.
 */
#ifndef SALLYPORT_AGENT_PAYLOAD_DIALECT_H
#define SALLYPORT_AGENT_PAYLOAD_DIALECT_H

#include "agent/base/strbuf.h"
#include "agent/outbox/outbox.h"
#include "agent/payload/status.h"
#include "agent/uplink/mqtt_message.h"
#include "agent/uplink/uplink_owner.h"
#include "config/schema/config.h"
#include "drivers/sample.h"
#include "tunnel/model/event.h"
#include "tunnel/wire/wire.h"

#include <stdbool.h>
#include <stddef.h>

/* What is published. Owned and reused by the caller; a dialect replaces its content. */
struct dialect_message {
    struct strbuf topic, payload;
    int qos;
    bool retained;
};

void dialect_message_free(struct dialect_message *message); /* fit for CLEANUP() */

/* MESSAGE as the uplink takes it; valid until MESSAGE changes. */
struct mqtt_message dialect_message_view(const struct dialect_message *message);

/* What a message from the broker is. */
enum dialect_inbound_kind {
    DIALECT_NOTHING, /* of no concern */
    DIALECT_COMMAND, /* `text`: a signed command, exactly as it was signed; not judged */
    DIALECT_BIRTH,   /* a request to publish again what opens a session */
};

struct dialect_inbound {
    enum dialect_inbound_kind kind;
    const void *text; /* valid as long as the message, or until the next call on the dialect */
    size_t length;
};

/* An instance: the first member of what `create` makes. */
struct dialect {
    const struct dialect_type *type;
};

struct dialect_type {
    /* CONFIG may go; what the dialect needs of it is copied. */
    struct dialect *(*create)(const struct config *config);
    void (*free)(struct dialect *dialect);

    /* ---- What is stored ---- */

    /* Appends the topic that is stored with a message, the gateway's own part left out. */
    void (*topic)(struct dialect *dialect, const struct outbox_facts *facts, struct strbuf *topic);

    /*
     * Appends the body of a data message of DEVICE: the samples of one batch (SLOTS[0] is its
     * header, N_SLOTS in all). PICKED, when not NULL, has a flag for each tag of the device: only
     * those are encoded. Returns how many values and errors went in; 0: nothing worth sending.
     */
    size_t (*data)(struct dialect *dialect, const struct config_device *device,
                   const union slot *slots, size_t n_slots, const bool *picked,
                   struct strbuf *body);

    /* Appends the body of an event. */
    void (*event)(struct dialect *dialect, const struct event *event, struct strbuf *body);

    /* ---- What is published ---- */

    /* A stored message with its identity. STREAM is the outbox's. */
    void (*envelope)(struct dialect *dialect, const char *stream,
                     const struct outbox_message *stored, struct dialect_message *message);

    void (*status)(struct dialect *dialect, const struct status_facts *facts,
                   struct dialect_message *message);

    /* What the next signed command must carry, 64 hex digits; "" when no command is taken. */
    void (*challenge)(struct dialect *dialect, const char *challenge,
                      struct dialect_message *message);

    /* The answer to a signed command. */
    void (*reply)(struct dialect *dialect, enum refusal refusal,
                  const struct wire_signed_reply *reply, struct dialect_message *message);

    /* ---- A session with the broker ---- */

    /*
     * The will and the subscriptions of the attempt to connect that begins now. OPENING is empty;
     * what it points to is the dialect's, until the next call.
     */
    void (*open)(struct dialect *dialect, struct uplink_opening *opening);

    /*
     * What is published first in a session, in order: message number INDEX, from 0 on; false when
     * there are no more. FACTS are those of the status.
     */
    bool (*birth)(struct dialect *dialect, const struct status_facts *facts, size_t index,
                  struct dialect_message *message);

    /* What is published last, before a clean stop; false: nothing. */
    bool (*farewell)(struct dialect *dialect, struct dialect_message *message);

    /* Recognises a message from the broker, on whatever topic. */
    void (*recognise)(struct dialect *dialect, const char *topic, const void *payload,
                      size_t length, struct dialect_inbound *ret_inbound);
};

struct dialect *dialect_free(struct dialect *dialect); /* accepts NULL, returns NULL */

#endif
