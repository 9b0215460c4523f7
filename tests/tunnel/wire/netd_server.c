/*
 * netd's socket, from outside: who is let in, what ends a connection, who hears of news. This
 * process, or a part of it that is not root, is the peer.
 */
#include "tunnel/wire/netd_server.h"

#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "agent/base/unix_socket.h"
#include "tests/support/test.h"
#include "tunnel/model/refusal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define AGENT_PEERS 4 /* of the agent at one time */
#define ALL_PEERS 16

static struct world {
    sd_event *loop;
    struct netd_server *server;
    unsigned handled;
    enum wire_role role;
    char name[32];
    bool is_late;          /* the answers come later */
    uint64_t ticket, gone; /* of the last request; of the last one whose peer went */
    bool is_answered;
} world;

static enum netd_server_answer handle(void *context, const struct netd_server_peer *peer,
                                      const struct wire_message *request,
                                      struct wire_message *reply)
{
    (void)context, (void)reply;
    world.handled++;
    world.role = peer->role;
    strcpy(world.name, peer->name);
    CU_ASSERT_TRUE(peer->ticket > world.ticket); /* never again */
    world.ticket = peer->ticket;
    bool is_slow = request->header.verb == WIRE_SIGNED || request->header.verb == WIRE_OPEN_LOCAL;
    return world.is_late && is_slow ? NETD_SERVER_ANSWER_LATER : NETD_SERVER_ANSWER_NOW;
}

static void on_gone(void *context, uint64_t ticket)
{
    (void)context;
    world.gone = ticket;
}

static void answer(uint64_t ticket, enum refusal refusal, const char *text)
{
    struct wire_message reply;
    world.is_answered = netd_server_begin_answer(world.server, ticket, &reply);
    if (!world.is_answered)
        return;
    reply.header.result = (int32_t)refusal;
    if (reply.header.verb != WIRE_SIGNED)
        strcpy(reply.body.text.text, text);
    netd_server_answer(world.server, ticket, &reply);
}

static uid_t own_uid; /* of the server */

static void begin(uid_t agent, gid_t admins)
{
    const struct netd_server_settings settings = {.socket_path = test_path("netd.sock"),
                                                  .own_uid = own_uid,
                                                  .agent_uid = agent,
                                                  .admin_gid = admins,
                                                  .handle = handle,
                                                  .gone = on_gone};
    world = (struct world){.handled = 0};
    CU_ASSERT_EQUAL_FATAL(sd_event_new(&world.loop), 0);
    CU_ASSERT_EQUAL_FATAL(netd_server_new(&settings, world.loop, &world.server), 0);
}

static void end(void)
{
    netd_server_free(world.server);
    sd_event_unref(world.loop);
    CU_ASSERT_EQUAL(access(test_path("netd.sock"), F_OK), -1);
}

static void run(void)
{
    for (int i = 0; i < 50; i++)
        CU_ASSERT_TRUE_FATAL(sd_event_run(world.loop, i < 5 ? 5000 : 0) >= 0);
}

static int connect_peer(void)
{
    int peer = unix_socket_connect(test_path("netd.sock"), SOCK_SEQPACKET | SOCK_NONBLOCK);
    CU_ASSERT_TRUE_FATAL(peer >= 0);
    run();
    return peer;
}

static void send_verb(int peer, enum wire_verb verb)
{
    struct wire_message message;
    size_t size = wire_request_size(verb);
    wire_begin(&message, verb, 7);
    if (verb == WIRE_OPEN_LOCAL) {
        message.body.open.n_services = 1;
        strcpy(message.body.open.services[0], "ssh");
        strcpy(message.body.open.reason, "test");
    }
    if (verb == WIRE_EXTEND)
        strcpy(message.body.extend.reason, "test");
    if (verb == WIRE_FIREWALL_TRY)
        message.body.try.confirm_s = 60;
    CU_ASSERT_EQUAL(wire_check_request(&message, size), 0);
    (void)send(peer, &message, size, MSG_NOSIGNAL);
    run();
}

/* The verb of the next message; 0: there is none; -1: the connection has ended. */
static int receive(int peer, struct wire_message *message)
{
    ssize_t got = recv(peer, message, sizeof(*message), MSG_DONTWAIT);
    if (got < 0)
        return errno == EAGAIN ? 0 : -1;
    if (got == 0)
        return -1;
    CU_ASSERT_EQUAL(wire_check_reply(message, (size_t)got), 0);
    return message->header.verb;
}

static int next_verb(int peer)
{
    struct wire_message message;
    return receive(peer, &message);
}

static int greet(void)
{
    int peer = connect_peer();
    send_verb(peer, WIRE_HELLO);
    CU_ASSERT_EQUAL(next_verb(peer), WIRE_HELLO);
    return peer;
}

/* ---- The cases ---- */

