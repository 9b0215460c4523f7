/*
 * Every framing over every transport, against units that misbehave on purpose. What is special to
 * the two common pairs is in modbus_tcp.c and modbus_rtu.c; this is what must hold in all of them.
 * The units speak the framings in their own words: nothing of the driver is used to answer it.
 */
#include "drivers/modbus/modbus_line.h"
#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "tests/support/driven.h"
#include "tests/support/test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#define PATIENT_MS 20000 /* a timeout that no case waits for */
#define SHORT_MS 300     /* one that some do */
#define FRAME_MAX 600

enum carrier { TCP, UDP, SERIAL };
enum framing_kind { MBAP, RTU, ASCII };

static const struct pair {
    enum framing_kind framing;
    enum carrier carrier;
} pairs[] = {{MBAP, TCP},  {RTU, TCP},     {ASCII, TCP},  {MBAP, UDP},    {RTU, UDP},
             {ASCII, UDP}, {MBAP, SERIAL}, {RTU, SERIAL}, {ASCII, SERIAL}};

static const char *const framing_words[] = {"tcp", "rtu", "ascii"};

enum step {
    GOOD,
    SILENT,
    LATE, /* comes 1.4 timeouts after the request; other units are served meanwhile */
    SPLIT,
    NOISE_BEFORE,
    CLOSE_AFTER, /* TCP: the connection ends once the reply is out */
    CLOSE_LATE,  /* TCP: it ends at once, and the reply comes late, on the next one */
};

static struct plant {
    struct pair pair;
    pthread_t thread;
    int listener; /* TCP */
    int line;     /* the connection, the UDP socket, or the master's side; -1: none */
    int slave;    /* serial: held open, as a plugged adapter is there */
    int port;     /* TCP, UDP */
    struct sockaddr_in peer;
    int timeout_ms;
    atomic_bool stop, echo;
    atomic_bool flood; /* sends without end, and answers nothing */
    atomic_int connections, requests, too_soon;
    atomic_int script[4]; /* enum step */
    atomic_int at, length;
    int64_t late_ns; /* when the late reply is due; 0: none */
    uint8_t late[FRAME_MAX], late_unit;
    size_t late_length;
    _Atomic uint16_t registers[64]; /* what was written, by address; 0: never */
} plant;

static struct driven driven;

/* ---- the framings, as the units know them ---- */

struct asked {
    uint8_t number[2], pdu[16];
    size_t pdu_length;
    uint8_t unit;
};

static unsigned crc_of(const uint8_t *bytes, size_t length)
{
    unsigned crc = 0xFFFF;
    for (size_t i = 0; i < 8 * length; i++) {
        if (i % 8 == 0)
            crc ^= bytes[i / 8];
        crc = crc & 1 ? crc >> 1 ^ 0xA001 : crc >> 1;
    }
    return crc;
}

static size_t pack(const struct asked *asked, const uint8_t *pdu, size_t length, uint8_t *frame)
{
    uint8_t body[FRAME_MAX] = {asked->unit};
    memcpy(body + 1, pdu, length);
    unsigned crc = crc_of(body, length + 1), sum = 0;
    switch (plant.pair.framing) {
    case MBAP:
        memcpy(frame, asked->number, 2);
        memcpy(frame + 2, ((uint8_t[]){0, 0, 0, (uint8_t)(length + 1)}), 4);
        memcpy(frame + 6, body, length + 1);
        return length + 7;
    case RTU:
        memcpy(frame, body, length + 1);
        frame[length + 1] = (uint8_t)crc;
        frame[length + 2] = (uint8_t)(crc >> 8);
        return length + 3;
    case ASCII:
        for (size_t i = 0; i <= length; i++)
            sum += body[i];
        body[length + 1] = (uint8_t)(256 - sum % 256);
        frame[0] = ':';
        for (size_t i = 0; i < length + 2; i++)
            (void)snprintf((char *)frame + 1 + 2 * i, 3, "%02X", body[i]);
        memcpy(frame + 1 + 2 * (length + 2), "\r\n", 2);
        return 2 * length + 7;
    }
    return 0;
}

