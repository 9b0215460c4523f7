/*
 * From "the session may open" to the hub's answer, without a kernel: interface and firewall are
 * replaced here, and the resolver is this program itself, called as netd would be. What the hub's
 * name is decides how it answers.
 */
#include "tunnel/session/tunnel_opening.h"

#include "agent/base/clock.h"
#include "tests/support/test.h"
#include "tunnel/os/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static struct world {
    struct tunnel_config config;
    sd_event *loop;
    struct tunnel_opening *opening;
    unsigned ups, downs, hub_sets, allowed;
    char hub[WIREGUARD_ENDPOINT_BYTES]; /* that the interface points at */
    int up_result;
    int64_t handshake_s;
    int process; /* readable when "wireguard-go" has ended; -1: there is none */
    unsigned ready, failed;
    enum session_end end;
    char detail[160];
} world;

/* ---- The neighbours ---- */

struct wireguard *wireguard_new(const struct tunnel_config *config)
{
    (void)config;
    return NULL;
}

struct wireguard *wireguard_free(struct wireguard *wireguard)
{
    return wireguard;
}

const char *wireguard_endpoint(const struct sockaddr_storage *hub,
                               char text[WIREGUARD_ENDPOINT_BYTES])
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)hub;
    char address[INET_ADDRSTRLEN] = "";
    (void)inet_ntop(AF_INET, &four->sin_addr, address, sizeof(address));
    (void)snprintf(text, WIREGUARD_ENDPOINT_BYTES, "%s:%u", address, ntohs(four->sin_port));
    return text;
}

int wireguard_up(struct wireguard *wireguard, const struct sockaddr_storage *hub,
                 struct strbuf *problem)
{
    (void)wireguard;
    world.ups++;
    (void)wireguard_endpoint(hub, world.hub);
    if (world.up_result < 0)
        strbuf_add(problem, "the kernel says no");
    return world.up_result;
}

int wireguard_set_hub(struct wireguard *wireguard, const struct sockaddr_storage *hub)
{
    (void)wireguard;
    world.hub_sets++;
    (void)wireguard_endpoint(hub, world.hub);
    return 0;
}

int wireguard_descriptor(const struct wireguard *wireguard)
{
    (void)wireguard;
    return world.process;
}

int64_t wireguard_last_handshake_s(struct wireguard *wireguard)
{
    (void)wireguard;
    return world.handshake_s;
}

int wireguard_down(struct wireguard *wireguard)
{
    (void)wireguard;
    world.downs++;
    return 0;
}

int firewall_allow_hub(struct firewall *firewall, const struct sockaddr_storage *hub,
                       int64_t ttl_ms)
{
    (void)firewall, (void)hub;
    CU_ASSERT_EQUAL(ttl_ms, SESSION_OPENING_MS);
    world.allowed++;
    return 0;
}

void firewall_set_tunnel(struct firewall *firewall, unsigned index)
{
    (void)firewall, (void)index;
}

static void on_ready(void *context)
{
    (void)context;
    world.ready++;
}

static void on_failed(void *context, enum session_end session_end, const char *detail)
{
    (void)context;
    world.failed++;
    world.end = session_end;
    (void)snprintf(world.detail, sizeof(world.detail), "%s", detail);
}

/* ---- The resolver: `--resolve HOST PORT` ---- */

static int resolve(const char *host, const char *port)
{
    static const struct {
        const char *host, *answer;
        int code;
    } table[] = {{"hub.example.com", "203.0.113.7\n", RESOLVE_DONE},
                 {"two.example.com", "203.0.113.7\n203.0.113.8\n", RESOLVE_DONE},
                 {"liar.example.com", "127.0.0.1\n", RESOLVE_DONE},
                 {"silent.example.com", "", RESOLVE_DONE},
                 {"none.example.com", "", RESOLVE_NO_NAME},
                 {"lost.example.com", "", RESOLVE_NO_SERVER},
                 {"far.example.com", "", RESOLVE_NO_ROUTE},
                 {"broken.example.com", "", 1}};
    if (strcmp(port, "51820") != 0)
        return 2;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (strcmp(table[i].host, host) != 0)
            continue;
        (void)fputs(table[i].answer, stdout);
        return table[i].code;
    }
    (void)sleep(60); /* slow.example.com */
    return 1;
}

