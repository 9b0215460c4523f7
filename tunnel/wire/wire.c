/*
 * netd's protocol: what is well-formed. Each verb has one row: the sizes of its two bodies
 * and the text fields in them, so that encode, decode and check cannot disagree.
 */
#include "tunnel/wire/wire.h"

#include "agent/base/macros.h"
#include "agent/base/text.h"
#include "tunnel/model/posture.h"

#include <errno.h>
#include <string.h>

#define HEADER sizeof(struct wire_header)
#define AGENT (1u << WIRE_ROLE_AGENT)
#define ADMIN (1u << WIRE_ROLE_ADMIN)

enum field_kind {
    FIELD_TEXT,  /* UTF-8 without control characters, may be empty */
    FIELD_LINES, /* the same, each line ended by LF */
    FIELD_FULL,  /* as FIELD_TEXT, 1 to 200 characters */
    FIELD_NAME,  /* [A-Za-z0-9_.-]{1,64}, or empty */
};

struct field {
    enum field_kind kind;
    size_t offset, size;
};

#define FIELD(kind, type, member)                                                                  \
    {                                                                                              \
        kind, HEADER + offsetof(struct type, member), sizeof(((struct type *)0)->member)           \
    }

static const struct field open_fields[] = {FIELD(FIELD_FULL, wire_open, reason)};
static const struct field extend_fields[] = {FIELD(FIELD_FULL, wire_extend, reason)};
static const struct field hello_fields[] = {FIELD(FIELD_TEXT, wire_hello, version),
                                            FIELD(FIELD_TEXT, wire_hello, gateway)};
static const struct field status_fields[] = {
    FIELD(FIELD_TEXT, wire_status, opener),
    FIELD(FIELD_TEXT, wire_status, reason),
    FIELD(FIELD_TEXT, wire_status, detail),
    FIELD(FIELD_TEXT, wire_status, hub),
    FIELD(FIELD_TEXT, wire_status, gateway_address),
    FIELD(FIELD_TEXT, wire_status, firewall_changed_by),
    FIELD(FIELD_TEXT, wire_status, firewall_problem),
};
static const struct field verdict_fields[] = {FIELD(FIELD_TEXT, wire_verdict, text)};
static const struct field text_fields[] = {FIELD(FIELD_TEXT, wire_text, text)};
static const struct field line_fields[] = {FIELD(FIELD_TEXT, wire_line, line)};
static const struct field challenge_fields[] = {FIELD(FIELD_TEXT, wire_challenge, challenge)};
static const struct field signed_fields[] = {FIELD(FIELD_NAME, wire_signed_reply, id),
                                             FIELD(FIELD_LINES, wire_signed_reply, text)};

struct shape {
    size_t body;
    const struct field *fields;
    size_t n_fields;
};

#define NO_BODY                                                                                    \
    {                                                                                              \
        0, NULL, 0                                                                                 \
    }
#define BODY(type)                                                                                 \
    {                                                                                              \
        sizeof(struct type), NULL, 0                                                               \
    }
#define TEXTS(type, fields)                                                                        \
    {                                                                                              \
        sizeof(struct type), fields, ARRAY_LENGTH(fields)                                          \
    }

struct verb {
    unsigned roles; /* that may ask it; 0: none */
    struct shape request, reply;
};