/* This process is taken for a ROLE called NAME. */
static void expect_role(uid_t agent, gid_t admins, enum wire_role role, const char *name)
{
    begin(agent, admins);
    int peer = greet();
    CU_ASSERT_EQUAL(world.role, role);
    TEST_TEXT_EQUAL(world.name, name);
    descriptor_close(&peer);
    end();
}

static void test_roles(void)
{
    CLEANUP(memory_free_pointer) char *own = memory_printf("uid:%u", geteuid());
    uint64_t refused, ended;
    expect_role(geteuid(), (gid_t)-1, WIRE_ROLE_AGENT, "agent");
    expect_role(geteuid() + 1, getegid(), WIRE_ROLE_ADMIN, own);
    /* The agent is no person, whatever group it is in. */
    expect_role(geteuid(), getegid(), WIRE_ROLE_AGENT, "agent");
    begin(NETD_SERVER_NOBODY, (gid_t)-1);
    CLEANUP(descriptor_close) int stranger = connect_peer();
    CU_ASSERT_EQUAL(next_verb(stranger), -1);
    netd_server_get_counters(world.server, &refused, &ended);
    CU_ASSERT_TRUE(refused == 1 && ended == 0 && world.handled == 0);
    end();
}

/* A helper that was taken over has netd's user, and gets nothing by it, whatever groups it has. */
static void test_own_user(void)
{
    uint64_t refused, ended;
    own_uid = geteuid();
    begin(geteuid(), getegid());
    CLEANUP(descriptor_close) int peer = connect_peer();
    CU_ASSERT_EQUAL(next_verb(peer), -1);
    netd_server_get_counters(world.server, &refused, &ended);
    CU_ASSERT_TRUE(refused == 1 && world.handled == 0);
    end();
    own_uid = 0;
}

/* Each of these ends the connection, and is never handled. */
static void test_breaches(void)
{
    static const char *const garbage[] = {"x", "GET / HTTP/1.1\r\n\r\n"};
    static const enum wire_verb not_for_agents[] = {
        WIRE_OPEN_LOCAL,  WIRE_EXTEND,       WIRE_APPROVE,      WIRE_VERIFY_FIREWALL,
        WIRE_ACKNOWLEDGE, WIRE_FIREWALL_TRY, WIRE_FIREWALL_KEEP};
    uint64_t refused, ended, expected = 0;
    begin(geteuid(), (gid_t)-1);
    for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++, expected++) {
        CLEANUP(descriptor_close) int peer = connect_peer();
        CU_ASSERT_TRUE(send(peer, garbage[i], strlen(garbage[i]), 0) > 0);
        run();
        CU_ASSERT_EQUAL(next_verb(peer), -1);
    }
    {
        char longest[sizeof(struct wire_message) + 1] = "";
        CLEANUP(descriptor_close) int peer = connect_peer();
        CU_ASSERT_TRUE(send(peer, longest, sizeof(longest), 0) > 0);
        run();
        CU_ASSERT_EQUAL(next_verb(peer), -1);
        expected++;
    }
    {
        CLEANUP(descriptor_close) int peer = connect_peer();
        send_verb(peer, WIRE_STATUS); /* without a hello */
        CU_ASSERT_EQUAL(next_verb(peer), -1);
        expected++;
    }
    CU_ASSERT_EQUAL(world.handled, 0);
    {
        CLEANUP(descriptor_close) int peer = greet();
        send_verb(peer, WIRE_HELLO); /* twice */
        CU_ASSERT_EQUAL(next_verb(peer), -1);
        expected++;
    }
    for (size_t i = 0; i < sizeof(not_for_agents) / sizeof(not_for_agents[0]); i++, expected++) {
        CLEANUP(descriptor_close) int peer = greet();
        unsigned before = world.handled;
        send_verb(peer, not_for_agents[i]);
        CU_ASSERT_EQUAL(next_verb(peer), -1);
        CU_ASSERT_EQUAL(world.handled, before);
    }
    netd_server_get_counters(world.server, &refused, &ended);
    CU_ASSERT_TRUE(refused == 0 && ended == expected);
    end();
}

