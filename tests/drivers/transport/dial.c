/* Opening sockets by name and address, within a time limit. */
#include "drivers/transport/dial.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "tests/support/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

static atomic_bool stop;
static char error[160];

/* A socket bound to 127.0.0.1, or -1; *RET_PORT is where. */
static int bind_socket(int type, uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    int file = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(bind(file, (struct sockaddr *)&address, size), 0);
    CU_ASSERT_EQUAL_FATAL(getsockname(file, (struct sockaddr *)&address, &size), 0);
    *ret_port = ntohs(address.sin_port);
    return file;
}

static int dial_once(const char *host, uint16_t port, int type, int *ret_socket)
{
    error[0] = '\0';
    struct dial *dial = dial_new(host, port, type);
    int result = dial_connect(dial, 5000, &stop, ret_socket, error, sizeof(error));
    dial_free(dial);
    return result;
}

static void test_tcp(void)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost"};
    uint16_t port;
    CLEANUP(descriptor_close) int listener = bind_socket(SOCK_STREAM, &port);
    CU_ASSERT_EQUAL_FATAL(listen(listener, 4), 0);
    for (size_t i = 0; i < ARRAY_LENGTH(hosts); i++) {
        CLEANUP(descriptor_close) int file = -1;
        int on = 0;
        socklen_t size = sizeof(on);
        CU_ASSERT_EQUAL_FATAL(dial_once(hosts[i], port, SOCK_STREAM, &file), 0);
        CU_ASSERT_EQUAL(getsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
        CU_ASSERT_TRUE(on != 0);
    }
}

static void test_failures(void)
{
    uint16_t port;
    CLEANUP(descriptor_close) int bound = bind_socket(SOCK_STREAM, &port); /* nobody listens */
    CU_ASSERT_TRUE(bound >= 0);
    int file = -7;
    CU_ASSERT_EQUAL(dial_once("127.0.0.1", port, SOCK_STREAM, &file), -ECONNREFUSED);
    TEST_CONTAINS(error, "Connection refused");
    CU_ASSERT_TRUE(dial_once("no-such-host.invalid", port, SOCK_STREAM, &file) < 0);
    TEST_CONTAINS(error, "cannot look up no-such-host.invalid");
    CU_ASSERT_EQUAL(file, -7); /* untouched */
}

static bool receives(int receiver, int sender)
{
    char byte = 0;
    CU_ASSERT_EQUAL(send(sender, "x", 1, 0), 1);
    return recv(receiver, &byte, 1, MSG_DONTWAIT) == 1 && byte == 'x';
}

static void test_udp(void)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost"};
    uint16_t port;
    CLEANUP(descriptor_close) int receiver = bind_socket(SOCK_DGRAM, &port);
    for (size_t i = 0; i < ARRAY_LENGTH(hosts); i++) {
        CLEANUP(descriptor_close) int file = -1;
        CU_ASSERT_EQUAL_FATAL(dial_once(hosts[i], port, SOCK_DGRAM, &file), 0);
        CU_ASSERT_TRUE(i > 0 || receives(receiver, file)); /* localhost may be ::1 */
    }
}

/* Gives this process a host "two" with two addresses. Returns false where that is not allowed. */
static bool invent_host(void)
{
    const char *hosts = test_file("hosts", "127.0.0.1 two\n127.0.0.2 two\n");
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount(hosts, "/etc/hosts", NULL, MS_BIND, NULL) == 0;
}

/* Which of a name's addresses is the right one shows only when it is used, so each has its turn. */
static void test_udp_in_turn(void)
{
    uint16_t port;
    CLEANUP(descriptor_close) int receiver = bind_socket(SOCK_DGRAM, &port);
    if (!invent_host())
        return; /* not as this user */
    struct dial *dial = dial_new("two", port, SOCK_DGRAM);
    unsigned reached = 0;
    for (int i = 0; i < 6; i++) {
        CLEANUP(descriptor_close) int file = -1;
        CU_ASSERT_EQUAL_FATAL(dial_connect(dial, 5000, &stop, &file, error, sizeof(error)), 0);
        reached += receives(receiver, file);
    }
    CU_ASSERT_EQUAL(reached, 3); /* it listens on the first of the two */
    dial_free(dial);
    CU_ASSERT_EQUAL(umount("/etc/hosts"), 0);
}

static void *raise_stop(void *nothing)
{
    usleep(50000);
    atomic_store(&stop, true);
    return nothing;
}

/* A full queue swallows further connections, like a host that is switched off. */
static void test_stop(void)
{
    uint16_t port;
    pthread_t thread;
    CLEANUP(descriptor_close) int listener = bind_socket(SOCK_STREAM, &port);
    CU_ASSERT_EQUAL_FATAL(listen(listener, 0), 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port),
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int fillers[4], file = -1;
    for (size_t i = 0; i < 4; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(fillers[i], (struct sockaddr *)&address, sizeof(address));
    }
    int64_t begun_ns = clock_mono_ns();
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, raise_stop, NULL), 0);
    struct dial *dial = dial_new("127.0.0.1", port, SOCK_STREAM);
    CU_ASSERT_EQUAL(dial_connect(dial, 60000, &stop, &file, error, sizeof(error)), -ECANCELED);
    CU_ASSERT_TRUE(clock_mono_ns() - begun_ns < 30 * CLOCK_NS_PER_S);
    pthread_join(thread, NULL);
    atomic_store(&stop, false);
    dial_free(dial);
    CU_ASSERT_PTR_NULL(dial_free(NULL));
    for (size_t i = 0; i < 4; i++)
        close(fillers[i]);
}

TEST_MAIN("dial", {"TCP connects by name and address, without delay", test_tcp},
          {"what fails says why", test_failures}, {"UDP connects by name and address", test_udp},
          {"a stop ends a wait", test_stop},
          {"UDP goes from one address of a name to the next", test_udp_in_turn})
