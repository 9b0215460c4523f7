/* A TCP connection as a transport. */
#include "drivers/transport/transport_tcp.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "tests/support/carried.h"
#include "tests/support/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static atomic_bool stop;

struct bench {
    int listener, peer;
    struct transport *transport;
};

static struct bench begin(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    struct driver_error error = {""};
    struct bench bench = {.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    CU_ASSERT_EQUAL_FATAL(bind(bench.listener, (struct sockaddr *)&address, size), 0);
    CU_ASSERT_EQUAL_FATAL(listen(bench.listener, 4), 0);
    CU_ASSERT_EQUAL(getsockname(bench.listener, (struct sockaddr *)&address, &size), 0);
    bench.transport = transport_tcp_new("127.0.0.1", ntohs(address.sin_port), 5000, &stop);
    CU_ASSERT_EQUAL_FATAL(bench.transport->calls->open(bench.transport, &error), 0);
    CU_ASSERT_EQUAL(bench.transport->calls->open(bench.transport, &error), 0); /* open already */
    bench.peer = accept(bench.listener, NULL, NULL);
    return bench;
}

static void end(struct bench *bench)
{
    CU_ASSERT_PTR_NULL(transport_free(bench->transport));
    descriptor_close(&bench->peer);
    descriptor_close(&bench->listener);
}

static void test_carries(void)
{
    struct bench bench = begin();
    CU_ASSERT_FALSE(bench.transport->is_port || bench.transport->is_datagrams);
    CU_ASSERT_EQUAL(bench.transport->char_ns + bench.transport->silence_ns, 0);
    carried_test(bench.transport, bench.peer, &stop);
    end(&bench);
}

/* In error the peer is told at once (a reset), else in good order. */
static void test_close(void)
{
    for (int in_error = 0; in_error < 2; in_error++) {
        struct bench bench = begin();
        char byte;
        bench.transport->calls->close(bench.transport, in_error);
        bench.transport->calls->close(bench.transport, in_error); /* closed already */
        ssize_t got = read(bench.peer, &byte, 1);
        CU_ASSERT_TRUE(in_error ? got < 0 && errno == ECONNRESET : got == 0);
        end(&bench);
    }
}

static void test_loss(void)
{
    struct bench bench = begin();
    uint8_t byte;
    struct driver_error error = {""};
    descriptor_close(&bench.peer);
    ssize_t got = bench.transport->calls->receive(bench.transport, &byte, 1,
                                                  clock_mono_ns() + 5 * CLOCK_NS_PER_S);
    CU_ASSERT_EQUAL(got, -EPIPE);
    transport_explain_loss(bench.transport, EPIPE, &error);
    TEST_TEXT_EQUAL(error.text, "the connection broke: closed by the device");
    transport_explain_loss(bench.transport, ECANCELED, &error);
    TEST_TEXT_EQUAL(error.text, "the line is being stopped");
    end(&bench);
}

TEST_MAIN("transport_tcp", {"bytes go both ways, and waits end", test_carries},
          {"closing in error resets", test_close}, {"a lost connection says so", test_loss})
