/*
 * The TCP driver against a server that misbehaves on purpose. Each case scripts what the server
 * does with the next requests and looks at what the reader gets: the fault, and then, always, the
 * right values again.
 */
#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "drivers/modbus/modbus_request.h"
#include "tests/support/driven.h"
#include "tests/support/test.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME_MAX 260
#define REQUEST_BYTES 12 /* of a read */

enum step {
    GOOD,
    SILENT,
    LATE, /* comes only with the next request on the same connection, before its reply */
    WRONG_TRANSACTION,
    WRONG_UNIT,
    WRONG_FUNCTION,
    WRONG_LENGTH,
    EXCEPTION,
    SHORT,
    SPLIT,
    NOISE_BEFORE,
    NOISE_AFTER,
    NOISE_INSTEAD,
    TWICE,
    TORN, /* the reply, and the beginning of another; its rest comes with the next request */
    CLOSE,
    RESET,
    CLOSE_AFTER,
};

struct server {
    pthread_t thread;
    int listener, port, family;
    atomic_bool stop;
    atomic_int connections, requests;
    atomic_int script[4]; /* enum step; set before a read, used up by the thread */
    atomic_int at, length;
    uint8_t late[FRAME_MAX];
    size_t late_length;
};

static struct server server;
static struct driven driven;

/* Register A of unit U holds A + 1000 * U. */
static size_t answer(const uint8_t *request, uint8_t *reply)
{
    unsigned address = (unsigned)(request[8] << 8 | request[9]);
    unsigned count = (unsigned)(request[10] << 8 | request[11]);
    memcpy(reply, request, 8);
    reply[4] = 0;
    reply[5] = (uint8_t)(3 + 2 * count);
    reply[8] = (uint8_t)(2 * count);
    for (unsigned i = 0; i < count; i++) {
        unsigned value = address + i + 1000U * request[6];
        reply[9 + 2 * i] = (uint8_t)(value >> 8);
        reply[10 + 2 * i] = (uint8_t)value;
    }
    return 9 + 2 * count;
}

static void put(int peer, const uint8_t *bytes, size_t length)
{
    (void)!send(peer, bytes, length, MSG_NOSIGNAL);
}

