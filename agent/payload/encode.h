/*
 * Samples to bytes: pure functions, one file for each format and one table of the formats. A
 * message is made in two steps, because its sequence number is known only when the outbox takes
 * it: `data` and `event` make the body, `envelope` makes what is published from a stored body.
 * Main loop only; the buffers are reused, so the steady state allocates nothing.
 */
#ifndef SALLYPORT_AGENT_PAYLOAD_ENCODE_H
#define SALLYPORT_AGENT_PAYLOAD_ENCODE_H

#include "agent/base/strbuf.h"
#include "config/schema/config.h"
#include "drivers/sample.h"

/* One detail of an event. */
struct event_field {
    const char *key;
    const char *text; /* UTF-8; NULL: `number` counts */
    int64_t number;
};

struct encoder {
    const char *name; /* as in `format = "json"` */

    /*
     * Appends the body of a data message of DEVICE: the samples of one batch (SLOTS[0] is its
     * header, N_SLOTS in all). PICKED, when not NULL, has a flag for each tag of the device: only
     * those are encoded. Returns how many values and errors went in; 0: nothing worth sending.
     */
    size_t (*data)(const struct config_device *device, const union slot *slots, size_t n_slots,
                   const bool *picked, struct strbuf *body);

    /* Appends the body of an event. NAME is one of interfaces: "started", "gap", ... */
    void (*event)(const char *name, int64_t timestamp_ms, const struct event_field *fields,
                  size_t n_fields, struct strbuf *body);

    /* Appends what is published: the BODY with its identity. */
    void (*envelope)(const char *stream, uint64_t seq, bool historical, const void *body,
                     size_t body_length, struct strbuf *message);
};

extern const struct encoder encoder_json;

/* The encoder of FORMAT, or NULL when this build has none. */
const struct encoder *encoder_of(enum payload_format format);

/* JSON pieces that health and control share. Invalid UTF-8 becomes U+FFFD. */
void json_add_string(struct strbuf *out, const char *text, size_t length);
/* The shortest decimal that reads back as VALUE; VALUE is finite (asserted). */
void json_add_double(struct strbuf *out, double value);
/* The value of one good sample. */
void json_add_sample(struct strbuf *out, const union slot *sample);

#endif
