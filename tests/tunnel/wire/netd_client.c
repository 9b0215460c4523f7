/* The agent's side of the socket against netd's own server, in one loop. */
#include "tunnel/wire/netd_client.h"

#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "agent/base/text.h"
#include "tests/support/test.h"
#include "tunnel/wire/netd_server.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LINES 5

#define TIME "2026-11-22T10:39:47.123Z"

/* netd with a journal of LINES lines; this process, which must not be root, is its agent. */
struct world {
    uint64_t ticket; /* of the last signed command */
    sd_event *loop;
    struct netd_server *server;
    struct netd_client *client;
    struct wire_status status;
    unsigned lines;
    uint64_t damaged; /* cursor of a line that is none */
    unsigned asked[WIRE_VERB_COUNT];
    bool answers_late;
    bool is_older; /* netd does not know WIRE_SIGNERS */
    char digit;    /* what the challenge is made of */
    /* What the client told. */
    unsigned changed, events, answered, challenges;
    unsigned signers, signers_before_challenge, unknown; /* told of keys; of a netd without */
    uint32_t n_keys;
    unsigned challenges_before_answer;
    char answered_id[SESSION_NAME_BYTES];
    uint32_t cut, length; /* of the last signed command */
    uint64_t position;
    struct event last;
    enum refusal refusal;
};

static enum netd_server_answer handle(void *context, const struct netd_server_peer *peer,
                                      const struct wire_message *request,
                                      struct wire_message *reply)
{
    struct world *world = context;
    world->asked[request->header.verb]++;
    switch ((enum wire_verb)request->header.verb) {
    case WIRE_HELLO:
        reply->body.hello.role = peer->role;
        break;
    case WIRE_STATUS:
        reply->body.status = world->status;
        break;
    case WIRE_JOURNAL_READ: {
        uint64_t cursor = request->body.cursor.cursor;
        struct wire_line *line = &reply->body.line;
        if (cursor >= world->lines)
            break;
        line->next = cursor + 1;
        (void)snprintf(line->line, sizeof(line->line), "%u " TIME " tunnel_closed bytes=%u%s",
                       (unsigned)cursor + 1, (unsigned)cursor,
                       cursor == world->damaged ? "  damaged" : "");
        line->length = (uint32_t)strlen(line->line);
        break;
    }
    case WIRE_SIGNED:
        world->cut = request->body.signed_text.is_cut;
        world->length = request->body.signed_text.length;
        world->ticket = peer->ticket;
        return NETD_SERVER_ANSWER_LATER;
    case WIRE_SIGNERS:
        reply->header.id ^= world->is_older; /* so that the connection ends */
        reply->body.signers.n_keys = world->n_keys;
        memset(reply->body.signers.keys, 7, world->n_keys * WIRE_KEY_BYTES);
        break;
    case WIRE_CHALLENGE:
        memset(reply->body.challenge.challenge, world->digit, 64);
        break;
    default:
        break;
    }
    return NETD_SERVER_ANSWER_NOW;
}

/* Answers the last signed command, which is called ID. */
static void answer_signed(struct world *world, enum refusal refusal, const char *id)
{
    struct wire_message reply;
    CU_ASSERT_TRUE_FATAL(netd_server_begin_answer(world->server, world->ticket, &reply));
    reply.header.result = (int32_t)refusal;
    text_put(reply.body.signed_reply.id, sizeof(reply.body.signed_reply.id), id);
    netd_server_answer(world->server, world->ticket, &reply);
}

static void on_changed(void *context)
{
    ((struct world *)context)->changed++;
}

static void on_event(void *context, const struct event *event, uint64_t position)
{
    struct world *world = context;
    world->events++;
    world->position = position;
    world->last = *event;
}

static void on_answered(void *context, enum refusal refusal, const struct wire_signed_reply *reply)
{
    struct world *world = context;
    memcpy(world->answered_id, reply->id, sizeof(reply->id));
    world->answered++;
    world->challenges_before_answer = world->challenges;
    world->refusal = refusal;
}

static void on_signers(void *context, const struct wire_signers *signers)
{
    struct world *world = context;
    if (!signers) {
        world->unknown++;
        return;
    }
    world->signers++;
    CU_ASSERT_EQUAL(signers->n_keys, world->n_keys);
    CU_ASSERT_EQUAL(signers->keys[0][0], world->n_keys > 0 ? 7 : 0);
}

static void on_challenge(void *context, const char *challenge)
{
    struct world *world = context;
    if (world->challenges++ == 0)
        world->signers_before_challenge = world->signers;
    CU_ASSERT_TRUE(strlen(challenge) == 64 && challenge[0] == world->digit);
}