static void reset(int peer)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    CU_ASSERT_EQUAL(setsockopt(peer, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
}

/* Returns whether the connection stays open. */
static bool play(int peer, enum step step, const uint8_t *request)
{
    static const uint8_t noise[] = {0xDE, 0xAD, 0xBE, 0xEF, 0x01, 0x02, 0x03, 0x04, 0x05};
    uint8_t reply[FRAME_MAX + 5], refusal[9];
    size_t length = answer(request, reply);
    put(peer, server.late, server.late_length);
    server.late_length = 0;
    switch (step) {
    case GOOD:
        put(peer, reply, length);
        return true;
    case SILENT:
        return true;
    case LATE:
        memcpy(server.late, reply, length);
        server.late_length = length;
        return true;
    case WRONG_TRANSACTION:
        reply[1] ^= 0x40;
        put(peer, reply, length);
        return true;
    case WRONG_UNIT:
        reply[6] ^= 0x02;
        put(peer, reply, length);
        return true;
    case WRONG_FUNCTION:
        reply[7] = 6;
        put(peer, reply, length);
        return true;
    case WRONG_LENGTH:
        reply[5] -= 2;
        reply[8] -= 2;
        put(peer, reply, length - 2);
        return true;
    case EXCEPTION:
        memcpy(refusal, reply, 8);
        refusal[5] = 3;
        refusal[7] |= 0x80;
        refusal[8] = 4;
        put(peer, refusal, 9);
        return true;
    case SHORT:
        put(peer, reply, length - 3);
        return true;
    case SPLIT:
        for (size_t i = 0; i < length; i++) {
            put(peer, reply + i, 1);
            sched_yield();
        }
        return true;
    case NOISE_BEFORE:
        put(peer, noise, sizeof(noise));
        put(peer, reply, length);
        return true;
    case NOISE_AFTER:
        put(peer, reply, length);
        put(peer, noise, sizeof(noise));
        return true;
    case NOISE_INSTEAD:
        put(peer, noise, sizeof(noise));
        return true;
    case TWICE:
        put(peer, reply, length);
        put(peer, reply, length);
        return true;
    case TORN: /* at once, so that both are there when the next request is made */
        memcpy(reply + length, reply, 5);
        put(peer, reply, length + 5);
        memcpy(server.late, reply + 5, length - 5);
        server.late_length = length - 5;
        return true;
    case CLOSE:
        return false;
    case RESET:
        reset(peer);
        return false;
    case CLOSE_AFTER:
        put(peer, reply, length);
        return false;
    }
    return false;
}

static bool wait_readable(int file)
{
    while (!atomic_load(&server.stop)) {
        struct pollfd wait = {.fd = file, .events = POLLIN};
        if (poll(&wait, 1, 20) > 0)
            return true;
    }
    return false;
}

static void serve(int peer)
{
    for (;;) {
        uint8_t request[REQUEST_BYTES];
        if (!wait_readable(peer) || recv(peer, request, sizeof(request), MSG_WAITALL) != 12)
            return;
        atomic_fetch_add(&server.requests, 1);
        enum step step = GOOD;
        if (atomic_load(&server.at) < atomic_load(&server.length))
            step = (enum step)atomic_load(&server.script[atomic_fetch_add(&server.at, 1)]);
        if (!play(peer, step, request))
            return;
    }
}

static void *run(void *nothing)
{
    (void)nothing;
    while (wait_readable(server.listener)) {
        CLEANUP(descriptor_close) int peer = accept(server.listener, NULL, NULL);
        atomic_fetch_add(&server.connections, 1);
        server.late_length = 0;
        serve(peer);
    }
    return NULL;
}

static void listen_on(int family)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in four = {.sin_family = AF_INET,
                               .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    memset(&server, 0, sizeof(server));
    server.family = family;
    server.listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr *address =
        family == AF_INET ? (struct sockaddr *)&four : (struct sockaddr *)&six;
    socklen_t size = family == AF_INET ? sizeof(four) : sizeof(six);
    CU_ASSERT_EQUAL_FATAL(bind(server.listener, address, size), 0);
    union {
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } name;
    size = sizeof(name);
    CU_ASSERT_EQUAL_FATAL(getsockname(server.listener, (struct sockaddr *)&name, &size), 0);
    server.port = ntohs(family == AF_INET ? name.four.sin_port : name.six.sin6_port);
}

static void server_start(int family)
{
    listen_on(family);
    CU_ASSERT_EQUAL_FATAL(listen(server.listener, 4), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&server.thread, NULL, run, NULL), 0);
}

static void server_stop(void)
{
    atomic_store(&server.stop, true);
    pthread_join(server.thread, NULL);
    descriptor_close(&server.listener);
}

/* Two units; the first is read with two requests of equal length. */
static void open_reader(const char *host, int timeout_ms)
{
    char text[1024];
    (void)snprintf(text, sizeof(text),
                   "buses: ( { name = \"b\"; driver = \"modbus_tcp\"; host = \"%s\"; port = %d; "
                   "timeout_ms = %d; } );\n"
                   "devices: ( { name = \"d\"; bus = \"b\"; unit = 1; tags = (\n"
                   "  { name = \"a\"; address = 10; }, { name = \"b\"; address = 500; } ); },\n"
                   "  { name = \"e\"; bus = \"b\"; unit = 2; tags = (\n"
                   "  { name = \"c\"; address = 10; type = \"int32\"; } ); } );\n",
                   host, server.port, timeout_ms);
    driven_open(&driven, text);
}

static void begin(int timeout_ms)
{
    server_start(AF_INET);
    open_reader("127.0.0.1", timeout_ms);
}

static void end(void)
{
    driven_close(&driven);
    server_stop();
}

static void script(enum step first, enum step second)
{
    atomic_store(&server.length, 0);
    atomic_store(&server.script[0], first);
    atomic_store(&server.script[1], second);
    atomic_store(&server.at, 0);
    atomic_store(&server.length, 2);
}