static const struct verb verbs[WIRE_VERB_COUNT] = {
    [WIRE_HELLO] = {AGENT | ADMIN, NO_BODY, TEXTS(wire_hello, hello_fields)},
    [WIRE_STATUS] = {AGENT | ADMIN, NO_BODY, TEXTS(wire_status, status_fields)},
    [WIRE_COUNTERS] = {AGENT | ADMIN, NO_BODY, BODY(wire_counters)},
    [WIRE_OPEN_LOCAL] = {ADMIN, TEXTS(wire_open, open_fields), TEXTS(wire_text, text_fields)},
    [WIRE_EXTEND] = {ADMIN, TEXTS(wire_extend, extend_fields), TEXTS(wire_text, text_fields)},
    [WIRE_CLOSE] = {AGENT | ADMIN, NO_BODY, TEXTS(wire_text, text_fields)},
    [WIRE_APPROVE] = {ADMIN, BODY(wire_approve), TEXTS(wire_text, text_fields)},
    [WIRE_VERIFY_FIREWALL] = {ADMIN, NO_BODY, TEXTS(wire_verdict, verdict_fields)},
    [WIRE_ACKNOWLEDGE] = {ADMIN, NO_BODY, TEXTS(wire_text, text_fields)},
    [WIRE_FIREWALL_TRY] = {ADMIN, BODY(wire_try), TEXTS(wire_text, text_fields)},
    [WIRE_FIREWALL_KEEP] = {ADMIN, NO_BODY, TEXTS(wire_text, text_fields)},
    [WIRE_JOURNAL_READ] = {AGENT | ADMIN, BODY(wire_cursor), TEXTS(wire_line, line_fields)},
    [WIRE_SUBSCRIBE] = {AGENT | ADMIN, NO_BODY, NO_BODY},
    [WIRE_CHANGED] = {0, NO_BODY, NO_BODY},
    [WIRE_CHALLENGE] = {AGENT, NO_BODY, TEXTS(wire_challenge, challenge_fields)},
    [WIRE_SIGNED] = {AGENT, BODY(wire_signed), TEXTS(wire_signed_reply, signed_fields)},
    [WIRE_SIGNERS] = {AGENT, NO_BODY, BODY(wire_signers)},
};

static bool is_verb(unsigned verb)
{
    return verb >= WIRE_HELLO && verb < WIRE_VERB_COUNT;
}

size_t wire_request_size(enum wire_verb verb)
{
    return is_verb(verb) && verbs[verb].roles ? HEADER + verbs[verb].request.body : 0;
}

size_t wire_reply_size(enum wire_verb verb)
{
    return is_verb(verb) ? HEADER + verbs[verb].reply.body : 0;
}

bool wire_is_allowed(enum wire_role role, enum wire_verb verb)
{
    return is_verb(verb) && role != WIRE_ROLE_NONE && (verbs[verb].roles & 1u << role);
}

void wire_begin(struct wire_message *message, enum wire_verb verb, uint32_t id)
{
    memset(message, 0, sizeof(*message));
    message->header = (struct wire_header){
        .magic = WIRE_MAGIC, .version = WIRE_VERSION, .verb = (uint16_t)verb, .id = id};
}

static bool is_all_zero(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (bytes[i])
            return false;
    }
    return true;
}

