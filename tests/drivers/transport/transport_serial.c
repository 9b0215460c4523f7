/* A serial port as a transport. */
#include "drivers/transport/transport_serial.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "tests/support/carried.h"
#include "tests/support/test.h"

#include <errno.h>
#include <pty.h>
#include <termios.h>
#include <unistd.h>

static atomic_bool stop;

static const struct serial_options common = {
    .baud = 19200, .parity = SERIAL_EVEN, .data_bits = 8, .stop_bits = 1};

static void test_carries(void)
{
    char name[128];
    struct termios port;
    struct driver_error error = {""};
    CLEANUP(descriptor_close) int peer = -1;
    CLEANUP(descriptor_close) int slave = -1;
    CU_ASSERT_EQUAL_FATAL(openpty(&peer, &slave, name, NULL, NULL), 0);
    CU_ASSERT_EQUAL(tcgetattr(slave, &port), 0);
    cfmakeraw(&port);
    CU_ASSERT_EQUAL(tcsetattr(slave, TCSANOW, &port), 0);
    struct serial_options options = common;
    options.device = name;
    struct transport *transport = transport_serial_new(&options, 20, &stop);
    CU_ASSERT_EQUAL_FATAL(transport->calls->open(transport, &error), 0);
    CU_ASSERT_EQUAL(transport->calls->open(transport, &error), 0); /* open already */
    carried_test(transport, peer, &stop);
    descriptor_close(&peer); /* the adapter is pulled out */
    uint8_t byte;
    ssize_t got =
        transport->calls->receive(transport, &byte, 1, clock_mono_ns() + 5 * CLOCK_NS_PER_S);
    CU_ASSERT_EQUAL(got, -EIO);
    transport_explain_loss(transport, EIO, &error);
    TEST_TEXT_EQUAL(error.text, "the serial device is gone: Input/output error; is the adapter "
                                "plugged in?");
    transport->calls->close(transport, true);
    CU_ASSERT_TRUE(transport->calls->open(transport, &error) < 0);
    CU_ASSERT_PTR_NULL(transport_free(transport));
}

static void test_timing(void)
{
    static const struct {
        int64_t baud, char_ns, silence_ns;
    } cases[] = {{1200, 9166667, 32083335}, {19200, 572917, 2005210}, {38400, 286459, 1750000}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct serial_options options = common;
        options.baud = cases[i].baud;
        struct transport *transport = transport_serial_new(&options, 20, &stop);
        CU_ASSERT_TRUE(transport->is_port && !transport->is_datagrams);
        CU_ASSERT_EQUAL(transport->char_ns, cases[i].char_ns);
        CU_ASSERT_EQUAL(transport->silence_ns, cases[i].silence_ns);
        CU_ASSERT_EQUAL(transport->pause_ns, 20 * CLOCK_NS_PER_MS);
        transport_free(transport);
    }
}

TEST_MAIN("transport_serial", {"bytes go both ways, waits end, a loss says so", test_carries},
          {"times on the wire are those of the standard", test_timing})