static void expect_good(void)
{
    CU_ASSERT_EQUAL(driven_read(&driven, 0), OUTCOME_OK);
    TEST_TEXT_EQUAL(driven_values(&driven, 0), "a=1010 b=1500");
    CU_ASSERT_EQUAL(driven_read(&driven, 1), OUTCOME_OK);
    TEST_TEXT_EQUAL(driven_values(&driven, 1), "c=131729371"); /* 2010 and 2011 */
}

static void test_good(void)
{
    begin(5000);
    for (int i = 0; i < 50; i++)
        expect_good();
    CU_ASSERT_EQUAL(atomic_load(&server.connections), 1);
    CU_ASSERT_EQUAL(atomic_load(&server.requests), 150);
    end();
}

/* The first request of a poll meets FAULT: what the reader gets. Afterwards all is well. */
static void expect(int timeout_ms, enum step fault, enum outcome outcome, const char *values,
                   const char *error)
{
    begin(timeout_ms);
    expect_good();
    script(fault, GOOD);
    CU_ASSERT_EQUAL(driven_read(&driven, 0), outcome);
    TEST_TEXT_EQUAL(driven_values(&driven, 0), values);
    TEST_CONTAINS(driven.error.text, error);
    expect_good();
    expect_good();
    end();
}

static void test_faults_that_cost_nothing(void)
{
    static const enum step steps[] = {SPLIT, TWICE, NOISE_BEFORE, NOISE_AFTER, NOISE_INSTEAD, GOOD};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        expect(5000, steps[i], OUTCOME_OK, "a=1010 b=1500", "");
    expect(5000, EXCEPTION, OUTCOME_OK, "a=exception-4 b=1500", "");
}

static void test_wrong_answers(void)
{
    expect(5000, WRONG_UNIT, OUTCOME_BAD_REPLY, "a=bad-reply b=1500", "another unit");
    expect(5000, WRONG_FUNCTION, OUTCOME_BAD_REPLY, "a=bad-reply b=1500", "another function");
    expect(5000, WRONG_LENGTH, OUTCOME_BAD_REPLY, "a=bad-reply b=1500", "not as long");
}

static void test_silence(void)
{
    expect(700, SILENT, OUTCOME_TIMEOUT, "a=timeout b=timeout", "unit 1 did not answer within 700");
    expect(700, LATE, OUTCOME_TIMEOUT, "a=timeout b=timeout", "did not answer");
    expect(700, SHORT, OUTCOME_BAD_REPLY, "a=bad-reply b=1500", "broke off");
    expect(700, WRONG_TRANSACTION, OUTCOME_BAD_REPLY, "a=bad-reply b=1500", "other requests");
}

static void test_broken(void)
{
    expect(5000, CLOSE, OUTCOME_DISCONNECTED, "a=disconnected b=disconnected",
           "closed by the device");
    expect(5000, RESET, OUTCOME_DISCONNECTED, "a=disconnected b=disconnected", "reset by peer");
}

/* A server that is something else altogether. */
static void test_not_modbus(void)
{
    begin(5000);
    script(NOISE_INSTEAD, NOISE_INSTEAD);
    CU_ASSERT_EQUAL(driven_read(&driven, 1), OUTCOME_BAD_REPLY);
    TEST_TEXT_EQUAL(driven_values(&driven, 1), "c=bad-reply");
    TEST_CONTAINS(driven.error.text, "not Modbus");
    expect_good();
    end();
}

/* A duplicate of an older reply is passed over without a new connection. */
static void test_one_connection(void)
{
    begin(5000);
    script(TWICE, TWICE);
    expect_good();
    expect_good();
    CU_ASSERT_EQUAL(atomic_load(&server.connections), 1);
    end();
}