/* ---- Beginning and end ---- */

static void prepare(const char *host)
{
    static char name[64];
    (void)snprintf(name, sizeof(name), "%s", host);
    world = (struct world){.process = -1};
    world.config.hub.endpoint_host = name;
    world.config.hub.endpoint_port = 51820;
    const struct tunnel_opening_hooks hooks = {on_ready, on_failed, NULL};
    CU_ASSERT_EQUAL_FATAL(sd_event_new(&world.loop), 0);
    world.opening = tunnel_opening_new(&world.config, NULL, &hooks, world.loop);
}

static void start(void)
{
    tunnel_opening_start(world.opening);
    CU_ASSERT_TRUE(world.ready == 0 && world.failed == 0); /* never from within */
}

static void begin(const char *host)
{
    prepare(host);
    start();
}

static void end(void)
{
    CU_ASSERT_EQUAL(tunnel_opening_stop(world.opening), 0);
    CU_ASSERT_EQUAL(tunnel_opening_stop(world.opening), 0);
    CU_ASSERT_EQUAL(tunnel_opening_hub(world.opening)->ss_family, AF_UNSPEC);
    CU_ASSERT_TRUE(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD); /* no process is left */
    tunnel_opening_free(world.opening);
    sd_event_unref(world.loop);
}

#define RUN_UNTIL(condition)                                                                       \
    do {                                                                                           \
        for (int tries_ = 0; tries_ < 1000 && !(condition); tries_++)                              \
            CU_ASSERT_TRUE_FATAL(sd_event_run(world.loop, 10000) >= 0);                            \
        CU_ASSERT_TRUE(condition);                                                                 \
    } while (0)

/* ---- The cases ---- */

static void test_handshake(void)
{
    begin("hub.example.com");
    TEST_TEXT_EQUAL(tunnel_opening_obstacle(world.opening),
                    "name not found: no name server answers in time");
    RUN_UNTIL(world.ups == 1);
    TEST_TEXT_EQUAL(world.hub, "203.0.113.7:51820");
    CU_ASSERT_EQUAL(tunnel_opening_hub(world.opening)->ss_family, AF_INET);
    TEST_TEXT_EQUAL(tunnel_opening_obstacle(world.opening),
                    "no handshake with the hub at 203.0.113.7:51820: UDP blocked, key "
                    "unknown to the hub, or this gateway's clock behind");
    CU_ASSERT_EQUAL(world.allowed, 1); /* before the interface: egress may be strict */
    world.handshake_s = 1795343987;
    RUN_UNTIL(world.ready == 1);
    CU_ASSERT_EQUAL(world.failed, 0);
    end();
    CU_ASSERT_TRUE(world.downs >= 1);
}

static void test_resolver(void)
{
    static const struct {
        const char *host, *detail;
        enum session_end end;
    } rows[] = {
        {"none.example.com", "name not found: none.example.com", SESSION_END_HUB_UNREACHABLE},
        {"lost.example.com", "name not found, no name server answers: lost.example.com",
         SESSION_END_HUB_UNREACHABLE},
        {"far.example.com", "no route: far.example.com", SESSION_END_HUB_UNREACHABLE},
        {"silent.example.com", "name not found: silent.example.com", SESSION_END_HUB_UNREACHABLE},
        {"liar.example.com", "name not found: liar.example.com", SESSION_END_HUB_UNREACHABLE},
        {"broken.example.com", "the resolver failed: broken.example.com", SESSION_END_FAILED},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        begin(rows[i].host);
        RUN_UNTIL(world.failed == 1);
        TEST_TEXT_EQUAL(world.detail, rows[i].detail);
        CU_ASSERT_EQUAL(world.end, rows[i].end);
        CU_ASSERT_EQUAL(world.ups, 0);
        end();
    }
}