/* Bytes of a request of 5 bytes of PDU: reads, and writes of one register. */
static size_t request_bytes(void)
{
    static const size_t bytes[] = {12, 8, 17};
    return bytes[plant.pair.framing];
}

static struct asked unpack(const uint8_t *frame)
{
    struct asked asked = {.pdu_length = 5};
    uint8_t body[6];
    const uint8_t *from = plant.pair.framing == MBAP ? frame + 6 : frame;
    for (size_t i = 0; i < 6; i++) {
        char digits[3] = {(char)frame[1 + 2 * i], (char)frame[2 + 2 * i], 0};
        body[i] = plant.pair.framing == ASCII ? (uint8_t)strtoul(digits, NULL, 16) : from[i];
    }
    memcpy(asked.number, frame, 2);
    asked.unit = body[0];
    memcpy(asked.pdu, body + 1, 5);
    return asked;
}

/* Register A of unit U holds A + 1000 * U. */
static size_t answer(const struct asked *asked, uint8_t *reply)
{
    unsigned address = (unsigned)(asked->pdu[1] << 8 | asked->pdu[2]);
    unsigned count = (unsigned)(asked->pdu[3] << 8 | asked->pdu[4]);
    if (asked->pdu[0] == 6) {
        plant.registers[address % 64] = (uint16_t)count;
        return pack(asked, asked->pdu, 5, reply);
    }
    uint8_t pdu[260] = {asked->pdu[0], (uint8_t)(2 * count)};
    for (unsigned i = 0; i < count; i++) {
        unsigned value = address + i + 1000U * asked->unit;
        pdu[2 + 2 * i] = (uint8_t)(value >> 8);
        pdu[3 + 2 * i] = (uint8_t)value;
    }
    return pack(asked, pdu, 2 + 2 * count, reply);
}

/* ---- what carries them ---- */

static void put(const uint8_t *bytes, size_t length)
{
    if (plant.pair.carrier == UDP)
        (void)!sendto(plant.line, bytes, length, 0, (struct sockaddr *)&plant.peer,
                      sizeof(plant.peer));
    else if (plant.line >= 0)
        (void)!write(plant.line, bytes, length);
}

static void put_noise(void)
{
    static const uint8_t noise[] = {1, 3, ':', '0', '1', '0', '3', 0xDE, 1, 3, 2, 0, 0};
    put(noise, sizeof(noise));
}

/* Returns whether the connection stays open. */
static bool play(enum step step, const struct asked *asked)
{
    uint8_t reply[FRAME_MAX];
    size_t length = answer(asked, reply);
    switch (step) {
    case SILENT:
        return true;
    case CLOSE_LATE:
    case LATE:
        memcpy(plant.late, reply, length);
        plant.late_length = length;
        plant.late_unit = asked->unit;
        plant.late_ns = clock_mono_ns() + plant.timeout_ms * CLOCK_NS_PER_MS * 14 / 10;
        return step == LATE;
    case SPLIT:
        for (size_t i = 0; i < length; i++) {
            put(reply + i, 1);
            usleep(500);
        }
        return true;
    case NOISE_BEFORE:
        put_noise();
        break;
    case GOOD:
    case CLOSE_AFTER:
        break;
    }
    put(reply, length);
    return step != CLOSE_AFTER;
}

static void serve_request(const uint8_t *frame)
{
    struct asked asked = unpack(frame);
    if (plant.late_ns && asked.unit == plant.late_unit && plant.pair.framing != MBAP)
        atomic_fetch_add(&plant.too_soon, 1);
    atomic_fetch_add(&plant.requests, 1);
    enum step step = GOOD;
    if (atomic_load(&plant.at) < atomic_load(&plant.length))
        step = (enum step)atomic_load(&plant.script[atomic_fetch_add(&plant.at, 1)]);
    if (atomic_load(&plant.echo))
        put(frame, request_bytes());
    if (!play(step, &asked))
        descriptor_close(&plant.line);
}

static void send_late(void)
{
    if (plant.late_ns == 0 || clock_mono_ns() < plant.late_ns)
        return;
    put(plant.late, plant.late_length);
    plant.late_ns = 0;
}

