/*
 * The RTU driver against units on a pseudo terminal that misbehave on purpose. Each case scripts
 * what happens to the next requests and looks at what the reader gets: the fault, and then,
 * always, the right values again. The units note a request that begins too early.
 */
#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "drivers/modbus/framing.h"
#include "tests/support/driven.h"
#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <termios.h>
#include <unistd.h>

#define FRAME_MAX 256
#define REQUEST_BYTES 8  /* of a read */
#define PATIENT_MS 20000 /* a timeout that no case waits for */
#define SHORT_MS 700     /* one that some do */

enum step {
    GOOD,
    SILENT,
    LATE, /* comes 1.4 timeouts after the request; other units are served meanwhile */
    WRONG_UNIT,
    WRONG_FUNCTION,
    WRONG_LENGTH,
    DAMAGED,
    EXCEPTION,
    SHORT,
    SPLIT,
    NOISE_BEFORE,
    NOISE_AFTER,
    NOISE_INSTEAD,
    FOREIGN_BEFORE, /* a whole frame of another unit */
    NOISE_AROUND,
    SLOW, /* begins in time, ends later */
};

struct plant {
    pthread_t thread;
    int master, slave; /* the slave is held open, as a plugged adapter is there */
    int timeout_ms;
    int64_t silence_ns;
    atomic_bool echo;
    atomic_bool stop;
    atomic_int requests, early, too_soon_after_late;
    atomic_int script[4]; /* enum step */
    atomic_int at, length;
    int64_t busy_ns; /* when we last wrote */
    int64_t late_ns; /* when the late reply is due; 0: none */
    uint8_t late[FRAME_MAX];
    size_t late_length;
    unsigned seed;
};

static struct plant plant;
static struct driven driven;

/* Bit by bit, as the standard says: not the way of the driver. */
static uint16_t checksum(const uint8_t *frame, size_t length)
{
    unsigned crc = 0xFFFF;
    for (size_t i = 0; i < 8 * length; i++) {
        if (i % 8 == 0)
            crc ^= frame[i / 8];
        crc = crc & 1 ? crc >> 1 ^ 0xA001 : crc >> 1;
    }
    return (uint16_t)crc;
}

static void seal(uint8_t *frame, size_t length)
{
    uint16_t crc = checksum(frame, length);
    frame[length] = (uint8_t)crc;
    frame[length + 1] = (uint8_t)(crc >> 8);
}

/* Register A of unit U holds A + 1000 * U; coil A is on where A is divisible by 3. */
static size_t answer(const uint8_t *request, uint8_t *reply)
{
    unsigned address = (unsigned)(request[2] << 8 | request[3]);
    unsigned count = (unsigned)(request[4] << 8 | request[5]);
    memset(reply, 0, FRAME_MAX);
    reply[0] = request[0];
    reply[1] = request[1];
    reply[2] = (uint8_t)(request[1] < 3 ? (count + 7) / 8 : 2 * count);
    for (unsigned i = 0; i < count; i++) {
        unsigned value = address + i + 1000U * request[0];
        if (request[1] < 3) {
            reply[3 + i / 8] |= (uint8_t)(((address + i) % 3 == 0) << i % 8);
        } else {
            reply[3 + 2 * i] = (uint8_t)(value >> 8);
            reply[4 + 2 * i] = (uint8_t)value;
        }
    }
    seal(reply, 3U + reply[2]);
    return 5U + reply[2];
}

static void put(const uint8_t *bytes, size_t length)
{
    plant.busy_ns = clock_mono_ns(); /* before: the driver may see the bytes at once */
    CU_ASSERT_EQUAL(write(plant.master, bytes, length), (ssize_t)length);
}

static void put_noise(void)
{
    uint8_t noise[40];
    size_t length = 1 + (size_t)(rand_r(&plant.seed) % 40);
    for (size_t i = 0; i < length; i++)
        noise[i] = i % 5 ? (uint8_t)rand_r(&plant.seed) : 1; /* many false beginnings */
    put(noise, length);
}

