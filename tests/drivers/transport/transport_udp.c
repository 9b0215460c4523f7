/* Datagrams as a transport. */
#include "drivers/transport/transport_udp.h"

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
    int peer;
    struct sockaddr_in ours; /* the transport's end */
    struct transport *transport;
};

/* The peer learns of the transport by a first datagram, which is taken here. */
static struct bench begin(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    struct driver_error error = {""};
    char byte;
    struct bench bench = {.peer = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    CU_ASSERT_EQUAL_FATAL(bind(bench.peer, (struct sockaddr *)&address, size), 0);
    CU_ASSERT_EQUAL(getsockname(bench.peer, (struct sockaddr *)&address, &size), 0);
    bench.transport = transport_udp_new("127.0.0.1", ntohs(address.sin_port), 5000, &stop);
    CU_ASSERT_EQUAL_FATAL(bench.transport->calls->open(bench.transport, &error), 0);
    CU_ASSERT_EQUAL(bench.transport->calls->open(bench.transport, &error), 0); /* open already */
    CU_ASSERT_EQUAL(bench.transport->calls->send(bench.transport, (const uint8_t *)"x", 1), 0);
    size = sizeof(bench.ours);
    CU_ASSERT_EQUAL(recvfrom(bench.peer, &byte, 1, 0, (struct sockaddr *)&bench.ours, &size), 1);
    CU_ASSERT_EQUAL(connect(bench.peer, (struct sockaddr *)&bench.ours, size), 0);
    return bench;
}

static void end(struct bench *bench)
{
    CU_ASSERT_PTR_NULL(transport_free(bench->transport));
    descriptor_close(&bench->peer);
}

static void test_carries(void)
{
    struct bench bench = begin();
    CU_ASSERT_TRUE(bench.transport->is_datagrams && !bench.transport->is_port);
    carried_test(bench.transport, bench.peer, &stop);
    end(&bench);
}

/* Somebody else's datagrams do not count, nor do empty ones. */
static void test_strangers(void)
{
    struct bench bench = begin();
    uint8_t bytes[8];
    CLEANUP(descriptor_close) int stranger = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL(
        sendto(stranger, "evil", 4, 0, (struct sockaddr *)&bench.ours, sizeof(bench.ours)), 4);
    CU_ASSERT_EQUAL(send(bench.peer, "", 0, 0), 0);
    CU_ASSERT_EQUAL(send(bench.peer, "good!", 5, 0), 5);
    ssize_t got = bench.transport->calls->receive(bench.transport, bytes, sizeof(bytes),
                                                  clock_mono_ns() + 5 * CLOCK_NS_PER_S);
    CU_ASSERT_EQUAL(got, 5);
    CU_ASSERT_EQUAL(bytes[0], 'g');
    end(&bench);
}

static void test_nobody(void)
{
    struct bench bench = begin();
    uint8_t byte;
    struct driver_error error = {""};
    descriptor_close(&bench.peer);
    CU_ASSERT_EQUAL(bench.transport->calls->send(bench.transport, (const uint8_t *)"x", 1), 0);
    ssize_t got = bench.transport->calls->receive(bench.transport, &byte, 1,
                                                  clock_mono_ns() + 5 * CLOCK_NS_PER_S);
    CU_ASSERT_EQUAL(got, -ECONNREFUSED);
    transport_explain_loss(bench.transport, ECONNREFUSED, &error);
    TEST_TEXT_EQUAL(error.text, "no datagrams can be exchanged: Connection refused");
    bench.transport->calls->close(bench.transport, true);
    CU_ASSERT_EQUAL(bench.transport->calls->open(bench.transport, &error), 0);
    end(&bench);
}

TEST_MAIN("transport_udp", {"bytes go both ways, and waits end", test_carries},
          {"only the peer's datagrams count", test_strangers},
          {"a port where nobody listens is noticed", test_nobody})