static ssize_t take(uint8_t *bytes, size_t room)
{
    socklen_t size = sizeof(plant.peer);
    if (plant.pair.carrier == UDP)
        return recvfrom(plant.line, bytes, room, 0, (struct sockaddr *)&plant.peer, &size);
    return read(plant.line, bytes, room);
}

static bool is_readable(int file)
{
    struct pollfd wait = {.fd = file, .events = POLLIN};
    return file >= 0 && poll(&wait, 1, atomic_load(&plant.flood) ? 0 : 5) > 0;
}

/* A hundred good frames that answer nothing that was asked, as far as there is room for them. */
static void put_flood(void)
{
    static const uint8_t pdu[] = {3, 4, 17, 34, 51, 68};
    const struct asked nobody = {.number = {0xFF, 0xFE}, .unit = 9};
    uint8_t frames[100 * 32];
    size_t length = 0;
    struct pollfd wait = {.fd = plant.line, .events = POLLOUT};
    for (int i = 0; i < 100; i++)
        length += pack(&nobody, pdu, sizeof(pdu), frames + length);
    if (plant.line < 0 || poll(&wait, 1, 0) <= 0 || !(wait.revents & POLLOUT))
        return;
    if (plant.pair.carrier == UDP) {
        for (int i = 0; i < 100 && plant.peer.sin_port; i++)
            put(frames, length / 100);
    } else {
        put(frames, length);
    }
}

/* A new connection replaces the one there was. */
static void *run(void *nothing)
{
    uint8_t frame[FRAME_MAX];
    size_t used = 0;
    while (!atomic_load(&plant.stop)) {
        send_late();
        if (atomic_load(&plant.flood))
            put_flood();
        if (plant.pair.carrier == TCP && is_readable(plant.listener)) {
            descriptor_close(&plant.line);
            plant.line = accept(plant.listener, NULL, NULL);
            atomic_fetch_add(&plant.connections, 1);
            used = 0;
        }
        if (!is_readable(plant.line))
            continue;
        ssize_t got = take(frame + used, request_bytes() - used);
        if (got <= 0 && plant.pair.carrier == TCP)
            descriptor_close(&plant.line);
        used += got > 0 ? (size_t)got : 0;
        if (used < request_bytes())
            continue;
        used = 0;
        if (!atomic_load(&plant.flood))
            serve_request(frame);
    }
    return nothing;
}

/* ---- one case ---- */

static void bind_to(int file)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    CU_ASSERT_EQUAL_FATAL(bind(file, (struct sockaddr *)&address, size), 0);
    CU_ASSERT_EQUAL_FATAL(getsockname(file, (struct sockaddr *)&address, &size), 0);
    plant.port = ntohs(address.sin_port);
}

static void lay(char *keys, size_t size)
{
    char name[128];
    struct termios port;
    switch (plant.pair.carrier) {
    case TCP:
        plant.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bind_to(plant.listener);
        CU_ASSERT_EQUAL_FATAL(listen(plant.listener, 4), 0);
        break;
    case UDP:
        plant.line = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        bind_to(plant.line);
        break;
    case SERIAL:
        CU_ASSERT_EQUAL_FATAL(openpty(&plant.line, &plant.slave, name, NULL, NULL), 0);
        CU_ASSERT_EQUAL(tcgetattr(plant.slave, &port), 0);
        CU_ASSERT_EQUAL(fcntl(plant.line, F_SETFL, O_NONBLOCK), 0);
        cfmakeraw(&port); /* no echo of the terminal's own before the driver has set it up */
        CU_ASSERT_EQUAL(tcsetattr(plant.slave, TCSANOW, &port), 0);
        (void)snprintf(keys, size, "driver = \"modbus_rtu\"; device = \"%s\"; baud = 115200;",
                       name);
        return;
    }
    (void)snprintf(keys, size,
                   "driver = \"modbus_tcp\"; host = \"127.0.0.1\"; port = %d; transport = \"%s\";",
                   plant.port, plant.pair.carrier == UDP ? "udp" : "tcp");
}