static void play(enum step step, const uint8_t *request)
{
    uint8_t reply[FRAME_MAX], other[FRAME_MAX];
    size_t length = answer(request, reply);
    memcpy(other, request, REQUEST_BYTES);
    switch (step) {
    case GOOD:
        put(reply, length);
        break;
    case SILENT:
        break;
    case LATE:
        memcpy(plant.late, reply, length);
        plant.late_length = length;
        plant.late_ns = clock_mono_ns() + plant.timeout_ms * CLOCK_NS_PER_MS * 14 / 10;
        break;
    case WRONG_UNIT:
        reply[0] ^= 0x08;
        seal(reply, length - 2);
        put(reply, length);
        break;
    case WRONG_FUNCTION:
        reply[1] ^= 7;
        seal(reply, length - 2);
        put(reply, length);
        break;
    case WRONG_LENGTH:
        other[5]++;
        length = answer(other, reply);
        put(reply, length);
        break;
    case DAMAGED:
        reply[4] ^= 0x10;
        put(reply, length);
        break;
    case EXCEPTION:
        other[1] |= 0x80;
        other[2] = 4;
        seal(other, 3);
        put(other, 5);
        break;
    case SHORT:
        put(reply, length - 1);
        break;
    case SPLIT:
        for (size_t i = 0; i < length; i++) {
            put(reply + i, 1);
            usleep(2000);
        }
        break;
    case NOISE_BEFORE:
        put_noise();
        put(reply, length);
        break;
    case NOISE_AFTER:
        put(reply, length);
        put_noise();
        break;
    case NOISE_INSTEAD:
        put_noise();
        break;
    case FOREIGN_BEFORE:
        other[0] ^= 0x08;
        put(other, answer(other, other));
        put(reply, length);
        break;
    case SLOW:
        put(reply, length / 2);
        usleep((useconds_t)plant.timeout_ms * 1200);
        put(reply + length / 2, length - length / 2);
        break;
    case NOISE_AROUND:
        put_noise();
        put(reply, length);
        put_noise();
        break;
    }
}

static void send_late(void)
{
    if (plant.late_ns == 0 || clock_mono_ns() < plant.late_ns)
        return;
    put(plant.late, plant.late_length);
    plant.late_ns = 0;
}

/* One request of 8 bytes. Returns false when it is time to stop. */
static bool get_request(uint8_t *request)
{
    size_t used = 0;
    while (!atomic_load(&plant.stop)) {
        struct pollfd wait = {.fd = plant.master, .events = POLLIN};
        send_late();
        if (poll(&wait, 1, 10) <= 0)
            continue;
        if (used == 0 && clock_mono_ns() - plant.busy_ns < plant.silence_ns)
            atomic_fetch_add(&plant.early, 1);
        ssize_t got = read(plant.master, request + used, REQUEST_BYTES - used);
        used += got > 0 ? (size_t)got : 0;
        if (used == REQUEST_BYTES)
            return true;
    }
    return false;
}

static void *run(void *nothing)
{
    uint8_t request[REQUEST_BYTES];
    while (get_request(request)) {
        CU_ASSERT_EQUAL(checksum(request, 6), request[6] | request[7] << 8);
        atomic_fetch_add(&plant.requests, 1);
        if (plant.late_ns && request[0] == plant.late[0])
            atomic_fetch_add(&plant.too_soon_after_late, 1);
        enum step step = GOOD;
        if (atomic_load(&plant.at) < atomic_load(&plant.length))
            step = (enum step)atomic_load(&plant.script[atomic_fetch_add(&plant.at, 1)]);
        if (plant.echo)
            put(request, REQUEST_BYTES);
        play(step, request);
    }
    return nothing;
}