static void start_server_for(struct world *world, uid_t agent, gid_t admins)
{
    const struct netd_server_settings settings = {.socket_path = test_path("netd.sock"),
                                                  .agent_uid = agent,
                                                  .admin_gid = admins,
                                                  .handle = handle,
                                                  .context = world};
    CU_ASSERT_EQUAL_FATAL(netd_server_new(&settings, world->loop, &world->server), 0);
}

static void start_server(struct world *world)
{
    start_server_for(world, geteuid(), (gid_t)-1);
}

static void start_client(struct world *world, uint64_t position)
{
    const struct netd_client_callbacks callbacks = {.changed = on_changed,
                                                    .event = on_event,
                                                    .challenge = on_challenge,
                                                    .signers = on_signers,
                                                    .answered = on_answered,
                                                    .context = world};
    CU_ASSERT_EQUAL_FATAL(
        netd_client_new(test_path("netd.sock"), position, &callbacks, world->loop, &world->client),
        0);
}

static void begin(struct world *world)
{
    *world = (struct world){.lines = LINES, .digit = 'a', .damaged = UINT64_MAX};
    CU_ASSERT_EQUAL_FATAL(sd_event_new(&world->loop), 0);
}

static void end(struct world *world)
{
    netd_client_free(world->client);
    netd_server_free(world->server);
    sd_event_unref(world->loop);
}

/* Runs the loop until CONDITION, or for ten seconds. */
#define RUN_UNTIL(world, condition)                                                                \
    do {                                                                                           \
        for (int tries_ = 0; tries_ < 1000 && !(condition); tries_++)                              \
            CU_ASSERT_TRUE_FATAL(sd_event_run((world)->loop, 10000) >= 0);                         \
        CU_ASSERT_TRUE_FATAL(condition);                                                           \
    } while (0)

static void test_snapshot(void)
{
    struct world world;
    begin(&world);
    start_server(&world);
    world.status.session_state = SESSION_OPEN;
    start_client(&world, 0);
    CU_ASSERT_PTR_NULL(netd_client_status(world.client));
    RUN_UNTIL(&world, netd_client_is_connected(world.client));
    CU_ASSERT_EQUAL(netd_client_status(world.client)->session_state, SESSION_OPEN);
    RUN_UNTIL(&world, world.events == LINES);
    CU_ASSERT_EQUAL(world.last.kind, EVENT_TUNNEL_CLOSED);
    CU_ASSERT_EQUAL(world.last.time_ms, INT64_C(1795343987123));
    CU_ASSERT_PTR_NOT_NULL_FATAL(event_find(&world.last, MEMBER_BYTES));
    CU_ASSERT_EQUAL(event_find(&world.last, MEMBER_BYTES)->number, LINES - 1);
    RUN_UNTIL(&world, world.asked[WIRE_COUNTERS] == 1); /* the last thing that it wants to know */
    unsigned before = world.changed;
    world.status.session_state = SESSION_CLOSED;
    world.lines++;
    netd_server_notify(world.server);
    RUN_UNTIL(&world, world.events == LINES + 1);
    CU_ASSERT_EQUAL(netd_client_status(world.client)->session_state, SESSION_CLOSED);
    CU_ASSERT_EQUAL(world.changed, before + 1);
    CU_ASSERT_EQUAL(world.asked[WIRE_SUBSCRIBE], 1);
    end(&world);
}

/* A line that is none is left out, and those after it come. */
static void test_damaged_line(void)
{
    struct world world;
    begin(&world);
    world.damaged = 2;
    start_server(&world);
    start_client(&world, 0);
    RUN_UNTIL(&world, world.position == LINES);
    CU_ASSERT_EQUAL(world.events, LINES - 1);
    end(&world);
}

static void test_restart(void)
{
    struct world world;
    begin(&world);
    start_client(&world, 2); /* before there is netd; two lines were stored by an earlier run */
    start_server(&world);
    RUN_UNTIL(&world, world.events == LINES - 2);
    CU_ASSERT_EQUAL(world.position, LINES);
    unsigned before = world.changed;
    world.server = netd_server_free(world.server);
    RUN_UNTIL(&world, world.changed > before);
    CU_ASSERT_PTR_NULL(netd_client_status(world.client));
    world.lines += 3;
    start_server(&world);
    RUN_UNTIL(&world, world.events == LINES + 1); /* each line once, also over the restart */
    CU_ASSERT_EQUAL(world.position, LINES + 3);
    end(&world);
}

/*
 * Each new challenge is told once, and before the answer to the command that used up the old one;
 * after netd was away the same is told again.
 */