/* Two units; the first is read with two requests of equal length. */
static void begin(struct pair pair, int timeout_ms)
{
    char keys[256], text[1024];
    memset(&plant, 0, sizeof(plant));
    plant.pair = pair;
    plant.timeout_ms = timeout_ms;
    plant.listener = plant.line = plant.slave = -1;
    lay(keys, sizeof(keys));
    CU_ASSERT_EQUAL_FATAL(pthread_create(&plant.thread, NULL, run, NULL), 0);
    (void)snprintf(text, sizeof(text),
                   "buses: ( { name = \"b\"; %s framing = \"%s\"; timeout_ms = %d; } );\n"
                   "devices: ( { name = \"d\"; bus = \"b\"; unit = 1; tags = (\n"
                   "  { name = \"a\"; address = 10; }, { name = \"b\"; address = 500; } ); },\n"
                   "  { name = \"e\"; bus = \"b\"; unit = 2; tags = (\n"
                   "  { name = \"c\"; address = 10; type = \"int32\"; } ); } );\n",
                   keys, framing_words[pair.framing], timeout_ms);
    driven_open(&driven, text);
}

static void end(void)
{
    driven_close(&driven);
    atomic_store(&plant.stop, true);
    pthread_join(plant.thread, NULL);
    descriptor_close(&plant.line);
    descriptor_close(&plant.slave);
    descriptor_close(&plant.listener);
    CU_ASSERT_EQUAL(atomic_load(&plant.too_soon), 0);
}

