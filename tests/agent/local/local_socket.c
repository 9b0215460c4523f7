/* The agent's local socket, as a client sees it. */
#include "agent/local/local_socket.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "drivers/modbus/modbus_request.h"
#include "tests/support/test.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct fixture {
    sd_event *loop;
    struct local_socket *local;
    const char *path;
};

static struct {
    line_request_done done;
    void *context;
    struct modbus_call *call;
} asked;

static void fake_status(void *context, struct json_text *json)
{
    (void)context;
    json_text_open_object(json, NULL);
    json_text_string(json, "state", "online");
    json_text_close_object(json);
}

static int fake_values(void *context, const char *device, struct json_text *json)
{
    (void)context;
    json_text_open_object(json, NULL); /* taken back when there is no such device */
    if (device && strcmp(device, "boiler") != 0)
        return -ENOENT;
    json_text_string(json, "device", device ? device : "*");
    json_text_close_object(json);
    return 0;
}

static int fake_read(void *context, const char *bus, const struct driver_request *request,
                     line_request_done done, void *done_context)
{
    (void)context;
    if (strcmp(bus, "busy") == 0)
        return -EBUSY;
    if (strcmp(bus, "plc1") != 0)
        return -ENOENT;
    CU_ASSERT_PTR_EQUAL(request->service, &modbus_service);
    CU_ASSERT_TRUE(request->may_repeat);
    asked.call = request->body;
    asked.done = done;
    asked.context = done_context;
    return 0;
}

static struct fixture begin(void)
{
    const struct local_socket_callbacks callbacks = {
        .status = fake_status, .values = fake_values, .read = fake_read};
    struct fixture fixture = {.path = test_path("agent.sock")};
    CU_ASSERT_FATAL(sd_event_new(&fixture.loop) >= 0);
    CU_ASSERT_EQUAL_FATAL(local_socket_new(fixture.path, &callbacks, fixture.loop, &fixture.local),
                          0);
    return fixture;
}

static void end(struct fixture *fixture)
{
    fixture->local = local_socket_free(fixture->local);
    sd_event_unref(fixture->loop);
}

static int dial(const struct fixture *fixture)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, fixture->path);
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
    return client;
}