/* Servers close idle connections; the next request must not fail for it. */
static void test_closed_while_idle(void)
{
    begin(5000);
    script(GOOD, CLOSE_AFTER);
    CU_ASSERT_EQUAL(driven_read(&driven, 0), OUTCOME_OK);
    while (atomic_load(&server.connections) < 1)
        usleep(1000);
    usleep(20000); /* let the close arrive; if it does not, the case proves less */
    CU_ASSERT_EQUAL(driven_read(&driven, 0), OUTCOME_OK);
    TEST_TEXT_EQUAL(driven_values(&driven, 0), "a=1010 b=1500");
    CU_ASSERT_EQUAL(atomic_load(&server.connections), 2);
    end();
}

static void test_hosts(void)
{
    server_start(AF_INET);
    open_reader("localhost", 5000); /* ::1 may come first, and is refused */
    expect_good();
    end();
    server_start(AF_INET6);
    open_reader("::1", 5000);
    expect_good();
    end();
}

static void test_refused(void)
{
    listen_on(AF_INET); /* bound, and nobody listens */
    open_reader("127.0.0.1", 5000);
    struct driver_error error = {""};
    CU_ASSERT_TRUE(driven.driver->connect(driven.line, &error) < 0);
    TEST_CONTAINS(error.text, "cannot connect to 127.0.0.1 port ");
    TEST_CONTAINS(error.text, "Connection refused");
    CU_ASSERT_EQUAL(driven_read(&driven, 1), OUTCOME_DISCONNECTED);
    TEST_TEXT_EQUAL(driven_values(&driven, 1), "c=disconnected");
    driven_close(&driven);
    descriptor_close(&server.listener);
}

static void test_unknown_host(void)
{
    listen_on(AF_INET);
    open_reader("no-such-host.invalid", 5000);
    struct driver_error error = {""};
    CU_ASSERT_TRUE(driven.driver->connect(driven.line, &error) < 0);
    TEST_CONTAINS(error.text, "cannot look up no-such-host.invalid");
    driven_close(&driven);
    descriptor_close(&server.listener);
}

/* A full queue of connections swallows further ones, like a host that is switched off. */
static void test_black_hole(void)
{
    listen_on(AF_INET);
    CU_ASSERT_EQUAL_FATAL(listen(server.listener, 0), 0);
    int fillers[4];
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)server.port),
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    for (size_t i = 0; i < 4; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fillers[i], (struct sockaddr *)&address, sizeof(address));
    }
    open_reader("127.0.0.1", 200);
    struct driver_error error = {""};
    CU_ASSERT_TRUE(driven.driver->connect(driven.line, &error) < 0);
    TEST_CONTAINS(error.text, "timed out; is it switched on and reachable?");
    driven_close(&driven);
    for (size_t i = 0; i < 4; i++)
        close(fillers[i]);
    descriptor_close(&server.listener);
}

static void *raise_stop(void *nothing)
{
    while (atomic_load(&server.requests) == 0)
        usleep(1000);
    atomic_store(&driven.stop, true);
    return nothing;
}

/* A line that is stopped does not wait for the end of a long timeout. */
static void test_stop(void)
{
    begin(60000);
    script(SILENT, SILENT);
    pthread_t thread;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, raise_stop, NULL), 0);
    CU_ASSERT_EQUAL(driven_read(&driven, 0),
                    OUTCOME_DISCONNECTED); /* in 60 s it would be a timeout */
    pthread_join(thread, NULL);
    end();
}

static size_t count_descriptors(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder && readdir(folder))
        count++;
    if (folder)
        closedir(folder);
    return count;
}

static void test_no_leaks(void)
{
    begin(5000);
    expect_good();
    size_t before = count_descriptors();
    for (int i = 0; i < 20; i++) {
        script(i % 2 ? RESET : NOISE_INSTEAD, GOOD);
        (void)driven_read(&driven, 0);
        expect_good();
    }
    driven.driver->disconnect(driven.line);
    driven.driver->disconnect(driven.line);
    struct driver_error error;
    CU_ASSERT_EQUAL(driven.driver->connect(driven.line, &error), 0);
    CU_ASSERT_EQUAL(driven.driver->connect(driven.line, &error), 0);
    expect_good();
    CU_ASSERT_EQUAL(count_descriptors(), before);
    end();
}