static void script(enum step first, enum step second, enum step third)
{
    const enum step steps[] = {first, second, third};
    atomic_store(&plant.length, 0);
    for (size_t i = 0; i < 3; i++)
        atomic_store(&plant.script[i], steps[i]);
    atomic_store(&plant.at, 0);
    atomic_store(&plant.length, 3);
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

#define FOR_EACH_PAIR(pair)                                                                        \
    for (const struct pair *pair = pairs; pair < pairs + ARRAY_LENGTH(pairs); pair++)

/* ---- the cases ---- */

static void test_good(void)
{
    FOR_EACH_PAIR(pair)
    {
        begin(*pair, PATIENT_MS);
        for (int i = 0; i < 10; i++) {
            expect_first();
            expect_second();
        }
        CU_ASSERT_EQUAL(atomic_load(&plant.requests), 30);
        CU_ASSERT_EQUAL(atomic_load(&plant.connections), pair->carrier == TCP);
        end();
    }
}

/* A datagram is never half a frame of Modbus TCP; the framings with a checksum may be cut. */
static void test_pieces(void)
{
    FOR_EACH_PAIR(pair)
    {
        if (pair->carrier == UDP && pair->framing == MBAP)
            continue;
        begin(*pair, PATIENT_MS);
        script(SPLIT, SPLIT, SPLIT);
        expect_first();
        expect_second();
        end();
    }
}

/* A stream without checksums cannot pass it over, but starts again and repeats the request. */
static void test_noise(void)
{
    FOR_EACH_PAIR(pair)
    {
        begin(*pair, PATIENT_MS);
        expect_first();
        script(NOISE_BEFORE, NOISE_BEFORE, NOISE_BEFORE);
        if (pair->framing != MBAP || pair->carrier == UDP)
            expect_first();
        else
            (void)driven_read(&driven, 0);
        script(GOOD, GOOD, GOOD);
        expect_second();
        expect_first();
        end();
    }
}

static void test_silence(void)
{
    FOR_EACH_PAIR(pair)
    {
        begin(*pair, SHORT_MS);
        expect_first();
        script(SILENT, GOOD, GOOD);
        CU_ASSERT_EQUAL(driven_read(&driven, 0), OUTCOME_TIMEOUT);
        TEST_TEXT_EQUAL(driven_values(&driven, 0), "a=timeout b=timeout");
        TEST_TEXT_EQUAL(driven.error.text, "unit 1 did not answer within 300 ms");
        expect_second();
        expect_first();
        bool keeps = pair->carrier != TCP || pair->framing != MBAP;
        CU_ASSERT_EQUAL(driven.driver->link(driven.line).outlives_timeout, keeps);
        CU_ASSERT_EQUAL(driven.driver->link(driven.line).redials, pair->carrier != SERIAL);
        CU_ASSERT_EQUAL(atomic_load(&plant.connections), pair->carrier == TCP ? 1 + !keeps : 0);
        end();
    }
}

/* The two requests look alike: the late reply to one must not be taken for that to the other. */
static void test_late(void)
{
    FOR_EACH_PAIR(pair)
    {
        begin(*pair, SHORT_MS);
        expect_first();
        script(GOOD, LATE, GOOD); /* b at 500 */
        CU_ASSERT_EQUAL(driven_read(&driven, 0), OUTCOME_TIMEOUT);
        TEST_TEXT_EQUAL(driven_values(&driven, 0), "a=1010 b=timeout");
        int before = atomic_load(&plant.requests);
        expect_second(); /* others need not wait */
        expect_first();
        expect_first();
        expect_second();
        CU_ASSERT_EQUAL(atomic_load(&plant.requests), before + 6);
        end();
    }
}

/* While nobody else wants the line, a late reply is waited for, taken, and said to be late. */
static void test_late_but_taken(void)
{
    FOR_EACH_PAIR(pair)
    {
        begin(*pair, SHORT_MS);
        expect_first();
        TEST_TEXT_EQUAL(driven.error.text, "");
        driven.turn.spare_until_ns = INT64_MAX;
        script(GOOD, LATE, GOOD);
        expect_first();
        TEST_CONTAINS(driven.error.text, "unit 1: replies come 1");
        TEST_CONTAINS(driven.error.text, " ms after timeout_ms = 300: raise it to 5");
        expect_second();
        TEST_TEXT_EQUAL(driven.error.text, "");
        script(SILENT, GOOD, GOOD);
        CU_ASSERT_EQUAL(driven_read(&driven, 0), OUTCOME_TIMEOUT); /* there is an end to it */
        expect_second();
        end();
    }
}

/* It is not waited for when that would cost another poll its turn: these end before it comes. */
static void test_late_and_not_waited_for(void)
{
    FOR_EACH_PAIR(pair)
    {
        begin(*pair, SHORT_MS);
        expect_first();
        script(LATE, GOOD, GOOD);
        driven.turn.spare_until_ns = clock_mono_ns() + (SHORT_MS + 20) * CLOCK_NS_PER_MS;
        CU_ASSERT_EQUAL(driven_read(&driven, 0), OUTCOME_TIMEOUT);
        TEST_TEXT_EQUAL(driven.error.text, "unit 1 did not answer within 300 ms");
        expect_first();
        if (pair->framing != MBAP) { /* which waited for it, and saw how late it was */
            script(SILENT, GOOD, GOOD);
            CU_ASSERT_EQUAL(driven_read(&driven, 0), OUTCOME_TIMEOUT);
            TEST_CONTAINS(driven.error.text, "an earlier reply came 1");
            TEST_CONTAINS(driven.error.text, "ms after timeout_ms = 300: raise it to 5");
        }
        end();
    }
}

/* A new connection leads to the same wire: who owes a reply there still owes it. */
static void test_late_on_a_new_connection(void)
{
    static const struct pair behind[] = {{RTU, TCP}, {ASCII, TCP}, {RTU, UDP}, {ASCII, UDP}};
    for (size_t i = 0; i < ARRAY_LENGTH(behind); i++) {
        begin(behind[i], SHORT_MS);
        expect_first();
        script(LATE, GOOD, GOOD);
        CU_ASSERT_EQUAL(driven_read(&driven, 0), OUTCOME_TIMEOUT);
        driven.driver->disconnect(driven.line);
        expect_first();
        expect_first();
        end();
    }
}

/* Nor when the connection broke while the unit was about to answer. */
static void test_broken_while_asked(void)
{
    static const struct pair behind[] = {{RTU, TCP}, {ASCII, TCP}};
    for (size_t i = 0; i < ARRAY_LENGTH(behind); i++) {
        begin(behind[i], SHORT_MS);
        expect_first();
        script(CLOSE_LATE, GOOD, GOOD);
        CU_ASSERT_EQUAL(driven_read(&driven, 0), OUTCOME_DISCONNECTED);
        TEST_TEXT_EQUAL(driven.error.text, "the connection broke: closed by the device");
        expect_second(); /* others need not wait */
        expect_first();
        expect_first();
        end();
    }
}

/* An idle connection that was closed is made again unnoticed. */
static void test_closed_while_idle(void)
{
    FOR_EACH_PAIR(pair)
    {
        if (pair->carrier != TCP)
            continue;
        begin(*pair, PATIENT_MS);
        script(GOOD, CLOSE_AFTER, GOOD);
        expect_first();
        usleep(20000); /* let the close arrive; if it does not, the case proves less */
        expect_first();
        CU_ASSERT_EQUAL(atomic_load(&plant.connections), 2);
        end();
    }
}

/* Nothing came on it for three requests: its far end may have forgotten it. */
static void test_dead_connection(void)
{
    static const struct pair pair = {RTU, TCP};
    begin(pair, 100);
    expect_second();
    script(SILENT, SILENT, SILENT);
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(atomic_load(&plant.connections), 1);
        CU_ASSERT_EQUAL(driven_read(&driven, (size_t)(i % 2)), OUTCOME_TIMEOUT);
    }
    expect_second();
    CU_ASSERT_EQUAL(atomic_load(&plant.connections), 2);
    end();
}