/* A resolver that cannot be started is a failure like any other: it comes from the loop. */
static void test_no_resolver(void)
{
    struct rlimit before, none;
    prepare("hub.example.com");
    CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 3, .rlim_max = before.rlim_max};
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &none), 0);
    start();
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &before), 0);
    RUN_UNTIL(world.failed == 1);
    CU_ASSERT_EQUAL(world.end, SESSION_END_FAILED);
    TEST_TEXT_EQUAL(world.detail, "the resolver cannot be started");
    end();
}

static void test_interface(void)
{
    begin("hub.example.com");
    world.up_result = -EIO;
    RUN_UNTIL(world.failed == 1);
    CU_ASSERT_EQUAL(world.end, SESSION_END_FAILED);
    TEST_TEXT_EQUAL(world.detail, "the kernel says no");
    end();
    begin("hub.example.com");
    RUN_UNTIL(world.ups == 1);
    world.handshake_s = -EIO;
    RUN_UNTIL(world.failed == 1);
    TEST_TEXT_EQUAL(world.detail, "the interface does not answer to wg");
    end();
}

/* The process behind the interface ends: also when the session is open already. */
static void test_process_ends(void)
{
    begin("hub.example.com");
    world.process = eventfd(0, EFD_CLOEXEC);
    RUN_UNTIL(world.ups == 1);
    world.handshake_s = 1;
    RUN_UNTIL(world.ready == 1);
    CU_ASSERT_EQUAL(eventfd_write(world.process, 1), 0);
    RUN_UNTIL(world.failed == 1);
    CU_ASSERT_EQUAL(world.end, SESSION_END_FAILED);
    TEST_CONTAINS(world.detail, "wireguard-go");
    end();
    (void)close(world.process);
}

static void test_next_address(void)
{
    begin("two.example.com");
    RUN_UNTIL(world.ups == 1);
    int64_t before_ns = clock_mono_ns();
    RUN_UNTIL(world.hub_sets == 1);
    CU_ASSERT_TRUE(clock_mono_ns() - before_ns > 4 * CLOCK_NS_PER_S);
    TEST_TEXT_EQUAL(world.hub, "203.0.113.8:51820");
    CU_ASSERT_EQUAL(world.allowed, 2);
    world.handshake_s = 1;
    RUN_UNTIL(world.ready == 1);
    end();
}

/* Stopped while the resolver is at work, and begun again: the first one's answer counts no more. */
static void test_stopped(void)
{
    begin("slow.example.com");
    CU_ASSERT_EQUAL(sd_event_run(world.loop, 100000), 0);
    CU_ASSERT_EQUAL(tunnel_opening_stop(world.opening), 0);
    strcpy(world.config.hub.endpoint_host, "hub.example.com");
    start();
    RUN_UNTIL(world.ups == 1);
    CU_ASSERT_EQUAL(tunnel_opening_stop(world.opening), 0);
    for (int i = 0; i < 20; i++)
        CU_ASSERT_TRUE(sd_event_run(world.loop, 10000) >= 0);
    CU_ASSERT_TRUE(world.ready == 0 && world.failed == 0);
    end();
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        {"the hub answers", test_handshake},
        {"what is wrong with a name is said", test_resolver},
        {"a resolver that cannot be started", test_no_resolver},
        {"an interface that cannot be made", test_interface},
        {"the process behind the interface ends", test_process_ends},
        {"the next address is tried after five seconds", test_next_address},
        {"a stop at any time leaves nothing going", test_stopped},
    };
    if (argc == 4 && strcmp(argv[1], "--resolve") == 0)
        test_helper_end(resolve(argv[2], argv[3]));
    return test_main("tunnel_opening", cases, sizeof(cases) / sizeof(cases[0]));
}