/* Lays the wire: test_path("tty") leads to it. */
static void plug(void)
{
    char name[128];
    CU_ASSERT_EQUAL_FATAL(openpty(&plant.master, &plant.slave, name, NULL, NULL), 0);
    (void)unlink(test_path("tty"));
    CU_ASSERT_EQUAL_FATAL(symlink(name, test_path("tty")), 0);
    struct termios port;
    CU_ASSERT_EQUAL(tcgetattr(plant.slave, &port), 0);
    cfmakeraw(&port); /* no echo of the terminal's own before the driver has set it up */
    CU_ASSERT_EQUAL(tcsetattr(plant.slave, TCSANOW, &port), 0);
    atomic_store(&plant.stop, false);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&plant.thread, NULL, run, NULL), 0);
}

static void unplug(void)
{
    atomic_store(&plant.stop, true);
    pthread_join(plant.thread, NULL);
    descriptor_close(&plant.master);
    descriptor_close(&plant.slave);
}

/* Two units; the first is read with two requests of equal length. */
static void open_reader(const char *keys)
{
    char text[1024];
    (void)snprintf(text, sizeof(text),
                   "buses: ( { name = \"b\"; driver = \"modbus_rtu\"; device = \"%s\"; "
                   "timeout_ms = %d; %s } );\n"
                   "devices: ( { name = \"d\"; bus = \"b\"; unit = 1; tags = (\n"
                   "  { name = \"a\"; address = 10; }, { name = \"b\"; address = 500; } ); },\n"
                   "  { name = \"e\"; bus = \"b\"; unit = 2; tags = (\n"
                   "  { name = \"c\"; address = 10; type = \"int32\"; } ); } );\n",
                   test_path("tty"), plant.timeout_ms, keys);
    driven_open(&driven, text);
}

static void begin(int timeout_ms, const char *keys)
{
    memset(&plant, 0, sizeof(plant));
    plant.timeout_ms = timeout_ms;
    plant.silence_ns = strstr(keys, "1200;") ? 32083333 : 2005208; /* 3.5 characters of 11 bits */
    plant.seed = 1;
    plug();
    open_reader(keys);
}

static void end(void)
{
    driven_close(&driven);
    unplug();
    CU_ASSERT_EQUAL(atomic_load(&plant.early), 0);
    CU_ASSERT_EQUAL(atomic_load(&plant.too_soon_after_late), 0);
}

static void script(enum step first, enum step second)
{
    atomic_store(&plant.length, 0);
    atomic_store(&plant.script[0], first);
    atomic_store(&plant.script[1], second);
    atomic_store(&plant.at, 0);
    atomic_store(&plant.length, 2);
}

static void expect_first(void)
{
    CU_ASSERT_EQUAL(driven_read(&driven, 0), OUTCOME_OK);
    TEST_TEXT_EQUAL(driven_values(&driven, 0), "a=1010 b=1500");
}

static void expect_second(void)
{
    CU_ASSERT_EQUAL(driven_read(&driven, 1), OUTCOME_OK);
    TEST_TEXT_EQUAL(driven_values(&driven, 1), "c=131729371"); /* 2010 and 2011 */
}

static void test_good(void)
{
    begin(PATIENT_MS, "");
    for (int i = 0; i < 30; i++) {
        expect_first();
        expect_second();
    }
    CU_ASSERT_EQUAL(atomic_load(&plant.requests), 90);
    end();
}

/* The first request of a poll meets FAULT: what the reader gets. Afterwards all is well. */
static void expect(int timeout_ms, enum step fault, enum outcome outcome, const char *values,
                   const char *error)
{
    begin(timeout_ms, "");
    expect_first();
    script(fault, GOOD);
    CU_ASSERT_EQUAL(driven_read(&driven, 0), outcome);
    TEST_TEXT_EQUAL(driven_values(&driven, 0), values);
    TEST_CONTAINS(driven.error.text, error);
    expect_second();
    expect_first();
    expect_second();
    end();
}

