/*
 * The relay of signed commands. Handlers only note what came; command_relay_settle() acts.
 * Everything is bounded: a flood of commands costs the gateway a few refusals a second, and what
 * the screen has doubts about is handed over only when nothing else waits, and not at any rate.
 */
#include "agent/netd/command_relay.h"

#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/base/text.h"
#include "agent/netd/command_queue.h"
#include "agent/netd/command_screen.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define REPLIES 16 /* wait for room in the window or a session; beyond, the oldest is dropped */
#define REFUSALS_A_SECOND 8 /* of our own */

struct command_reply {
    bool is_awaited; /* not only the sender of doubtful messages may want it */
    enum refusal refusal;
    struct wire_signed_reply reply;
};

struct command_relay {
    struct dialect *dialect;
    struct uplink *uplink;
    struct netd_client *netd; /* NULL: not there */

    char challenge[WIRE_CHALLENGE_BYTES]; /* "": there is none */
    bool is_published;                    /* the broker has it, or keeps none of ours */

    struct command_screen *screen;
    struct command_queue *queue;

    bool is_under_way;          /* a message is with netd */
    struct command_label label; /* of that */
    int64_t may_doubt_ms;       /* not before this a doubtful one is handed over */

    struct command_reply replies[REPLIES]; /* the oldest first */
    size_t n_replies;

    int64_t second_ms; /* when the present second of refusals began */
    unsigned refusals; /* in it */

    struct dialect_message message; /* reused */
};

struct command_relay *command_relay_new(const char *gateway, struct dialect *dialect,
                                        struct uplink *uplink)
{
    struct command_relay *relay = memory_zeroed(1, sizeof(*relay));
    relay->screen = command_screen_new(gateway);
    relay->queue = command_queue_new();
    relay->dialect = dialect;
    relay->uplink = uplink;
    return relay;
}

struct command_relay *command_relay_free(struct command_relay *relay)
{
    if (!relay)
        return NULL;
    dialect_message_free(&relay->message);
    command_queue_free(relay->queue);
    command_screen_free(relay->screen);
    free(relay);
    return NULL;
}

/* --- replies ------------------------------------------------------------------------------ */

static void remove_reply(struct command_relay *relay, size_t at)
{
    relay->n_replies--;
    memmove(relay->replies + at, relay->replies + at + 1,
            (relay->n_replies - at) * sizeof(relay->replies[0]));
}

/* The oldest one that IS_AWAITED or not; the number of replies when there is none. */
static size_t find_reply(const struct command_relay *relay, bool is_awaited)
{
    size_t at = 0;
    while (at < relay->n_replies && relay->replies[at].is_awaited != is_awaited)
        at++;
    return at;
}

static void add_reply(struct command_relay *relay, enum refusal refusal,
                      const struct wire_signed_reply *reply, bool is_awaited)
{
    if (relay->n_replies == REPLIES) {
        size_t least = find_reply(relay, false);
        remove_reply(relay, least < REPLIES ? least : 0);
    }
    relay->replies[relay->n_replies++] = (struct command_reply){is_awaited, refusal, *reply};
}

/* Refuses a command without reading it, so without its id. */
static void relay_refuse(struct command_relay *relay, enum refusal refusal)
{
    const struct wire_signed_reply reply = {.id = ""};
    add_reply(relay, refusal, &reply, false);
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
        relay_refuse(relay, refusal);
}

/* --- what comes --------------------------------------------------------------------------- */

void command_relay_link_up(struct command_relay *relay)
{
    relay->is_published = false;
}

/* The same command is with netd, whose answer will say what became of it. */
static bool is_copy(const struct command_relay *relay, const struct command_label *label)
{
    return relay->is_under_way &&
           memcmp(relay->label.digest, label->digest, sizeof(label->digest)) == 0;
}

void command_relay_received(struct command_relay *relay, const void *text, size_t length,
                            bool is_retained, int64_t now_ms)
{
    struct command_label label;
    length = length <= WIRE_SIGNED_BYTES ? length : WIRE_SIGNED_BYTES + 1; /* so netd sees it */
    if (!relay->netd) {
        refuse_sparingly(relay, REFUSAL_FAILED, now_ms);
        return;
    }
    command_screen_look(relay->screen, text, length, is_retained, now_ms, &label);
    if (is_copy(relay, &label))
        label.lane = COMMAND_LANE_DOUBTFUL;
    if (command_queue_has(relay->queue, label.digest) ||
        !command_queue_add(relay->queue, &label, text, length, is_retained))
        refuse_sparingly(relay, REFUSAL_RATE_LIMITED, now_ms);
}