static void say(int client, const char *text)
{
    CU_ASSERT_EQUAL(send(client, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Runs the loop until the client has a whole line, or 10 s; "" when the connection ended. */
static const char *hear(const struct fixture *fixture, int client)
{
    static char line[8192];
    size_t used = 0;
    int64_t deadline_ns = clock_mono_ns() + 10 * CLOCK_NS_PER_S;
    while (clock_mono_ns() < deadline_ns) {
        CU_ASSERT_FATAL(sd_event_run(fixture->loop, 10000) >= 0);
        ssize_t got = recv(client, line + used, 1, MSG_DONTWAIT);
        for (; got == 1; got = recv(client, line + used, 1, MSG_DONTWAIT)) {
            if (line[used++] == '\n') {
                line[used - 1] = '\0';
                return line;
            }
        }
        if (got == 0 || (got < 0 && errno != EAGAIN))
            return "";
    }
    return "(timed out)";
}

static void test_answers(void)
{
    struct fixture fixture = begin();
    struct stat about;
    CU_ASSERT_EQUAL(stat(fixture.path, &about), 0);
    CU_ASSERT_EQUAL(about.st_mode & 0777, 0660);
    CLEANUP(descriptor_close) int client = dial(&fixture);
    say(client, "{\"command\":\"status\"}\n{\"command\":\"values\",\"device\":\"boiler\"}\n");
    TEST_TEXT_EQUAL(hear(&fixture, client),
                    "{\"result\":\"ok\",\"status\":{\"state\":\"online\"}}");
    TEST_TEXT_EQUAL(hear(&fixture, client),
                    "{\"result\":\"ok\",\"values\":[{\"device\":\"boiler\"}]}");
    say(client, "{\"command\":\"values\",\"device\":\"none\"}\n");
    TEST_CONTAINS(hear(&fixture, client), "no such device");
    say(client, "{\"command\":\"values\"}\n");
    TEST_CONTAINS(hear(&fixture, client), "\"*\"");
    end(&fixture);
}

static void test_garbage(void)
{
    static const char *const lines[] = {"\n",
                                        "{}\n",
                                        "[]\n",
                                        "{\"command\":7}\n",
                                        "\xff\xfe\n",
                                        "null\n",
                                        "{\"command\":\"open\"}\n"};
    struct fixture fixture = begin();
    CLEANUP(descriptor_close) int client = dial(&fixture);
    for (size_t i = 0; i < ARRAY_LENGTH(lines); i++) {
        say(client, lines[i]);
        TEST_CONTAINS(hear(&fixture, client), "\"failed\"");
    }
    CLEANUP(descriptor_close) int endless = dial(&fixture);
    char flood[LOCAL_SOCKET_REQUEST_MAX];
    memset(flood, '[', sizeof(flood));
    CU_ASSERT_EQUAL(send(endless, flood, sizeof(flood), 0), (ssize_t)sizeof(flood));
    TEST_TEXT_EQUAL(hear(&fixture, endless), ""); /* hung up on */
    say(client, "{\"command\":\"status\"}\n");    /* and nobody else minds */
    TEST_CONTAINS(hear(&fixture, client), "online");
    end(&fixture);
}

#define READ(rest) "{\"command\":\"read\",\"bus\":\"plc1\"," rest "}\n"

static void *answer_from_thread(void *unused)
{
    (void)unused;
    asked.call->reply.values[0] = 17;
    asked.call->reply.values[1] = 4;
    asked.done(asked.context, OUTCOME_OK, NULL);
    return NULL;
}

static void test_read(void)
{
    struct fixture fixture = begin();
    CLEANUP(descriptor_close) int client = dial(&fixture);
    say(client, READ("\"unit\":1,\"table\":\"holding\",\"address\":65534,\"count\":2"));
    asked.done = NULL;
    while (!asked.done)
        CU_ASSERT_FATAL(sd_event_run(fixture.loop, 10000000) > 0);
    CU_ASSERT_EQUAL(asked.call->request.address, 65534);
    CU_ASSERT_EQUAL(asked.call->request.function, MODBUS_READ_HOLDING);
    pthread_t worker;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&worker, NULL, answer_from_thread, NULL), 0);
    TEST_TEXT_EQUAL(hear(&fixture, client), "{\"result\":\"ok\",\"values\":[17,4]}");
    pthread_join(worker, NULL);
    end(&fixture);
}

static void test_read_refused(void)
{
    static const char *const lines[][2] = {
        {READ("\"unit\":1,\"table\":\"holding\",\"address\":65535,\"count\":2"), "count"},
        {READ("\"unit\":1,\"table\":\"holding\",\"address\":0,\"count\":126"), "count"},
        {READ("\"unit\":1,\"table\":\"coil\",\"address\":0,\"count\":2001"), "count"},
        {READ("\"unit\":256,\"table\":\"coil\",\"address\":0,\"count\":1"), "unit"},
        {READ("\"unit\":1,\"table\":\"tape\",\"address\":0,\"count\":1"), "table"},
        {READ("\"unit\":1,\"table\":\"coil\",\"address\":-1,\"count\":1"), "address"},
        {"{\"command\":\"read\",\"bus\":\"busy\",\"unit\":1,\"table\":\"coil\",\"address\":0,"
         "\"count\":1}\n",
         "\"busy\":true,\"reason\":\"another request"},
        {"{\"command\":\"read\",\"bus\":\"gone\",\"unit\":1,\"table\":\"coil\",\"address\":0,"
         "\"count\":1}\n",
         "absent"},
    };
    struct fixture fixture = begin();
    CLEANUP(descriptor_close) int client = dial(&fixture);
    for (size_t i = 0; i < ARRAY_LENGTH(lines); i++) {
        say(client, lines[i][0]);
        TEST_CONTAINS(hear(&fixture, client), lines[i][1]);
    }
    end(&fixture);
}

static void test_client_leaves(void)
{
    struct fixture fixture = begin();
    int client = dial(&fixture);
    say(client, READ("\"unit\":1,\"table\":\"holding\",\"address\":0,\"count\":2"));
    asked.done = NULL;
    while (!asked.done)
        CU_ASSERT_FATAL(sd_event_run(fixture.loop, 10000000) > 0);
    close(client);
    CU_ASSERT_FATAL(sd_event_run(fixture.loop, 10000000) > 0); /* the hang-up is noticed */
    (void)answer_from_thread(NULL);                            /* nobody waits for it any more */
    CU_ASSERT_FATAL(sd_event_run(fixture.loop, 10000000) > 0);
    CLEANUP(descriptor_close) int next = dial(&fixture);
    say(next, "{\"command\":\"status\"}\n");
    TEST_CONTAINS(hear(&fixture, next), "online");
    end(&fixture);
}

/* Twenty clients that never say a word, and one that is in the middle of a talk. */
static void test_silent_clients(void)
{
    struct fixture fixture = begin();
    CLEANUP(descriptor_close) int talker = dial(&fixture);
    int silent[20];
    for (size_t i = 0; i < ARRAY_LENGTH(silent); i++) {
        silent[i] = dial(&fixture);
        say(talker, "{\"command\":\"status\"}\n");
        TEST_CONTAINS(hear(&fixture, talker), "online");
    }
    CLEANUP(descriptor_close) int late = dial(&fixture);
    say(late, "{\"command\":\"status\"}\n");
    TEST_CONTAINS(hear(&fixture, late), "online");
    for (size_t i = 0; i < ARRAY_LENGTH(silent); i++)
        close(silent[i]);
    end(&fixture);
}

static void test_taken(void)
{
    struct fixture fixture = begin();
    struct local_socket *second = NULL;
    const struct local_socket_callbacks callbacks = {.status = fake_status};
    CU_ASSERT_EQUAL(local_socket_new(fixture.path, &callbacks, fixture.loop, &second), -EADDRINUSE);
    int client = dial(&fixture); /* the first still has its socket */
    descriptor_close(&client);
    end(&fixture);
    CU_ASSERT_EQUAL(access(test_path("agent.sock"), F_OK), -1);
    /* left by a process that was killed: replaced */
    CLEANUP(descriptor_close) int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, test_path("agent.sock"));
    CU_ASSERT_EQUAL(bind(dead, (struct sockaddr *)&address, sizeof(address)), 0);
    fixture = begin();
    end(&fixture);
}

TEST_MAIN("local_socket", {"status and values are answered in order", test_answers},
          {"garbage is refused or hung up on, and harms nobody else", test_garbage},
          {"a read is answered when the line has answered", test_read},
          {"a read that cannot be is refused with the reason", test_read_refused},
          {"a client that leaves in the middle of a read leaves nothing behind",
           test_client_leaves},
          {"silent clients keep nobody out", test_silent_clients},
          {"a socket in use is not taken over, a dead one is", test_taken})