/* Terminated, clean, and zero after the end. */
static bool text_is_fit(const char *field, size_t size, enum field_kind kind)
{
    static const char names[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t length = strnlen(field, size), characters = 0;
    if (length == size || !is_all_zero(field + length, size - length))
        return false;
    if (kind == FIELD_NAME)
        return strspn(field, names) == length;
    if (kind == FIELD_LINES && length > 0 && field[length - 1] != '\n')
        return false;
    for (size_t at = 0; at < length; characters++) {
        bool is_end = kind == FIELD_LINES && field[at] == '\n';
        size_t step = is_end ? 1 : text_printable(field + at);
        if (step == 0)
            return false;
        at += step;
    }
    return kind != FIELD_FULL || (characters >= 1 && characters <= 200);
}

static bool services_are_fit(const char (*services)[SESSION_NAME_BYTES], uint32_t n_services)
{
    if (n_services > SESSION_MAX_SERVICES)
        return false;
    for (uint32_t i = 0; i < SESSION_MAX_SERVICES; i++) {
        if (!text_is_fit(services[i], SESSION_NAME_BYTES, FIELD_NAME) ||
            (services[i][0] != '\0') != (i < n_services))
            return false;
    }
    return true;
}

static int wire_check(const struct wire_message *message, size_t length, const struct shape *shape)
{
    if (length != HEADER + shape->body)
        return -EPROTO;
    for (size_t i = 0; i < shape->n_fields; i++) {
        const struct field *field = &shape->fields[i];
        if (!text_is_fit((const char *)message + field->offset, field->size, field->kind))
            return -EPROTO;
    }
    return 0;
}

static bool header_is_fit(const struct wire_message *message, size_t length)
{
    return length >= HEADER && message->header.magic == WIRE_MAGIC &&
           message->header.version == WIRE_VERSION && is_verb(message->header.verb);
}

/* What the table cannot say: counts, flags and padding of requests. */
static bool numbers_are_fit(const struct wire_message *message)
{
    const struct wire_signed *text = &message->body.signed_text;
    const struct wire_open *open = &message->body.open;
    switch ((enum wire_verb)message->header.verb) {
    case WIRE_OPEN_LOCAL:
        return open->n_services > 0 && services_are_fit(open->services, open->n_services) &&
               is_all_zero((const char *)open->pad, sizeof(open->pad));
    case WIRE_FIREWALL_TRY:
        return message->body.try.confirm_s >= 1 && message->body.try.confirm_s <= 3600;
    case WIRE_SIGNED:
        return text->length <= sizeof(text->text) && text->is_retained <= 1 && text->is_cut <= 1 &&
               (!text->is_cut || text->length == sizeof(text->text)) &&
               is_all_zero(text->text + text->length, sizeof(text->text) - text->length);
    case WIRE_HELLO:
    case WIRE_STATUS:
    case WIRE_COUNTERS:
    case WIRE_EXTEND:
    case WIRE_CLOSE:
    case WIRE_APPROVE:
    case WIRE_VERIFY_FIREWALL:
    case WIRE_ACKNOWLEDGE:
    case WIRE_FIREWALL_KEEP:
    case WIRE_JOURNAL_READ:
    case WIRE_SUBSCRIBE:
    case WIRE_CHANGED:
    case WIRE_CHALLENGE:
    case WIRE_SIGNERS:
    case WIRE_VERB_COUNT:
        return true;
    }
    return false;
}

int wire_check_request(const struct wire_message *message, size_t length)
{
    if (!header_is_fit(message, length) || message->header.result != 0)
        return -EPROTO;
    const struct verb *verb = &verbs[message->header.verb];
    if (!verb->roles || wire_check(message, length, &verb->request) < 0)
        return -EPROTO;
    return numbers_are_fit(message) ? 0 : -EPROTO;
}

static bool status_is_fit(const struct wire_status *status)
{
    return status->session_state < SESSION_STATE_COUNT && status->session_end < SESSION_END_COUNT &&
           status->firewall_state < FIREWALL_STATE_COUNT &&
           status->agent_reach < AGENT_REACH_COUNT &&
           services_are_fit(status->services, status->n_services);
}

static bool signers_are_fit(const struct wire_signers *signers)
{
    size_t n_keys = signers->n_keys;
    return n_keys <= WIRE_SIGNERS_MAX &&
           is_all_zero((const char *)signers->keys + n_keys * WIRE_KEY_BYTES,
                       (WIRE_SIGNERS_MAX - n_keys) * WIRE_KEY_BYTES);
}

int wire_check_reply(const struct wire_message *message, size_t length)
{
    if (!header_is_fit(message, length) || message->header.result < 0 ||
        message->header.result >= REFUSAL_COUNT)
        return -EPROTO;
    if (wire_check(message, length, &verbs[message->header.verb].reply) < 0)
        return -EPROTO;
    if (message->header.verb == WIRE_STATUS && !status_is_fit(&message->body.status))
        return -EPROTO;
    if (message->header.verb == WIRE_VERIFY_FIREWALL &&
        message->body.verdict.firewall_state >= FIREWALL_STATE_COUNT)
        return -EPROTO;
    if (message->header.verb == WIRE_SIGNED &&
        message->body.signed_reply.session_state >= SESSION_STATE_COUNT)
        return -EPROTO;
    if (message->header.verb == WIRE_SIGNERS && !signers_are_fit(&message->body.signers))
        return -EPROTO;
    const struct wire_line *line = &message->body.line;
    if (message->header.verb == WIRE_JOURNAL_READ && strlen(line->line) != line->length)
        return -EPROTO;
    return 0;
}