/* select() would end the process here. */
static void test_many_descriptors(void)
{
    struct rlimit limit = {.rlim_cur = 4096, .rlim_max = 4096}, old;
    CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_NOFILE, &old), 0);
    limit.rlim_max = old.rlim_max;
    if (limit.rlim_max < 4096 || setrlimit(RLIMIT_NOFILE, &limit) < 0)
        return; /* not on this system */
    int files[1100];
    for (size_t i = 0; i < 1100; i++)
        files[i] = dup(0);
    CU_ASSERT_TRUE(files[1099] > 1024);
    begin(5000);
    expect_good();
    end();
    for (size_t i = 0; i < 1100; i++)
        close(files[i]);
    (void)setrlimit(RLIMIT_NOFILE, &old);
}

static void test_request(void)
{
    begin(5000);
    static struct modbus_call call;
    struct driver_error error = {""};
    call.request = modbus_read_request(3, MODBUS_INPUT, 40, 125);
    CU_ASSERT_PTR_EQUAL(driven.driver->service, &modbus_service);
    CU_ASSERT_EQUAL(driven.driver->request(driven.line, &call, &error), OUTCOME_OK);
    CU_ASSERT_EQUAL(call.reply.exception, 0);
    CU_ASSERT_EQUAL(call.reply.values[0], 3040);
    CU_ASSERT_EQUAL(call.reply.values[124], 3164);
    end();
}

/* What does not end when the request goes out would spoil its reply: it gets a new connection. */
static void test_out_of_step(void)
{
    begin(5000);
    static struct modbus_call call;
    struct driver_error error = {""};
    script(TORN, GOOD);
    CU_ASSERT_EQUAL(driven_read(&driven, 1), OUTCOME_OK);
    call.request = modbus_read_request(3, MODBUS_INPUT, 40, 1);
    call.request.may_repeat = false;
    CU_ASSERT_EQUAL(driven.driver->request(driven.line, &call, &error), OUTCOME_OK);
    CU_ASSERT_EQUAL(call.reply.values[0], 3040);
    CU_ASSERT_EQUAL(atomic_load(&server.connections), 2);
    end();
}

/* A stream that is out of step costs one more attempt, but not of what may be done only once. */
static void test_repeats_only_what_may_be_repeated(void)
{
    for (int may_repeat = 0; may_repeat < 2; may_repeat++) {
        begin(5000);
        static struct modbus_call call;
        struct driver_error error = {""};
        call.request = modbus_read_request(3, MODBUS_INPUT, 40, 1);
        call.request.may_repeat = may_repeat;
        script(NOISE_INSTEAD, GOOD);
        CU_ASSERT_EQUAL(driven.driver->request(driven.line, &call, &error),
                        may_repeat ? OUTCOME_OK : OUTCOME_BAD_REPLY);
        CU_ASSERT_EQUAL(atomic_load(&server.requests), 1 + may_repeat);
        end();
    }
}

TEST_MAIN("modbus_tcp", {"values arrive over one connection", test_good},
          {"a split or repeated reply, noise around it, or a refusal cost nothing more",
           test_faults_that_cost_nothing},
          {"a wrong answer is not accepted and costs its request", test_wrong_answers},
          {"silence ends the poll; a late reply is never taken for another", test_silence},
          {"a server that does not speak Modbus is told", test_not_modbus},
          {"a broken connection is told, and dialled again", test_broken},
          {"a repeated reply does not cost the connection", test_one_connection},
          {"a connection closed while idle is dialled again unnoticed", test_closed_while_idle},
          {"names and both kinds of address work", test_hosts},
          {"a refused connection is told with what to do", test_refused},
          {"an unknown host is told", test_unknown_host},
          {"a black hole is given up in time", test_black_hole},
          {"a stopped line does not wait", test_stop},
          {"reconnecting leaks nothing", test_no_leaks},
          {"a thousand open descriptors do no harm", test_many_descriptors},
          {"single requests are answered", test_request},
          {"a stream out of step is left before it does harm", test_out_of_step},
          {"only what may be repeated is", test_repeats_only_what_may_be_repeated})
