/*
 * The command_relay of signed commands. Handlers only note what came; command_relay_settle() acts.
 * Everything is bounded: who floods the gateway with commands costs it a few refusals a second.
 */
#include "agent/netd/command_relay.h"

#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/base/strbuf.h"
#include "agent/base/text.h"
#include "agent/payload/encode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REPLIES 16 /* wait for room in the window, or for the session; then the oldest goes */
#define REFUSALS_A_SECOND 8 /* of our own */

struct message {
    size_t length;
    bool is_retained;
    char text[WIRE_SIGNED_BYTES + 1]; /* one more than may be: so it is seen to be too long */
};

struct command_relay {
    struct command_relay_road road;
    char *command_topic, *reply_topic, *challenge_topic;
    bool has_netd;

    char challenge[WIRE_CHALLENGE_BYTES]; /* "": there is none */
    bool is_told;                         /* the broker has it, or has none of ours */

    struct message waiting[COMMAND_RELAY_WAITING]; /* a ring */
    size_t first, n_waiting;

    bool is_under_way; /* a message is with netd */

    struct strbuf replies[REPLIES]; /* a ring */
    size_t first_reply, n_replies;

    int64_t second_ms; /* when the present second of refusals began */
    unsigned refusals; /* in it */
};

struct command_relay *command_relay_new(const char *prefix, const struct command_relay_road *road)
{
    struct command_relay *command_relay = memory_zeroed(1, sizeof(*command_relay));
    command_relay->road = *road;
    command_relay->command_topic = memory_printf("%s/command", prefix);
    command_relay->reply_topic = memory_printf("%s/reply", prefix);
    command_relay->challenge_topic = memory_printf("%s/challenge", prefix);
    return command_relay;
}

struct command_relay *command_relay_free(struct command_relay *command_relay)
{
    if (!command_relay)
        return NULL;
    for (size_t i = 0; i < REPLIES; i++)
        strbuf_free(&command_relay->replies[i]);
    free(command_relay->command_topic);
    free(command_relay->reply_topic);
    free(command_relay->challenge_topic);
    free(command_relay);
    return NULL;
}

const char *command_relay_topic(const struct command_relay *command_relay)
{
    return command_relay->command_topic;
}

/* --- replies ------------------------------------------------------------------------------ */

static struct strbuf *new_reply(struct command_relay *command_relay)
{
    if (command_relay->n_replies == REPLIES) {
        command_relay->first_reply = (command_relay->first_reply + 1) % REPLIES;
        command_relay->n_replies--;
    }
    struct strbuf *reply =
        &command_relay->replies[(command_relay->first_reply + command_relay->n_replies) % REPLIES];
    command_relay->n_replies++;
    strbuf_reset(reply);
    return reply;
}

static void write_connect(struct strbuf *out, const char *text)
{
    size_t n_lines = 0;
    while (*text) {
        size_t length = strcspn(text, "\n");
        if (length > 0) {
            strbuf_add(out, n_lines++ ? "," : ",\"connect\":[");
            json_add_string(out, text, length);
        }
        text += length + (text[length] == '\n');
    }
    if (n_lines)
        strbuf_add_char(out, ']');
}

static void write_refusal(struct strbuf *out, const char *id, enum refusal refusal)
{
    strbuf_add(out, "{\"id\":");
    json_add_string(out, id, strlen(id));
    strbuf_addf(out, ",\"result\":\"refused\",\"reason\":\"%s\"}", refusal_names[refusal]);
}

static void write_acceptance(struct strbuf *out, const struct wire_signed_reply *reply)
{
    strbuf_add(out, "{\"id\":");
    json_add_string(out, reply->id, strlen(reply->id));
    strbuf_addf(out, ",\"result\":\"accepted\",\"state\":\"%s\"",
                session_state_names[reply->session_state]);
    write_connect(out, reply->text);
    strbuf_add_char(out, '}');
}

/* Refuses unread, so without the command's id. */
static void refuse(struct command_relay *command_relay, enum refusal refusal)
{
    write_refusal(new_reply(command_relay), "", refusal);
}

/* The same for what anybody may cause as often as he likes. */
static void refuse_sparingly(struct command_relay *command_relay, enum refusal refusal,
                             int64_t now_ms)
{
    if (now_ms - command_relay->second_ms >= 1000) {
        command_relay->second_ms = now_ms;
        command_relay->refusals = 0;
    }
    if (command_relay->refusals == 0)
        log_info("courier",
                 "result=refused reason=%s: not handed to netd; at most %d a "
                 "second are answered",
                 refusal_names[refusal], REFUSALS_A_SECOND);
    if (command_relay->refusals++ < REFUSALS_A_SECOND)
        refuse(command_relay, refusal);
}