static void test_echo(void)
{
    FOR_EACH_PAIR(pair)
    {
        if (pair->framing == MBAP)
            continue;
        begin(*pair, SHORT_MS);
        atomic_store(&plant.echo, true);
        expect_first();
        script(SILENT, GOOD, GOOD);
        CU_ASSERT_EQUAL(driven_read(&driven, 1), OUTCOME_TIMEOUT); /* an echo is no answer */
        expect_first();
        expect_second();
        end();
    }
}

static enum outcome write_register(uint16_t value, struct driver_error *error)
{
    static struct modbus_call call;
    call.request = (struct modbus_request){
        .function = MODBUS_WRITE_REGISTER, .unit = 1, .address = 9, .count = 1, .values = &value};
    return driven.driver->request(driven.line, &call, error);
}

/* The confirmation of a write looks like its echo. */
static void test_write(void)
{
    FOR_EACH_PAIR(pair)
    {
        for (int echo = 0; echo < 2; echo++) {
            if (pair->framing == MBAP && echo)
                continue;
            struct driver_error error = {""};
            begin(*pair, SHORT_MS);
            atomic_store(&plant.echo, echo);
            expect_first();
            CU_ASSERT_EQUAL(write_register(1234, &error), OUTCOME_OK);
            CU_ASSERT_EQUAL(plant.registers[9], 1234);
            script(SILENT, GOOD, GOOD);
            CU_ASSERT_EQUAL(write_register(99, &error), OUTCOME_TIMEOUT);
            expect_second();
            expect_first();
            end();
        }
    }
}

/* Before anything was read nobody knows whether there is an echo: it is never taken for a reply. */
static void test_write_first(void)
{
    struct driver_error error = {""};
    static const struct pair pair = {RTU, SERIAL};
    begin(pair, SHORT_MS);
    atomic_store(&plant.echo, true);
    script(SILENT, GOOD, GOOD);
    CU_ASSERT_EQUAL(write_register(1, &error), OUTCOME_BAD_REPLY);
    TEST_CONTAINS(error.text, "echo");
    CU_ASSERT_EQUAL(write_register(2, &error), OUTCOME_OK); /* came twice: there is one */
    end();
    begin(pair, SHORT_MS);
    CU_ASSERT_EQUAL(write_register(3, &error), OUTCOME_BAD_REPLY);
    expect_first();
    CU_ASSERT_EQUAL(write_register(4, &error), OUTCOME_OK);
    CU_ASSERT_EQUAL(plant.registers[9], 4);
    end();
}

static void test_nobody_listens(void)
{
    static const struct pair pair = {MBAP, UDP};
    begin(pair, SHORT_MS);
    atomic_store(&plant.stop, true);
    pthread_join(plant.thread, NULL);
    descriptor_close(&plant.line);
    struct driver_error error = {""};
    CU_ASSERT_EQUAL(driven.driver->connect(driven.line, &error), 0); /* nothing is sent yet */
    CU_ASSERT_EQUAL(driven_read(&driven, 1), OUTCOME_DISCONNECTED);
    TEST_CONTAINS(driven.error.text, "Connection refused");
    driven_close(&driven);
}

