/* Opening a serial port. What a real port alone can show (parity, RS-485) is left to real ports. */
#include "drivers/serial/serial_port.h"

#include "agent/base/descriptor.h"
#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <string.h>
#include <sys/file.h>
#include <termios.h>
#include <unistd.h>

struct bench {
    int peer, slave;
    char name[128], problem[200];
    struct serial_options options;
};

static void begin(struct bench *bench)
{
    memset(bench, 0, sizeof(*bench));
    CU_ASSERT_EQUAL_FATAL(openpty(&bench->peer, &bench->slave, bench->name, NULL, NULL), 0);
    bench->options = (struct serial_options){
        .device = bench->name, .baud = 9600, .parity = SERIAL_EVEN, .data_bits = 7, .stop_bits = 2};
}

static void end(struct bench *bench)
{
    descriptor_close(&bench->peer);
    descriptor_close(&bench->slave);
}

static int open_it(struct bench *bench)
{
    bench->problem[0] = '\0';
    return serial_open(&bench->options, bench->problem, sizeof(bench->problem));
}

/* A pseudo terminal has neither parity nor seven bits, and is opened all the same, twice too. */
static void test_set_up(void)
{
    struct bench bench;
    begin(&bench);
    for (int i = 0; i < 2; i++) {
        CLEANUP(descriptor_close) int port = open_it(&bench);
        struct termios settings;
        CU_ASSERT_TRUE_FATAL(port >= 0);
        CU_ASSERT_EQUAL(tcgetattr(bench.slave, &settings), 0);
        CU_ASSERT_EQUAL(cfgetospeed(&settings), B9600);
        CU_ASSERT_EQUAL(settings.c_cflag & (CSTOPB | CLOCAL | CREAD | CRTSCTS),
                        CSTOPB | CLOCAL | CREAD);
        CU_ASSERT_EQUAL(settings.c_lflag & (ICANON | ECHO | ISIG | IEXTEN), 0);
        CU_ASSERT_EQUAL(settings.c_iflag & (IXON | IXOFF | ICRNL | INLCR | IGNCR | ISTRIP), 0);
        CU_ASSERT_EQUAL(settings.c_oflag & OPOST, 0);
        CU_ASSERT_TRUE(fcntl(port, F_GETFL) & O_NONBLOCK);
        CU_ASSERT_TRUE(fcntl(port, F_GETFD) & FD_CLOEXEC);
    }
    end(&bench);
}

static void test_old_input_is_dropped(void)
{
    struct bench bench;
    char byte;
    begin(&bench);
    CU_ASSERT_EQUAL(write(bench.peer, "old\n", 4), 4);
    CLEANUP(descriptor_close) int port = open_it(&bench);
    CU_ASSERT_TRUE(port >= 0);
    CU_ASSERT_EQUAL(read(port, &byte, 1), -1);
    CU_ASSERT_EQUAL(errno, EAGAIN);
    end(&bench);
}

static void test_refused(void)
{
    struct bench bench;
    begin(&bench);
    CLEANUP(descriptor_close) int other = open(bench.name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    CU_ASSERT_EQUAL(flock(other, LOCK_EX), 0);
    CU_ASSERT_EQUAL(open_it(&bench), -EBUSY);
    TEST_CONTAINS(bench.problem, "another program uses it");
    TEST_CONTAINS(bench.problem, bench.name);
    descriptor_close(&other);
    bench.options.rs485 = SERIAL_RS485_ON; /* there is no transceiver */
    CU_ASSERT_TRUE(open_it(&bench) < 0);
    TEST_CONTAINS(bench.problem, "rs485 = \"on\"");
    bench.options.rs485 = SERIAL_RS485_OFF;
    bench.options.baud = 12345;
    CU_ASSERT_EQUAL(open_it(&bench), -EINVAL);
    TEST_CONTAINS(bench.problem, "refuses these settings");
    (void)strcpy(bench.name, "/dev/ttyUSB-none");
    CU_ASSERT_EQUAL(open_it(&bench), -ENOENT);
    TEST_CONTAINS(bench.problem, "is the adapter plugged in?");
    (void)strcpy(bench.name, test_file("plain", "no port"));
    CU_ASSERT_EQUAL(open_it(&bench), -ENOTTY);
    TEST_CONTAINS(bench.problem, "not a serial port");
    end(&bench);
}

TEST_MAIN("serial_port", {"the port is set up as configured, raw and ours alone", test_set_up},
          {"what came before is dropped", test_old_input_is_dropped},
          {"a port that cannot be used says what to do", test_refused})