/* --- what comes --------------------------------------------------------------------------- */

void command_relay_link_up(struct command_relay *command_relay)
{
    command_relay->is_told = false;
}

void command_relay_received(struct command_relay *command_relay, const char *topic,
                            const void *payload, size_t length, bool is_retained, int64_t now_ms)
{
    if (length == 0 || strcmp(topic, command_relay->command_topic) != 0)
        return;
    if (!command_relay->has_netd || command_relay->n_waiting == COMMAND_RELAY_WAITING) {
        refuse_sparingly(command_relay,
                         command_relay->has_netd ? REFUSAL_RATE_LIMITED : REFUSAL_FAILED, now_ms);
        return;
    }
    size_t at = (command_relay->first + command_relay->n_waiting++) % COMMAND_RELAY_WAITING;
    struct message *message = &command_relay->waiting[at];
    message->length = length < sizeof(message->text) ? length : sizeof(message->text);
    message->is_retained = is_retained;
    memcpy(message->text, payload, message->length);
}

static void set_challenge(struct command_relay *command_relay, const char *challenge)
{
    if (strcmp(command_relay->challenge, challenge) == 0)
        return;
    text_put(command_relay->challenge, sizeof(command_relay->challenge), challenge);
    command_relay->is_told = false;
}

void command_relay_challenge(struct command_relay *command_relay, const char *challenge)
{
    set_challenge(command_relay, challenge);
}

void command_relay_netd(struct command_relay *command_relay, bool is_connected)
{
    command_relay->has_netd = is_connected;
    if (is_connected)
        return;
    set_challenge(command_relay, "");
    if (command_relay->is_under_way)
        refuse(command_relay, REFUSAL_FAILED);
    command_relay->is_under_way = false;
    for (; command_relay->n_waiting > 0; command_relay->n_waiting--)
        refuse(command_relay, REFUSAL_FAILED);
}

void command_relay_answered(struct command_relay *command_relay, enum refusal refusal,
                            const struct wire_signed_reply *reply)
{
    if (!command_relay->is_under_way)
        return;
    command_relay->is_under_way = false;
    if (refusal == REFUSAL_NONE) {
        log_info("courier", "id=%s result=accepted", reply->id);
        write_acceptance(new_reply(command_relay), reply);
        return;
    }
    /* netd's journal has what counts; nobody fills the log with the rest. */
    log_debug("courier", "id=%s result=refused reason=%s", reply->id, refusal_names[refusal]);
    write_refusal(new_reply(command_relay), reply->id, refusal);
}

/* --- what goes ---------------------------------------------------------------------------- */

static void hand_over(struct command_relay *command_relay)
{
    while (!command_relay->is_under_way && command_relay->n_waiting > 0) {
        const struct message *message = &command_relay->waiting[command_relay->first];
        int problem = command_relay->road.deliver(command_relay->road.context, message->text,
                                                  message->length, message->is_retained);
        command_relay->first = (command_relay->first + 1) % COMMAND_RELAY_WAITING;
        command_relay->n_waiting--;
        command_relay->is_under_way = problem == 0;
        if (problem < 0)
            refuse(command_relay, REFUSAL_FAILED);
    }
}

static void publish_challenge(struct command_relay *command_relay)
{
    if (!command_relay->is_told)
        command_relay->is_told =
            command_relay->road.publish(command_relay->road.context, command_relay->challenge_topic,
                                        command_relay->challenge, strlen(command_relay->challenge),
                                        true) == 0;
}

static void publish_replies(struct command_relay *command_relay)
{
    while (command_relay->n_replies > 0) {
        const struct strbuf *reply = &command_relay->replies[command_relay->first_reply];
        if (command_relay->road.publish(command_relay->road.context, command_relay->reply_topic,
                                        reply->data, reply->length, false) < 0)
            return; /* each acknowledgement, and the next session, bring us here again */
        command_relay->first_reply = (command_relay->first_reply + 1) % REPLIES;
        command_relay->n_replies--;
    }
}

void command_relay_settle(struct command_relay *command_relay)
{
    hand_over(command_relay);
    publish_challenge(command_relay);
    publish_replies(command_relay);
}