static void test_faults_that_cost_nothing(void)
{
    static const enum step steps[] = {SPLIT, NOISE_BEFORE, NOISE_AFTER, FOREIGN_BEFORE};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        expect(PATIENT_MS, steps[i], OUTCOME_OK, "a=1010 b=1500", "");
    expect(PATIENT_MS, EXCEPTION, OUTCOME_OK, "a=exception-4 b=1500", "");
}

static void test_wrong_answers(void)
{
    expect(PATIENT_MS, DAMAGED, OUTCOME_BAD_REPLY, "a=bad-reply b=1500", "checksum");
    expect(SHORT_MS, WRONG_UNIT, OUTCOME_BAD_REPLY, "a=bad-reply b=1500", "another unit");
    expect(SHORT_MS, WRONG_FUNCTION, OUTCOME_BAD_REPLY, "a=bad-reply b=1500", "another function");
    expect(SHORT_MS, WRONG_LENGTH, OUTCOME_BAD_REPLY, "a=bad-reply b=1500", "not as long");
    expect(SHORT_MS, NOISE_INSTEAD, OUTCOME_BAD_REPLY, "a=bad-reply b=1500", "no reply");
    expect(SHORT_MS, SHORT, OUTCOME_BAD_REPLY, "a=bad-reply b=1500", "broke off");
}

static void test_silence(void)
{
    expect(SHORT_MS, SILENT, OUTCOME_TIMEOUT, "a=timeout b=timeout",
           "unit 1 did not answer within 700 ms");
}

/* Its two requests look alike: the late reply to one must not be taken for that to the other. */
static void test_late(void)
{
    begin(SHORT_MS, "");
    expect_first();
    script(GOOD, LATE); /* b at 500 */
    CU_ASSERT_EQUAL(driven_read(&driven, 0), OUTCOME_TIMEOUT);
    TEST_TEXT_EQUAL(driven_values(&driven, 0), "a=1010 b=timeout");
    int before = atomic_load(&plant.requests);
    expect_second(); /* others need not wait */
    expect_first();
    expect_first();
    CU_ASSERT_EQUAL(atomic_load(&plant.requests), before + 5);
    end();
}

static void test_storm(void)
{
    begin(PATIENT_MS, "");
    for (int i = 0; i < 40; i++) { /* no frame is hit, so none is lost */
        script(NOISE_AROUND, i % 2 ? NOISE_BEFORE : NOISE_AROUND);
        expect_first();
    }
    for (int i = 0; i < 10; i++) {
        script(DAMAGED, NOISE_AROUND);
        CU_ASSERT_EQUAL(driven_read(&driven, 0), OUTCOME_BAD_REPLY);
        TEST_TEXT_EQUAL(driven_values(&driven, 0), "a=bad-reply b=1500");
    }
    expect_first();
    end();
}

static void test_echo(void)
{
    begin(SHORT_MS, "");
    plant.echo = true;
    expect_first();
    script(SILENT, GOOD);
    CU_ASSERT_EQUAL(driven_read(&driven, 1), OUTCOME_TIMEOUT); /* an echo is no answer */
    expect_first();
    end();
}

/* The echo of this request has the form and the checksum of a reply to it. */
static void test_echo_like_reply(void)
{
    static struct modbus_call call;
    struct driver_error error = {""};
    call.request = modbus_read_request(1, MODBUS_COIL, 0x0302, 20);
    begin(PATIENT_MS, "");
    for (int round = 0; round < 4; round++) {
        driven.driver->disconnect(driven.line); /* another adapter may be plugged in */
        plant.echo = round % 2;
        if (round < 2)
            expect_first();
        CU_ASSERT_EQUAL(driven.driver->request(driven.line, &call, &error), OUTCOME_OK);
        for (unsigned i = 0; i < 20; i++)
            CU_ASSERT_EQUAL(call.reply.values[i], (0x0302 + i) % 3 == 0);
    }
    end();
}