void command_relay_challenge(struct command_relay *relay, const char *challenge, int64_t now_ms)
{
    if (strcmp(relay->challenge, challenge) == 0)
        return;
    text_put(relay->challenge, sizeof(relay->challenge), challenge);
    command_screen_challenge(relay->screen, challenge, now_ms);
    relay->is_published = false;
}

void command_relay_signers(struct command_relay *relay, const struct wire_signers *signers)
{
    command_screen_signers(relay->screen, signers);
}

void command_relay_netd(struct command_relay *relay, struct netd_client *netd, int64_t now_ms)
{
    struct command_waiting *waiting;
    relay->netd = netd;
    if (netd)
        return;
    command_relay_challenge(relay, "", now_ms);
    if (relay->is_under_way)
        relay_refuse(relay, REFUSAL_FAILED);
    relay->is_under_way = false;
    while ((waiting = command_queue_take(relay->queue, COMMAND_LANE_DOUBTFUL))) {
        free(waiting);
        relay_refuse(relay, REFUSAL_FAILED);
    }
}

/* What was not looked at may be sent again as it is. */
static bool is_judgement(enum refusal refusal)
{
    return refusal != REFUSAL_RATE_LIMITED && refusal != REFUSAL_FAILED &&
           refusal != REFUSAL_JOURNAL;
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
    bool is_doubtful = relay->label.lane == COMMAND_LANE_DOUBTFUL;
    if (!is_doubtful && is_judgement(refusal))
        command_screen_judged(relay->screen, relay->label.digest);
    add_reply(relay, refusal, reply, !is_doubtful);
}

/* --- what goes ---------------------------------------------------------------------------- */

/* The lanes that may be served now. */
static enum command_lane last_lane(const struct command_relay *relay, int64_t now_ms)
{
    return now_ms >= relay->may_doubt_ms ? COMMAND_LANE_DOUBTFUL : COMMAND_LANE_SHAPED;
}

static void hand_over(struct command_relay *relay, int64_t now_ms)
{
    struct command_waiting *next;
    while (!relay->is_under_way &&
           (next = command_queue_take(relay->queue, last_lane(relay, now_ms)))) {
        int problem = netd_client_signed(relay->netd, next->text, next->length, next->is_retained);
        relay->is_under_way = problem == 0;
        relay->label = next->label;
        if (next->label.lane == COMMAND_LANE_DOUBTFUL)
            relay->may_doubt_ms = now_ms + COMMAND_RELAY_PACE_MS;
        if (problem < 0)
            relay_refuse(relay, REFUSAL_FAILED);
        free(next);
    }
}

/* False: not now; each acknowledgement, and the next session, tries again. */
static bool relay_publish(struct command_relay *relay)
{
    const struct mqtt_message view = dialect_message_view(&relay->message);
    return uplink_publish(relay->uplink, &view, 0) == 0;
}

static void publish_challenge(struct command_relay *relay)
{
    if (relay->is_published)
        return;
    relay->dialect->type->challenge(relay->dialect, relay->challenge, &relay->message);
    relay->is_published = relay_publish(relay);
}

static void publish_replies(struct command_relay *relay)
{
    while (relay->n_replies > 0) {
        size_t next = find_reply(relay, true);
        next = next < relay->n_replies ? next : 0;
        const struct command_reply *reply = &relay->replies[next];
        relay->dialect->type->reply(relay->dialect, reply->refusal, &reply->reply, &relay->message);
        if (!relay_publish(relay))
            return;
        remove_reply(relay, next);
    }
}

int64_t command_relay_settle(struct command_relay *relay, bool is_open, int64_t now_ms)
{
    hand_over(relay, now_ms);
    if (is_open) {
        publish_challenge(relay);
        publish_replies(relay);
    }
    bool is_put_off =
        !relay->is_under_way && command_queue_length(relay->queue, COMMAND_LANE_DOUBTFUL) > 0;
    return is_put_off ? relay->may_doubt_ms : INT64_MAX;
}
