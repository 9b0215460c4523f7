/* `sallyport watch` against an agent that says what a test wants. */
#include "agent/cli/cli.h"
#include "tests/support/test.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "agent/local/local_socket.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

extern const struct cli_command command_watch;

/* The frame is not linked. */
int cli_fail(int code, const char *name, const char *format, ...)
{
    (void)name, (void)format;
    return code;
}

int cli_usage(const struct cli_context *context)
{
    (void)context;
    return CLI_USAGE;
}

/* An agent that gives ANSWER to the first request of one client. */
struct fake_agent {
    int listener;
    const char *answer;
    pthread_t thread;
};

static void *serve(void *context)
{
    const struct fake_agent *agent = context;
    char request[256];
    CLEANUP(descriptor_close) int client = accept(agent->listener, NULL, NULL);
    CU_ASSERT(recv(client, request, sizeof(request), 0) > 0);
    CU_ASSERT(send(client, agent->answer, strlen(agent->answer), MSG_NOSIGNAL) > 0);
    return NULL;
}

static void begin(struct fake_agent *agent, const char *answer)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", test_path(LOCAL_SOCKET_NAME));
    (void)unlink(address.sun_path);
    agent->answer = answer;
    agent->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(bind(agent->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    CU_ASSERT_EQUAL_FATAL(listen(agent->listener, 1), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&agent->thread, NULL, serve, agent), 0);
}

/* What one update of `watch` prints when the agent gives ANSWER; its exit code in *RET_CODE. */
static const char *watch(const char *answer, bool json, int *ret_code)
{
    static struct strbuf said; /* valid until the next call */
    struct fake_agent agent;
    CLEANUP(memory_free_pointer)
    char *text = memory_printf("gateway: { id = \"g\"; site = \"s\"; runtime_dir = \"%s\"; };\n"
                               "uplink: { servers = [ \"mqtts://b\" ]; ca = \"system\"; };\n"
                               "buses: ( { name = \"p\"; driver = \"sim\"; } );\n"
                               "devices: ( { name = \"d\"; bus = \"p\"; } );\n",
                               test_folder());
    const struct cli_context context = {.agent_file = test_file("c.conf", text), .json = json};
    char words[][8] = {"watch", "--count", "1"};
    char *argv[] = {words[0], words[1], words[2], NULL};
    begin(&agent, answer);
    (void)fflush(stdout);
    int screen = dup(STDOUT_FILENO);
    int file = open(test_path("out"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    dup2(file, STDOUT_FILENO);
    *ret_code = command_watch.run(&context, 3, argv);
    (void)fflush(stdout);
    dup2(screen, STDOUT_FILENO);
    close(file);
    close(screen);
    pthread_join(agent.thread, NULL);
    close(agent.listener);
    strbuf_free(&said);
    CU_ASSERT_EQUAL(file_read(test_path("out"), 1 << 20, &said), 0);
    return strbuf_text(&said);
}

#define ANSWER(value)                                                                              \
    "{\"result\":\"ok\",\"values\":[{\"device\":\"boiler\",\"tags\":[{\"tag\":\"total\","          \
    "\"timestamp\":1795343987123,\"value\":\"" value "\",\"unit\":\"h\"},{\"tag\":\"alarm\","      \
    "\"timestamp\":1795343987124,\"error\":\"timeout\"}]}]}\n"

static void test_digits(void)
{
    int code;
    TEST_CONTAINS(watch(ANSWER("18446744073709551615"), false, &code), " 18446744073709551615 h ");
    CU_ASSERT_EQUAL(code, CLI_DONE);
    TEST_CONTAINS(watch(ANSWER("0.1"), false, &code), " 0.1 h ");
}

static void test_json(void)
{
    int code;
    TEST_TEXT_EQUAL(watch(ANSWER("18446744073709551615"), true, &code),
                    "[{\"device\":\"boiler\",\"tags\":[{\"tag\":\"total\",\"timestamp\":"
                    "1795343987123,\"value\":18446744073709551615,\"unit\":\"h\"},{\"tag\":"
                    "\"alarm\",\"timestamp\":1795343987124,\"error\":\"timeout\"}]}]\n");
    CU_ASSERT_EQUAL(code, CLI_DONE);
}

/* U+009B begins a terminal's commands as ESC [ does. */
static void test_hostile_text(void)
{
    int code;
    const char *table = watch(ANSWER("\\\"\xc2\x9b"
                                     "2J\\u001b]0;x\\u007f\\\""),
                              false, &code);
    TEST_CONTAINS(table, "\"\\u009b2J\\x1b]0;x\\x7f\"");
    CU_ASSERT_PTR_NULL(strstr(table, "\xc2\x9b"));
    CU_ASSERT_PTR_NULL(strchr(table, '\033'));
}

/* The agent gives each value as a JSON text; a hostile one tries to write more than the value. */
static void test_forged_json(void)
{
    static const char *const forged[] = {ANSWER("1},{\\\"tag\\\":\\\"x\\\""),
                                         ANSWER("1,2"),
                                         ANSWER("{}"),
                                         ANSWER("[1]"),
                                         ANSWER("01"),
                                         ANSWER("1."),
                                         ANSWER("1e"),
                                         ANSWER("-"),
                                         ANSWER("nul"),
                                         ANSWER("NaN"),
                                         ANSWER("1 "),
                                         ANSWER(""),
                                         ANSWER("\\\"a"),
                                         ANSWER("\\\"a\\\" ,1")};
    int code;
    for (size_t i = 0; i < ARRAY_LENGTH(forged); i++)
        TEST_TEXT_EQUAL(watch(forged[i], true, &code),
                        "[{\"device\":\"boiler\",\"tags\":[{\"tag\":\"total\",\"timestamp\":"
                        "1795343987123,\"error\":\"the agent gave no valid value\"},{\"tag\":"
                        "\"alarm\",\"timestamp\":1795343987124,\"error\":\"timeout\"}]}]\n");
    TEST_CONTAINS(watch(ANSWER("-1.50e+3"), true, &code), "\"value\":-1.50e+3,");
    TEST_CONTAINS(watch(ANSWER("true"), true, &code), "\"value\":true,");
    TEST_CONTAINS(watch(ANSWER("\\\"a\\\\u0000\\\\u001b\xe2\x80\xae\\\""), true, &code),
                  "\"value\":\"a\\u0000\\u001b\\");
}

static void test_refused(void)
{
    int code;
    TEST_TEXT_EQUAL(watch("{\"result\":\"failed\",\"reason\":\"no\"}\n", false, &code), "");
    CU_ASSERT_EQUAL(code, CLI_FAILED);
    TEST_TEXT_EQUAL(watch("no JSON\n", true, &code), "");
    CU_ASSERT_NOT_EQUAL(code, CLI_DONE);
}

TEST_MAIN("watch", {"numbers keep all their digits", test_digits},
          {"--json prints the values as the messages have them", test_json},
          {"a device's text cannot command the terminal", test_hostile_text},
          {"--json prints values, and nothing that only looks like one", test_forged_json},
          {"a refusal is a failure", test_refused})