/* At 1200 baud t3.5 is 32 ms: a request that comes too early cannot hide in the noise of the clock.
 */
static void test_keeps_silence(void)
{
    begin(PATIENT_MS, "baud = 1200;");
    for (int i = 0; i < 4; i++) {
        script(i % 2 ? NOISE_AFTER : GOOD, GOOD);
        expect_first();
    }
    end();
}

/* A read of one register at 19200 baud, 11 bits each: 8 and 7 characters, silence before each. */
static void test_timing(void)
{
    begin(PATIENT_MS, "");
    CU_ASSERT_EQUAL(driven.driver->cost_us(driven.line, driven.polls[0]),
                    2 * (15 * 572917 + 2 * 2005210) / 1000);
    struct driver_link link = driven.driver->link(driven.line);
    CU_ASSERT_EQUAL(link.timeout_us, PATIENT_MS * 1000);
    CU_ASSERT_TRUE(link.outlives_timeout && !link.redials);
    end();
    begin(PATIENT_MS, "baud = 38400;");
    CU_ASSERT_EQUAL(driven.driver->cost_us(driven.line, driven.polls[0]),
                    2 * (15 * 286459 + 2 * 1750000) / 1000);
    end();
}

static void test_port_settings(void)
{
    static const struct {
        const char *keys;
        speed_t speed;
        tcflag_t flags;
    } cases[] = {
        {"", B19200, CS8 | PARENB},
        {"baud = 9600; parity = \"none\"; stop_bits = 2;", B9600, CS8 | CSTOPB},
        {"baud = 115200; parity = \"odd\";", B115200, CS8 | PARENB | PARODD},
        {"baud = 921600; parity = \"even\"; data_bits = 7;", B921600, CS7 | PARENB},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin(PATIENT_MS, cases[i].keys);
        struct driver_error error = {""};
        CU_ASSERT_EQUAL(driven.driver->connect(driven.line, &error), 0);
        struct termios port;
        CU_ASSERT_EQUAL(tcgetattr(plant.slave, &port), 0);
        CU_ASSERT_EQUAL(cfgetospeed(&port), cases[i].speed);
        /* a pseudo terminal drops the parity bit and CS7: only what it keeps can be looked at */
        CU_ASSERT_EQUAL(port.c_cflag & (CSTOPB | PARODD), cases[i].flags & (CSTOPB | PARODD));
        CU_ASSERT_EQUAL(port.c_lflag & (ICANON | ECHO | ISIG), 0);
        CU_ASSERT_EQUAL(port.c_iflag & (IXON | ICRNL | INLCR | IGNCR), 0);
        end();
    }
}

/* An agent that was killed leaves the port as it had set it up. */
static void test_left_as_it_was(void)
{
    begin(PATIENT_MS, "");
    expect_first();
    struct termios port;
    CU_ASSERT_EQUAL(tcgetattr(plant.slave, &port), 0);
    driven.driver->disconnect(driven.line);
    CU_ASSERT_EQUAL(tcsetattr(plant.slave, TCSANOW, &port), 0);
    expect_first();
    expect_second();
    end();
}

static void test_gone(void)
{
    begin(PATIENT_MS, "");
    expect_first();
    unplug();
    CU_ASSERT_EQUAL(driven_read(&driven, 0), OUTCOME_DISCONNECTED);
    TEST_TEXT_EQUAL(driven_values(&driven, 0), "a=disconnected b=disconnected");
    TEST_CONTAINS(driven.error.text, "the serial device is gone");
    (void)unlink(test_path("tty"));
    struct driver_error error = {""};
    CU_ASSERT_EQUAL(driven.driver->connect(driven.line, &error), -ENOENT);
    TEST_CONTAINS(error.text, "there is no such device: is the adapter plugged in?");
    plug();
    expect_first();
    expect_second();
    end();
}