/*
 * A device that never stops sending: each poll ends, long before its timeout because so much came,
 * and is no good one.
 */
static void test_flood(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    FOR_EACH_PAIR(pair)
    {
        begin(*pair, PATIENT_MS);
        expect_first();
        atomic_store(&plant.flood, true);
        int polls = pair->carrier == UDP ? 1 : 4; /* datagrams do not follow to the next socket */
        for (int i = 0; i < polls; i++) {
            CU_ASSERT_EQUAL(driven_read(&driven, 1), OUTCOME_BAD_REPLY);
            TEST_TEXT_EQUAL(driven_values(&driven, 1), "c=bad-reply");
            if (pair->carrier != SERIAL || pair->framing != MBAP) /* a frame may be cut there */
                TEST_CONTAINS(driven.error.text, "never stops sending");
        }
        end();
    }
}

static void test_after_a_flood(void)
{
    FOR_EACH_PAIR(pair)
    {
        begin(*pair, SHORT_MS);
        expect_first();
        atomic_store(&plant.flood, true);
        CU_ASSERT_NOT_EQUAL(driven_read(&driven, 1), OUTCOME_OK);
        atomic_store(&plant.flood, false);
        while (driven_read(&driven, 0) != OUTCOME_OK) /* what was sent before is still coming */
            TEST_CONTAINS(driven_values(&driven, 0), "a=");
        TEST_TEXT_EQUAL(driven_values(&driven, 0), "a=1010 b=1500");
        expect_second();
        end();
    }
}

/* It does not keep its line from stopping, either: the patient poll ends at once. */
static void test_flood_and_stop(void)
{
    static const struct pair pair = {RTU, TCP};
    begin(pair, PATIENT_MS);
    expect_first();
    atomic_store(&plant.flood, true);
    atomic_store(&driven.stop, true);
    CU_ASSERT_EQUAL(driven_read(&driven, 1), OUTCOME_DISCONNECTED);
    atomic_store(&plant.flood, false);
    end();
}

/* ---- a transport of our own: what comes, and when ---- */

static struct scripted {
    struct transport base;
    const uint8_t *bytes; /* come in two halves */
    size_t length;
    bool endless; /* the last byte again and again */
    bool sent;    /* the request */
    unsigned looks;
    atomic_bool stop;
} scripted;

static int scripted_open(struct transport *transport, struct driver_error *error)
{
    (void)transport, (void)error;
    return 0;
}

static void scripted_close(struct transport *transport, bool in_error)
{
    (void)transport, (void)in_error;
}

static int scripted_send(struct transport *transport, const uint8_t *bytes, size_t length)
{
    (void)transport, (void)bytes, (void)length;
    scripted.sent = true;
    return 0;
}

/* Before the request there is silence. After it, something comes whenever time is up. */
static ssize_t scripted_receive(struct transport *transport, uint8_t *bytes, size_t room,
                                int64_t deadline_ns)
{
    (void)transport;
    clock_sleep_until(deadline_ns);
    if (!scripted.sent || scripted.looks++ > 100000 || room == 0 || scripted.length == 0)
        return 0;
    size_t length =
        scripted.looks == 1 && !scripted.endless ? scripted.length / 2 : scripted.length;
    memcpy(bytes, scripted.bytes, length);
    scripted.bytes += scripted.endless ? 0 : length;
    scripted.length -= scripted.endless ? 0 : length;
    return (ssize_t)length;
}

static void scripted_free(struct transport *transport)
{
    (void)transport;
}

