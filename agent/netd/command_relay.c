/*
 * The relay of signed commands. Handlers only note what came; command_relay_settle() acts.
 * Everything is bounded: a flood of commands costs the gateway a few refusals a second.
 */
#include "agent/netd/command_relay.h"

#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/base/text.h"

#include <stdlib.h>
#include <string.h>

#define REPLIES 16 /* wait for room in the window or a session; beyond, the oldest is dropped */
#define REFUSALS_A_SECOND 8 /* of our own */

struct command_message {
    size_t length;
    bool is_retained;
    char text[WIRE_SIGNED_BYTES + 1]; /* one more than allowed: netd sees that it is too long */
};

struct command_reply {
    enum refusal refusal;
    struct wire_signed_reply reply;
};

struct command_relay {
    struct dialect *dialect;
    struct uplink *uplink;
    struct netd_client *netd; /* NULL: not there */

    char challenge[WIRE_CHALLENGE_BYTES]; /* "": there is none */
    bool is_published;                    /* the broker has it, or keeps none of ours */

    struct command_message waiting[COMMAND_RELAY_WAITING]; /* a ring */
    size_t first, n_waiting;

    bool is_under_way; /* a message is with netd */

    struct command_reply replies[REPLIES]; /* a ring */
    size_t first_reply, n_replies;

    int64_t second_ms; /* when the present second of refusals began */
    unsigned refusals; /* in it */

    struct dialect_message message; /* reused */
};

struct command_relay *command_relay_new(struct dialect *dialect, struct uplink *uplink)
{
    struct command_relay *relay = memory_zeroed(1, sizeof(*relay));
    relay->dialect = dialect;
    relay->uplink = uplink;
    return relay;
}

struct command_relay *command_relay_free(struct command_relay *relay)
{
    if (!relay)
        return NULL;
    dialect_message_free(&relay->message);
    free(relay);
    return NULL;
}

/* --- replies ------------------------------------------------------------------------------ */

static void add_reply(struct command_relay *relay, enum refusal refusal,
                      const struct wire_signed_reply *reply)
{
    if (relay->n_replies == REPLIES) {
        relay->first_reply = (relay->first_reply + 1) % REPLIES;
        relay->n_replies--;
    }
    size_t at = (relay->first_reply + relay->n_replies++) % REPLIES;
    relay->replies[at] = (struct command_reply){refusal, *reply};
}

/* Refuses a command without reading it, so without its id. */
static void refuse(struct command_relay *relay, enum refusal refusal)
{
    const struct wire_signed_reply reply = {.id = ""};
    add_reply(relay, refusal, &reply);
}

/* The same for refusals that anyone can cause at any rate. */
static void refuse_sparingly(struct command_relay *relay, enum refusal refusal, int64_t now_ms)
{
    if (now_ms - relay->second_ms >= 1000) {
        relay->second_ms = now_ms;
        relay->refusals = 0;
    }
    if (relay->refusals == 0)
        log_info("command",
                 "result=refused reason=%s: not handed to netd; at most %d a "
                 "second are answered",
                 refusal_names[refusal], REFUSALS_A_SECOND);
    if (relay->refusals++ < REFUSALS_A_SECOND)
        refuse(relay, refusal);
}

/* --- what comes --------------------------------------------------------------------------- */

void command_relay_link_up(struct command_relay *relay)
{
    relay->is_published = false;
}

void command_relay_received(struct command_relay *relay, const void *text, size_t length,
                            bool is_retained, int64_t now_ms)
{
    if (!relay->netd || relay->n_waiting == COMMAND_RELAY_WAITING) {
        refuse_sparingly(relay, relay->netd ? REFUSAL_RATE_LIMITED : REFUSAL_FAILED, now_ms);
        return;
    }
    size_t at = (relay->first + relay->n_waiting++) % COMMAND_RELAY_WAITING;
    struct command_message *message = &relay->waiting[at];
    message->length = length < sizeof(message->text) ? length : sizeof(message->text);
    message->is_retained = is_retained;
    memcpy(message->text, text, message->length);
}

void command_relay_challenge(struct command_relay *relay, const char *challenge)
{
    if (strcmp(relay->challenge, challenge) == 0)
        return;
    text_put(relay->challenge, sizeof(relay->challenge), challenge);
    relay->is_published = false;
}

void command_relay_netd(struct command_relay *relay, struct netd_client *netd)
{
    relay->netd = netd;
    if (netd)
        return;
    command_relay_challenge(relay, "");
    if (relay->is_under_way)
        refuse(relay, REFUSAL_FAILED);
    relay->is_under_way = false;
    for (; relay->n_waiting > 0; relay->n_waiting--)
        refuse(relay, REFUSAL_FAILED);
}

void command_relay_answered(struct command_relay *relay, enum refusal refusal,
                            const struct wire_signed_reply *reply)
{
    if (!relay->is_under_way)
        return;
    relay->is_under_way = false;
    if (refusal == REFUSAL_NONE)
        log_info("command", "id=%s result=accepted", reply->id);
    else /* netd's journal has the relevant ones; the rest must not fill the log */
        log_debug("command", "id=%s result=refused reason=%s", reply->id, refusal_names[refusal]);
    add_reply(relay, refusal, reply);
}

/* --- what goes ---------------------------------------------------------------------------- */

static void hand_over(struct command_relay *relay)
{
    while (!relay->is_under_way && relay->n_waiting > 0) {
        const struct command_message *message = &relay->waiting[relay->first];
        int problem =
            netd_client_signed(relay->netd, message->text, message->length, message->is_retained);
        relay->first = (relay->first + 1) % COMMAND_RELAY_WAITING;
        relay->n_waiting--;
        relay->is_under_way = problem == 0;
        if (problem < 0)
            refuse(relay, REFUSAL_FAILED);
    }
}

/* False: not now; each acknowledgement, and the next session, tries again. */
static bool publish(struct command_relay *relay)
{
    const struct mqtt_message view = dialect_message_view(&relay->message);
    return uplink_publish(relay->uplink, &view, 0) == 0;
}

static void publish_challenge(struct command_relay *relay)
{
    if (relay->is_published)
        return;
    relay->dialect->type->challenge(relay->dialect, relay->challenge, &relay->message);
    relay->is_published = publish(relay);
}

static void publish_replies(struct command_relay *relay)
{
    while (relay->n_replies > 0) {
        const struct command_reply *reply = &relay->replies[relay->first_reply];
        relay->dialect->type->reply(relay->dialect, reply->refusal, &reply->reply, &relay->message);
        if (!publish(relay))
            return;
        relay->first_reply = (relay->first_reply + 1) % REPLIES;
        relay->n_replies--;
    }
}

void command_relay_settle(struct command_relay *relay, bool is_open)
{
    hand_over(relay);
    if (!is_open)
        return;
    publish_challenge(relay);
    publish_replies(relay);
}
