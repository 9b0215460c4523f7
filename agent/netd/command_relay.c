/*
 * The courier of signed commands. Handlers only note what came; courier_settle() acts. Everything
 * is bounded: who floods the gateway with commands costs it a few refusals a second.
 */
#include "agent/netd/command_relay.h"

#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/base/strbuf.h"
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

struct courier {
    struct courier_road road;
    char *command_topic, *reply_topic, *challenge_topic;
    bool has_warden;

    char challenge[WIRE_CHALLENGE_BYTES]; /* "": there is none */
    bool is_told;                         /* the broker has it, or has none of ours */

    struct message waiting[COURIER_WAITING]; /* a ring */
    size_t first, n_waiting;

    bool is_under_way; /* a message is with the warden */

    struct strbuf replies[REPLIES]; /* a ring */
    size_t first_reply, n_replies;

    int64_t second_ms; /* when the present second of refusals began */
    unsigned refusals; /* in it */
};

struct courier *courier_new(const char *prefix, const struct courier_road *road)
{
    struct courier *courier = memory_zeroed(1, sizeof(*courier));
    courier->road = *road;
    courier->command_topic = memory_printf("%s/command", prefix);
    courier->reply_topic = memory_printf("%s/reply", prefix);
    courier->challenge_topic = memory_printf("%s/challenge", prefix);
    return courier;
}

struct courier *courier_free(struct courier *courier)
{
    if (!courier)
        return NULL;
    for (size_t i = 0; i < REPLIES; i++)
        strbuf_free(&courier->replies[i]);
    free(courier->command_topic);
    free(courier->reply_topic);
    free(courier->challenge_topic);
    free(courier);
    return NULL;
}

const char *courier_topic(const struct courier *courier)
{
    return courier->command_topic;
}

/* --- replies ------------------------------------------------------------------------------ */

static struct strbuf *new_reply(struct courier *courier)
{
    if (courier->n_replies == REPLIES) {
        courier->first_reply = (courier->first_reply + 1) % REPLIES;
        courier->n_replies--;
    }
    struct strbuf *reply = &courier->replies[(courier->first_reply + courier->n_replies) % REPLIES];
    courier->n_replies++;
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

static void write_refusal(struct strbuf *out, const char *id, enum session_refusal refusal)
{
    strbuf_add(out, "{\"id\":");
    json_add_string(out, id, strlen(id));
    strbuf_addf(out, ",\"result\":\"refused\",\"reason\":\"%s\"}", session_refusal_names[refusal]);
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
static void refuse(struct courier *courier, enum session_refusal refusal)
{
    write_refusal(new_reply(courier), "", refusal);
}

/* The same for what anybody may cause as often as he likes. */
static void refuse_sparingly(struct courier *courier, enum session_refusal refusal, int64_t now_ms)
{
    if (now_ms - courier->second_ms >= 1000) {
        courier->second_ms = now_ms;
        courier->refusals = 0;
    }
    if (courier->refusals == 0)
        log_info("courier",
                 "result=refused reason=%s: not handed to the warden; at most %d a "
                 "second are answered",
                 session_refusal_names[refusal], REFUSALS_A_SECOND);
    if (courier->refusals++ < REFUSALS_A_SECOND)
        refuse(courier, refusal);
}

/* --- what comes --------------------------------------------------------------------------- */

void courier_link_up(struct courier *courier)
{
    courier->is_told = false;
}

void courier_received(struct courier *courier, const char *topic, const void *payload,
                      size_t length, bool is_retained, int64_t now_ms)
{
    if (length == 0 || strcmp(topic, courier->command_topic) != 0)
        return;
    if (!courier->has_warden || courier->n_waiting == COURIER_WAITING) {
        refuse_sparingly(courier, courier->has_warden ? REFUSAL_RATE_LIMITED : REFUSAL_FAILED,
                         now_ms);
        return;
    }
    size_t at = (courier->first + courier->n_waiting++) % COURIER_WAITING;
    struct message *message = &courier->waiting[at];
    message->length = length < sizeof(message->text) ? length : sizeof(message->text);
    message->is_retained = is_retained;
    memcpy(message->text, payload, message->length);
}

static void set_challenge(struct courier *courier, const char *challenge)
{
    if (strcmp(courier->challenge, challenge) == 0)
        return;
    wire_put_text(courier->challenge, sizeof(courier->challenge), challenge);
    courier->is_told = false;
}

void courier_challenge(struct courier *courier, const char *challenge)
{
    set_challenge(courier, challenge);
}

void courier_warden(struct courier *courier, bool is_connected)
{
    courier->has_warden = is_connected;
    if (is_connected)
        return;
    set_challenge(courier, "");
    if (courier->is_under_way)
        refuse(courier, REFUSAL_FAILED);
    courier->is_under_way = false;
    for (; courier->n_waiting > 0; courier->n_waiting--)
        refuse(courier, REFUSAL_FAILED);
}

void courier_answered(struct courier *courier, enum session_refusal refusal,
                      const struct wire_signed_reply *reply)
{
    if (!courier->is_under_way)
        return;
    courier->is_under_way = false;
    if (refusal == REFUSAL_NONE) {
        log_info("courier", "id=%s result=accepted", reply->id);
        write_acceptance(new_reply(courier), reply);
        return;
    }
    /* The warden's journal has what counts; nobody fills the log with the rest. */
    log_debug("courier", "id=%s result=refused reason=%s", reply->id,
              session_refusal_names[refusal]);
    write_refusal(new_reply(courier), reply->id, refusal);
}

/* --- what goes ---------------------------------------------------------------------------- */

static void hand_over(struct courier *courier)
{
    while (!courier->is_under_way && courier->n_waiting > 0) {
        const struct message *message = &courier->waiting[courier->first];
        int problem = courier->road.deliver(courier->road.context, message->text, message->length,
                                            message->is_retained);
        courier->first = (courier->first + 1) % COURIER_WAITING;
        courier->n_waiting--;
        courier->is_under_way = problem == 0;
        if (problem < 0)
            refuse(courier, REFUSAL_FAILED);
    }
}

static void publish_challenge(struct courier *courier)
{
    if (!courier->is_told)
        courier->is_told =
            courier->road.publish(courier->road.context, courier->challenge_topic,
                                  courier->challenge, strlen(courier->challenge), true) == 0;
}

static void publish_replies(struct courier *courier)
{
    while (courier->n_replies > 0) {
        const struct strbuf *reply = &courier->replies[courier->first_reply];
        if (courier->road.publish(courier->road.context, courier->reply_topic, reply->data,
                                  reply->length, false) < 0)
            return; /* each acknowledgement, and the next session, bring us here again */
        courier->first_reply = (courier->first_reply + 1) % REPLIES;
        courier->n_replies--;
    }
}

void courier_settle(struct courier *courier)
{
    hand_over(courier);
    publish_challenge(courier);
    publish_replies(courier);
}