static void test_challenge(void)
{
    struct world world;
    begin(&world);
    start_server(&world);
    start_client(&world, 0);
    RUN_UNTIL(&world, world.asked[WIRE_COUNTERS] == 1);
    CU_ASSERT_EQUAL(world.challenges, 1);
    unsigned statuses = world.asked[WIRE_STATUS];
    netd_server_notify(world.server);
    RUN_UNTIL(&world, world.asked[WIRE_CHALLENGE] == 2 && world.asked[WIRE_STATUS] > statuses);
    CU_ASSERT_EQUAL(world.challenges, 1);
    world.digit = 'b';
    netd_server_notify(world.server);
    RUN_UNTIL(&world, world.challenges == 2);
    CU_ASSERT_EQUAL(netd_client_signed(world.client, "x", 1, false), 0);
    RUN_UNTIL(&world, world.asked[WIRE_SIGNED] == 1);
    world.digit = 'c';
    answer_signed(&world, REFUSAL_BAD_CHALLENGE, "");
    RUN_UNTIL(&world, world.answered == 1);
    CU_ASSERT_EQUAL(world.challenges_before_answer, 3);
    world.server = netd_server_free(world.server);
    RUN_UNTIL(&world, !netd_client_is_connected(world.client));
    start_server(&world);
    RUN_UNTIL(&world, world.challenges == 4);
    end(&world);
}

/* The keys that may sign are known before there is a challenge, and looked at with all news. */
static void test_signers(void)
{
    struct world world;
    begin(&world);
    world.n_keys = 3;
    start_server(&world);
    start_client(&world, 0);
    RUN_UNTIL(&world, world.challenges == 1 && world.asked[WIRE_COUNTERS] == 1);
    CU_ASSERT_EQUAL(world.signers_before_challenge, 1);
    world.n_keys = 0;
    netd_server_notify(world.server);
    RUN_UNTIL(&world, world.signers == 2);
    CU_ASSERT_EQUAL(world.unknown, 0);
    end(&world);
}

/* A netd of an older version ends the connection when it is asked: then it works without. */
static void test_older(void)
{
    struct world world;
    begin(&world);
    world.is_older = true;
    start_server(&world);
    start_client(&world, 0);
    RUN_UNTIL(&world, world.challenges == 1 && world.asked[WIRE_COUNTERS] == 1);
    CU_ASSERT_EQUAL(world.asked[WIRE_SIGNERS], 2); /* the first may have been chance */
    CU_ASSERT_EQUAL(world.signers, 0);
    CU_ASSERT_EQUAL(world.unknown, 1);
    netd_server_notify(world.server);
    unsigned statuses = world.asked[WIRE_STATUS];
    RUN_UNTIL(&world, world.asked[WIRE_STATUS] > statuses && world.events == LINES);
    CU_ASSERT_EQUAL(world.asked[WIRE_SIGNERS], 2);
    world.is_older = false; /* it is upgraded */
    world.n_keys = 1;
    world.server = netd_server_free(world.server);
    RUN_UNTIL(&world, !netd_client_is_connected(world.client));
    start_server(&world);
    RUN_UNTIL(&world, world.signers == 1 && netd_client_is_connected(world.client));
    end(&world);
}

/* An agent that runs as somebody else is told everything, and brings no signed command. */
static void test_not_the_agent(void)
{
    struct world world;
    begin(&world);
    start_server_for(&world, NETD_SERVER_NOBODY, getegid());
    start_client(&world, 0);
    RUN_UNTIL(&world, world.asked[WIRE_COUNTERS] == 1);
    CU_ASSERT_EQUAL(world.events, LINES);
    CU_ASSERT_EQUAL(world.asked[WIRE_CHALLENGE], 0);
    CU_ASSERT_EQUAL(world.asked[WIRE_SIGNERS], 0);
    CU_ASSERT_EQUAL(netd_client_signed(world.client, "x", 1, false), -EPERM);
    CU_ASSERT_TRUE(netd_client_is_connected(world.client));
    end(&world);
}