static enum outcome scripted_exchange(const uint8_t *bytes, size_t length, bool endless,
                                      struct pdu_reply *ret_reply, struct driver_error *error)
{
    static const struct transport_functions calls = {.open = scripted_open,
                                                     .close = scripted_close,
                                                     .send = scripted_send,
                                                     .receive = scripted_receive,
                                                     .free = scripted_free};
    const struct modbus_request request = modbus_read_request(1, MODBUS_HOLDING, 10, 1);
    memset(&scripted, 0, sizeof(scripted));
    scripted.base = (struct transport){
        .calls = &calls, .stop = &scripted.stop, .is_datagrams = true, .lost = "", .advice = ""};
    struct modbus_line *line = modbus_line_new(framings_all[1], &scripted.base, 20, NULL);
    struct driver_error ignored;
    CU_ASSERT_EQUAL(modbus_line_connect(line, &ignored), 0);
    CU_ASSERT_STRING_EQUAL(framings_all[1]->name, "rtu");
    scripted.bytes = bytes;
    scripted.endless = endless;
    scripted.length = length;
    enum outcome outcome = modbus_line_exchange(line, &request, ret_reply, error);
    modbus_line_free(line);
    return outcome;
}

/* However much is there when time is up: one look, and the poll ends. */
static void test_deadline_comes_first(void)
{
    static const uint8_t noise[] = {0x55};
    struct pdu_reply reply;
    struct driver_error error = {""};
    CU_ASSERT_EQUAL(scripted_exchange(noise, 1, true, &reply, &error), OUTCOME_BAD_REPLY);
    CU_ASSERT_TRUE(scripted.looks <= 3);
    TEST_CONTAINS(error.text, "within 20 ms, but no reply");
}

/* What had come when time was up counts, though we were kept from looking. */
static void test_reply_at_the_deadline(void)
{
    static uint8_t frame[] = {1, 3, 2, 4, 210, 0, 0}; /* 1234 */
    unsigned crc = crc_of(frame, 5);
    frame[5] = (uint8_t)crc;
    frame[6] = (uint8_t)(crc >> 8);
    struct pdu_reply reply;
    struct driver_error error = {""};
    CU_ASSERT_EQUAL(scripted_exchange(frame, sizeof(frame), false, &reply, &error), OUTCOME_OK);
    CU_ASSERT_EQUAL(pdu_get_u16(reply.data), 1234);
    CU_ASSERT_EQUAL(scripted.looks, 2);
}

static const char *check_seven_bits(const char *framing)
{
    char text[512];
    (void)snprintf(text, sizeof(text),
                   "buses: ( { name = \"b\"; driver = \"modbus_rtu\"; device = \"/dev/x\"; "
                   "data_bits = 7; framing = \"%s\"; } ); devices: ();\n",
                   framing);
    return driven_check(text);
}

static void test_findings(void)
{
    for (int i = 0; framing_names[i]; i++) {
        const char *said = check_seven_bits(framing_names[i]);
        CU_ASSERT_EQUAL(strstr(said, "needs 8") == NULL, framings_all[i]->is_text);
    }
    TEST_CONTAINS(check_seven_bits("morse"), "\"tcp\", \"rtu\"");
}

TEST_MAIN("modbus_line", {"values arrive", test_good},
          {"a reply in pieces is put together", test_pieces},
          {"noise before a reply does no lasting harm", test_noise},
          {"silence ends the poll and no other", test_silence},
          {"a late reply is never taken for another", test_late},
          {"a late reply is taken while nobody else wants the line", test_late_but_taken},
          {"a late reply costs no other poll its turn", test_late_and_not_waited_for},
          {"not on a new connection either", test_late_on_a_new_connection},
          {"nor after the connection broke meanwhile", test_broken_while_asked},
          {"a connection closed while idle is dialled again unnoticed", test_closed_while_idle},
          {"a connection on which nothing comes is dialled again", test_dead_connection},
          {"an echo is removed", test_echo},
          {"a write is confirmed, with an echo and without", test_write},
          {"an echo never confirms a write", test_write_first},
          {"datagrams that nobody takes are noticed", test_nobody_listens},
          {"a device that never stops sending is cut off", test_flood},
          {"a line is well again once such a device is quiet", test_after_a_flood},
          {"a device that never stops sending does not keep its line from stopping",
           test_flood_and_stop},
          {"the deadline comes first, whatever has come", test_deadline_comes_first},
          {"a reply that came by the deadline counts", test_reply_at_the_deadline},
          {"seven data bits are enough for text alone", test_findings})