/* 255 characters take longer than the timeout, which is about the first one. */
static void test_long_reply(void)
{
    begin(SHORT_MS, "baud = 1200;");
    static struct modbus_call call;
    struct driver_error error = {""};
    call.request = modbus_read_request(1, MODBUS_INPUT, 0, 125);
    script(SLOW, GOOD);
    CU_ASSERT_EQUAL(driven.driver->request(driven.line, &call, &error), OUTCOME_OK);
    CU_ASSERT_EQUAL(call.reply.values[124], 1124);
    end();
}

static void *raise_stop(void *nothing)
{
    while (atomic_load(&plant.requests) == 0)
        usleep(1000);
    atomic_store(&driven.stop, true);
    return nothing;
}

static void test_stop(void)
{
    begin(60000, "");
    script(SILENT, SILENT);
    pthread_t thread;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, raise_stop, NULL), 0);
    CU_ASSERT_EQUAL(driven_read(&driven, 0), OUTCOME_DISCONNECTED); /* not after 60 s */
    pthread_join(thread, NULL);
    end();
}

static void test_refused(void)
{
    struct driver_error error = {""};
    begin(PATIENT_MS, "rs485 = \"on\";"); /* a pseudo terminal has no transceiver */
    CU_ASSERT_TRUE(driven.driver->connect(driven.line, &error) < 0);
    TEST_CONTAINS(error.text, "cannot be switched to rs485 = \"on\"");
    end();
    begin(PATIENT_MS, "");
    int other = open(test_path("tty"), O_RDWR | O_NOCTTY | O_CLOEXEC);
    CU_ASSERT_EQUAL(flock(other, LOCK_EX), 0);
    CU_ASSERT_EQUAL(driven.driver->connect(driven.line, &error), -EBUSY);
    TEST_CONTAINS(error.text, "another program uses it");
    close(other);
    expect_first();
    end();
    begin(PATIENT_MS, "");
    (void)unlink(test_path("tty"));
    test_file("tty", "not a port");
    CU_ASSERT_TRUE(driven.driver->connect(driven.line, &error) < 0);
    TEST_CONTAINS(error.text, "this is not a serial port");
    end();
}

static void test_no_leaks(void)
{
    begin(PATIENT_MS, "");
    expect_first();
    int before = dup(0);
    close(before);
    for (int i = 0; i < 20; i++) {
        driven.driver->disconnect(driven.line);
        driven.driver->disconnect(driven.line);
        struct driver_error error;
        CU_ASSERT_EQUAL(driven.driver->connect(driven.line, &error), 0);
        CU_ASSERT_EQUAL(driven.driver->connect(driven.line, &error), 0);
        expect_second();
    }
    int after = dup(0);
    close(after);
    CU_ASSERT_EQUAL(after, before); /* the lowest free number */
    end();
}

TEST_MAIN("modbus_rtu", {"values arrive", test_good},
          {"a split reply, noise, a foreign frame or a refusal cost nothing more",
           test_faults_that_cost_nothing},
          {"a wrong answer is not accepted and costs its request", test_wrong_answers},
          {"silence ends the poll and no other", test_silence},
          {"a late reply is never taken for another", test_late},
          {"noise costs only the frames it hit", test_storm},
          {"the echo of an adapter is removed", test_echo},
          {"even an echo that looks like a reply", test_echo_like_reply},
          {"no request begins before 3.5 characters of silence", test_keeps_silence},
          {"a long reply on a slow line has the time it needs", test_long_reply},
          {"times on the wire are those of the standard", test_timing},
          {"the port is set up as configured", test_port_settings},
          {"a port that was left behind set up is opened again", test_left_as_it_was},
          {"an adapter may be unplugged and come back", test_gone},
          {"a stopped line does not wait", test_stop},
          {"a port that cannot be used is told with what to do", test_refused},
          {"reconnecting leaks nothing", test_no_leaks})