static void test_requests(void)
{
    struct world world;
    begin(&world);
    start_server(&world);
    start_client(&world, 0);
    RUN_UNTIL(&world, netd_client_is_connected(world.client));
    char text[WIRE_SIGNED_BYTES + 1] = "a command";
    CU_ASSERT_EQUAL(netd_client_signed(world.client, text, 9, false), 0);
    CU_ASSERT_EQUAL(netd_client_signed(world.client, text, 9, false), -EBUSY);
    RUN_UNTIL(&world, world.asked[WIRE_SIGNED] == 1);
    CU_ASSERT_TRUE(!world.cut && world.length == 9);
    unsigned statuses = world.asked[WIRE_STATUS];
    world.lines++;
    netd_server_notify(world.server); /* news pass while the command waits */
    RUN_UNTIL(&world, world.asked[WIRE_STATUS] > statuses);
    CU_ASSERT_EQUAL(world.answered, 0);
    answer_signed(&world, REFUSAL_BAD_CHALLENGE, "a-1");
    RUN_UNTIL(&world, world.answered == 1);
    TEST_TEXT_EQUAL(world.answered_id, "a-1");
    CU_ASSERT_EQUAL(world.refusal, REFUSAL_BAD_CHALLENGE);
    CU_ASSERT_EQUAL(netd_client_signed(world.client, text, sizeof(text), false), 0);
    RUN_UNTIL(&world, world.asked[WIRE_SIGNED] == 2);
    CU_ASSERT_TRUE(world.cut && world.length == WIRE_SIGNED_BYTES);
    end(&world);
}

/* Something else at netd's place: the client keeps away and goes on trying. */
static void test_nonsense(void)
{
    struct world world;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    begin(&world);
    strcpy(address.sun_path, test_path("netd.sock"));
    CLEANUP(descriptor_close) int listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(bind(listening, (const struct sockaddr *)&address, sizeof(address)), 0);
    CU_ASSERT_EQUAL_FATAL(listen(listening, 4), 0);
    start_client(&world, 0);
    CU_ASSERT_TRUE(sd_event_run(world.loop, 10000) >= 0);
    CLEANUP(descriptor_close) int peer = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    CU_ASSERT_EQUAL(send(peer, "HTTP/1.1 400 Bad Request", 24, 0), 24);
    CU_ASSERT_TRUE(sd_event_run(world.loop, 10000) >= 0);
    char nothing[64];
    ssize_t got = recv(peer, nothing, sizeof(nothing), 0); /* its hello */
    CU_ASSERT_EQUAL(got, (ssize_t)sizeof(struct wire_header));
    CU_ASSERT_EQUAL(recv(peer, nothing, sizeof(nothing), 0), 0); /* and its leaving */
    CU_ASSERT_PTR_NULL(netd_client_status(world.client));
    descriptor_close(&listening);
    start_server(&world);
    RUN_UNTIL(&world, netd_client_is_connected(world.client));
    end(&world);
}

/* A reader that never reads: netd drops it and serves the others. */
static void test_slow_reader(void)
{
    struct world world;
    struct wire_message message;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    begin(&world);
    start_server(&world);
    strcpy(address.sun_path, test_path("netd.sock"));
    CLEANUP(descriptor_close)
    int slow = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    CU_ASSERT_EQUAL_FATAL(connect(slow, (const struct sockaddr *)&address, sizeof(address)), 0);
    wire_begin(&message, WIRE_HELLO, 1);
    bool is_gone = false;
    for (int i = 0; i < 5000 && !is_gone; i++) {
        ssize_t sent = send(slow, &message, wire_request_size((enum wire_verb)message.header.verb),
                            MSG_NOSIGNAL);
        is_gone = sent < 0 && errno == EPIPE;
        wire_begin(&message, WIRE_STATUS, 2);
        (void)sd_event_run(world.loop, 0);
    }
    for (int i = 0; i < 200 && !is_gone; i++) {
        (void)sd_event_run(world.loop, 20000);
        is_gone = send(slow, &message, 16, MSG_NOSIGNAL) < 0 && errno == EPIPE;
    }
    CU_ASSERT_TRUE(is_gone);
    start_client(&world, 0);
    RUN_UNTIL(&world, netd_client_is_connected(world.client));
    end(&world);
}

/* Root is never taken for the agent. Without the flag the leak check could not look at itself. */
static void become_somebody(void)
{
    const uid_t nobody = 65534;
    if (geteuid() == 0 && (setresgid(nobody, nobody, nobody) < 0 ||
                           setresuid(nobody, nobody, nobody) < 0 || prctl(PR_SET_DUMPABLE, 1) < 0))
        abort();
}

int main(void)
{
    static const struct test_case cases[] = {
        {"status and journal arrive, and each change once", test_snapshot},
        {"restarts of either side lose no line and repeat none", test_restart},
        {"a challenge is told once for each connection", test_challenge},
        {"an agent that is not access.agent_user", test_not_the_agent},
        {"a line that is none is left out", test_damaged_line},
        {"the keys that may sign", test_signers},
        {"a netd that does not tell them", test_older},
        {"signed commands are answered late", test_requests},
        {"what is no netd is left alone", test_nonsense},
        {"a reader that never reads is dropped", test_slow_reader},
    };
    become_somebody();
    return test_main("netd_client", cases, ARRAY_LENGTH(cases));
}