/* An answer that comes later keeps nobody else waiting, and comes to the one who asked. */
static void test_late_answer(void)
{
    struct wire_message message;
    begin(NETD_SERVER_NOBODY, getegid());
    world.is_late = true;
    CLEANUP(descriptor_close) int peer = greet(), other = greet();
    send_verb(peer, WIRE_OPEN_LOCAL);
    uint64_t first = world.ticket;
    CU_ASSERT_EQUAL(next_verb(peer), 0);
    send_verb(peer, WIRE_STATUS);
    CU_ASSERT_EQUAL(next_verb(peer), WIRE_STATUS);
    send_verb(other, WIRE_OPEN_LOCAL);
    uint64_t second = world.ticket;
    answer(first, REFUSAL_HUB_UNREACHABLE, "no route");
    CU_ASSERT_EQUAL(receive(peer, &message), WIRE_OPEN_LOCAL);
    CU_ASSERT_EQUAL(message.header.id, 7);
    CU_ASSERT_EQUAL(message.header.result, REFUSAL_HUB_UNREACHABLE);
    TEST_TEXT_EQUAL(message.body.text.text, "no route");
    CU_ASSERT_EQUAL(next_verb(other), 0); /* that was not for it */
    answer(first, REFUSAL_NONE, "");
    CU_ASSERT_FALSE(world.is_answered); /* once */
    answer(0, REFUSAL_NONE, "");
    CU_ASSERT_FALSE(world.is_answered);
    answer(second, REFUSAL_NONE, "");
    CU_ASSERT_TRUE(world.is_answered && next_verb(other) == WIRE_OPEN_LOCAL);
    CU_ASSERT_EQUAL(next_verb(peer), 0);
    end();
}

/* Whoever goes while an answer is due is told of, once; the place is free for others. */
static void test_gone(void)
{
    begin(NETD_SERVER_NOBODY, getegid());
    world.is_late = true;
    CLEANUP(descriptor_close) int peer = greet(), other = greet();
    send_verb(peer, WIRE_OPEN_LOCAL);
    uint64_t first = world.ticket;
    CU_ASSERT_EQUAL(world.gone, 0);
    send_verb(peer, WIRE_OPEN_LOCAL); /* one at a time */
    CU_ASSERT_EQUAL(next_verb(peer), -1);
    CU_ASSERT_EQUAL(world.gone, first);
    answer(first, REFUSAL_NONE, "");
    CU_ASSERT_FALSE(world.is_answered);
    send_verb(other, WIRE_OPEN_LOCAL);
    uint64_t second = world.ticket;
    descriptor_close(&other);
    run();
    CU_ASSERT_EQUAL(world.gone, second);
    CLEANUP(descriptor_close) int third = greet();
    world.gone = 0;
    answer(second, REFUSAL_NONE, "");
    CU_ASSERT_TRUE(!world.is_answered && next_verb(third) == 0); /* whoever has the place now */
    send_verb(third, WIRE_STATUS);
    descriptor_close(&third);
    run();
    CU_ASSERT_EQUAL(world.gone, 0); /* nothing was due */
    end();
}

/* A subscriber hears once that there is news, and again after it has asked for something. */
static void test_news(void)
{
    begin(NETD_SERVER_NOBODY, getegid());
    CLEANUP(descriptor_close) int peer = greet(), other = greet();
    send_verb(peer, WIRE_SUBSCRIBE);
    CU_ASSERT_EQUAL(next_verb(peer), WIRE_SUBSCRIBE);
    netd_server_notify(world.server);
    netd_server_notify(world.server);
    CU_ASSERT_EQUAL(next_verb(peer), WIRE_CHANGED);
    CU_ASSERT_EQUAL(next_verb(peer), 0);
    send_verb(peer, WIRE_STATUS);
    CU_ASSERT_EQUAL(next_verb(peer), WIRE_STATUS);
    netd_server_notify(world.server);
    CU_ASSERT_EQUAL(next_verb(peer), WIRE_CHANGED);
    CU_ASSERT_EQUAL(next_verb(other), 0);
    end();
}

static void test_places(enum wire_role role, int most)
{
    int peers[ALL_PEERS + 1];
    uint64_t refused, ended;
    bool is_agent = role == WIRE_ROLE_AGENT;
    begin(is_agent ? geteuid() : NETD_SERVER_NOBODY, is_agent ? (gid_t)-1 : getegid());
    for (int i = 0; i < most; i++)
        peers[i] = greet();
    CLEANUP(descriptor_close) int too_many = connect_peer();
    CU_ASSERT_EQUAL(next_verb(too_many), -1);
    netd_server_get_counters(world.server, &refused, &ended);
    CU_ASSERT_TRUE(refused == 1 && ended == 0);
    descriptor_close(&peers[0]);
    run();
    peers[0] = greet(); /* the place is free again */
    for (int i = 0; i < most; i++)
        descriptor_close(&peers[i]);
    end();
}

/* A wild agent leaves room for the people on site. */
static void test_limits(void)
{
    test_places(WIRE_ROLE_AGENT, AGENT_PEERS);
    test_places(WIRE_ROLE_ADMIN, ALL_PEERS);
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
        {"credentials make the role", test_roles},
        {"netd's own user is not heard", test_own_user},
        {"a breach ends the connection", test_breaches},
        {"an answer may come later", test_late_answer},
        {"an answer that nobody waits for", test_gone},
        {"news is told once", test_news},
        {"places are limited", test_limits},
    };
    become_somebody();
    return test_main("netd_server", cases, sizeof(cases) / sizeof(cases[0]));
}
