/* `sallyport check` and `sallyport explain`: what they print and how they end. */
#include "agent/cli/cli.h"
#include "tests/support/test.h"

#include "agent/base/child.h"
#include "agent/base/descriptor.h"
#include "agent/base/memory.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern const struct cli_command command_check, command_explain;

/* The frame is not linked; its messages are of no interest here but this one's. */
static char failure[512];

int cli_fail(int code, const char *name, const char *format, ...)
{
    va_list arguments;
    size_t used = (size_t)snprintf(failure, sizeof(failure), "%s: ", name);
    va_start(arguments, format);
    (void)vsnprintf(failure + used, sizeof(failure) - used, format, arguments);
    va_end(arguments);
    return code;
}

int cli_usage(const struct cli_context *context)
{
    (void)context;
    return CLI_USAGE;
}

#define ALLOW(destination, port)                                                                   \
    "egress_allow = ( { destination = \"" destination "\"; port = " port "; } );"

/* Runs COMMAND with up to one word and returns its exit code; SAID gets what it printed. */
static int run(int (*command)(const struct cli_context *, int, char **),
               const struct cli_context *context, const char *word, struct strbuf *said)
{
    char name[] = "command", argument[64] = "";
    char *argv[] = {name, word ? argument : NULL, NULL};
    (void)snprintf(argument, sizeof(argument), "%s", word ? word : "");
    (void)fflush(stdout);
    int screen = dup(STDOUT_FILENO);
    int file = open(test_path("out"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    dup2(file, STDOUT_FILENO);
    int code = command(context, word ? 2 : 1, argv);
    (void)fflush(stdout);
    dup2(screen, STDOUT_FILENO);
    close(file);
    close(screen);
    strbuf_reset(said);
    CU_ASSERT_EQUAL(file_read(test_path("out"), 1 << 20, said), 0);
    return code;
}

static const char *const good = "gateway: { id = \"g\"; site = \"s\"; };\n"
                                "uplink: { servers = [ \"mqtts://b\" ];\n ca = \"system\"; };\n"
                                "buses: ( { name = \"plc\"; driver = \"modbus_tcp\"; host = "
                                "\"192.0.2.1\"; } );\n"
                                "devices: ( { name = \"d\"; bus = \"plc\"; tags = ( { name = "
                                "\"t\"; address = 1; } ); } );\n";

static void test_good(void)
{
    CLEANUP(strbuf_free) struct strbuf said = STRBUF_EMPTY;
    struct cli_context context = {.agent_file = test_file("good.conf", good)};
    CU_ASSERT_EQUAL(run(command_check.run, &context, NULL, &said), CLI_DONE);
    CU_ASSERT_EQUAL(strncmp(strbuf_text(&said), "plc: ", 5), 0); /* no finding before it */
    TEST_CONTAINS(strbuf_text(&said), "poll cycle takes as long as");
    CU_ASSERT_EQUAL(run(command_check.run, &context, "surplus", &said), CLI_USAGE);
}

static void test_bad(void)
{
    CLEANUP(strbuf_free) struct strbuf said = STRBUF_EMPTY;
    struct cli_context context = {
        .agent_file = test_file("bad.conf", "gateway: { id = \"g\"; site = \"s\"; };\n"
                                            "uplink: { servers = [ \"mqtts://b\" ];\n"
                                            " ca = \"absent.pem\"; window = 5000; };\n")};
    CU_ASSERT_EQUAL(run(command_check.run, &context, NULL, &said), CLI_FAILED);
    TEST_CONTAINS(
        strbuf_text(&said),
        "bad.conf:3: uplink.window: 5000 is out of range; allowed is 1 to 1024 messages\n");
    CU_ASSERT_EQUAL(strncmp(strbuf_text(&said), context.agent_file, strlen(context.agent_file)), 0);
    context.agent_file = test_file("absent.conf", "gateway: { id = \"g\"; site = \"s\"; };\n"
                                                  "uplink: { servers = [ \"mqtts://b\" ];\n"
                                                  " ca = \"absent.pem\"; };\n");
    CU_ASSERT_EQUAL(run(command_check.run, &context, NULL, &said), CLI_FAILED);
    TEST_CONTAINS(strbuf_text(&said), "absent.conf:3: uplink.ca: ");
    TEST_CONTAINS(strbuf_text(&said), "absent.pem cannot be read: No such file or directory\n");
}

static void test_certificates(void)
{
    CLEANUP(strbuf_free) struct strbuf said = STRBUF_EMPTY, made = STRBUF_EMPTY;
    const char *const arguments[] = {"/usr/bin/openssl",
                                     "req",
                                     "-x509",
                                     "-newkey",
                                     "ec",
                                     "-pkeyopt",
                                     "ec_paramgen_curve:P-256",
                                     "-days",
                                     "3",
                                     "-nodes",
                                     "-subj",
                                     "/CN=old",
                                     "-keyout",
                                     "/dev/null",
                                     "-out",
                                     test_path("old.pem"),
                                     NULL};
    const struct child_job job = {
        .arguments = arguments, .output_max_bytes = 65536, .timeout_ms = 30000};
    struct cli_context context = {
        .agent_file = test_file("ca.conf", "gateway: { id = \"g\"; site = \"s\"; };\n"
                                           "uplink: { servers = [ \"mqtts://b\" ];\n"
                                           " ca = \"old.pem\"; };\n")};
    CU_ASSERT_EQUAL_FATAL(child_run(&job, &made), 0);
    CU_ASSERT_EQUAL(run(command_check.run, &context, NULL, &said), CLI_DONE);
    TEST_CONTAINS(strbuf_text(&said), "ca.conf:3: uplink.ca: warning: ");
    TEST_CONTAINS(strbuf_text(&said), "CN=old expires in ");
    (void)test_file("old.pem", "no certificate\n");
    CU_ASSERT_EQUAL(run(command_check.run, &context, NULL, &said), CLI_FAILED);
    TEST_CONTAINS(strbuf_text(&said), "old.pem holds no PEM certificate; if it is DER");
}

static void test_warning(void)
{
    CLEANUP(strbuf_free) struct strbuf said = STRBUF_EMPTY;
    struct cli_context context = {
        .agent_file = test_file("warn.conf", "gateway: { id = \"g\"; site = \"s\"; };\n"
                                             "uplink: { servers = [ \"mqtts://b\" ];\n"
                                             " ca = \"system\"; username = \"u\"; };\n")};
    CU_ASSERT_EQUAL(run(command_check.run, &context, NULL, &said), CLI_DONE);
    TEST_CONTAINS(strbuf_text(&said), "warn.conf:3: uplink.username: warning: ");
}

static void test_netd_file(void)
{
    CLEANUP(strbuf_free) struct strbuf said = STRBUF_EMPTY;
    struct cli_context context = {
        .agent_file = test_file("good.conf", good),
        .netd_file = test_file("netd.conf", "firewall: { wan = [ \"eth0\" ];\n plnt = [ ]; };\n"),
        .netd_file_given = true};
    CU_ASSERT_EQUAL(run(command_check.run, &context, NULL, &said), CLI_FAILED);
    TEST_CONTAINS(strbuf_text(&said), "netd.conf:2: firewall.plnt: unknown key");
    context.netd_file = test_file("netd.conf", "firewall: { wan = [ \"eth0\" ]; };\n");
    CU_ASSERT_EQUAL(run(command_check.run, &context, NULL, &said), CLI_DONE);
    context.netd_file = "/nowhere/netd.conf"; /* asked for, so it is missed */
    CU_ASSERT_EQUAL(run(command_check.run, &context, NULL, &said), CLI_FAILED);
    context.agent_file = test_file("good.conf", good);
    context.netd_file_given = false; /* the default: a machine may do without */
    CU_ASSERT_EQUAL(run(command_check.run, &context, NULL, &said), CLI_DONE);
}

/* Both files are right by themselves, and the broker is out of reach all the same. */
static void test_strict_egress(void)
{
    static const struct {
        const char *uplink, *firewall, *finding;
    } cases[] = {
        {"servers = [ \"mqtts://b.test\" ];", "egress = \"open\";", NULL},
        {"servers = [ \"mqtts://b.test\" ];", "", "b.test port 8883 is not in"},
        {"servers = [ \"mqtts://b.test\" ];", ALLOW("b.test", "443"), "b.test port 8883"},
        {"servers = [ \"mqtts://b.test\" ];", ALLOW("c.test", "8883"), "b.test port 8883"},
        {"servers = [ \"mqtts://b.test\" ];", ALLOW("B.test", "8883"), NULL},
        {"servers = [ \"mqtts://b.test\" ];", ALLOW("203.0.113.7", "8883"), NULL},
        {"servers = [ \"wss://b.test/mqtt\" ];", ALLOW("b.test", "443"), NULL},
        {"servers = [ \"mqtts://192.0.2.1\" ];", ALLOW("203.0.113.7", "8883"), "192.0.2.1 port"},
        {"servers = [ \"mqtts://192.0.2.1\" ];", ALLOW("192.0.2.0/24", "8883"), NULL},
        {"servers = [ \"mqtts://b.test\", \"mqtts://c.test\" ];", ALLOW("b.test", "8883"),
         "c.test port 8883"},
        {"servers = [ \"mqtts://b.test\" ]; proxy = \"http://p.test:3128\";",
         ALLOW("b.test", "8883"), "uplink.proxy: warning: p.test port 3128"},
        {"servers = [ \"mqtts://b.test\" ]; proxy = \"http://p.test:3128\";",
         ALLOW("p.test", "3128"), NULL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        CLEANUP(strbuf_free) struct strbuf said = STRBUF_EMPTY;
        char agent[512], netd[512];
        (void)snprintf(agent, sizeof(agent),
                       "gateway: { id = \"g\"; site = \"s\"; };\n"
                       "uplink: { ca = \"system\";\n%s };\n",
                       cases[i].uplink);
        (void)snprintf(netd, sizeof(netd), "firewall: { %s%s };\n",
                       strstr(cases[i].firewall, "open") ? "" : "egress = \"strict\"; ",
                       cases[i].firewall);
        struct cli_context context = {.agent_file = test_file("agent.conf", agent),
                                      .netd_file = test_file("netd.conf", netd),
                                      .netd_file_given = true};
        CU_ASSERT_EQUAL(run(command_check.run, &context, NULL, &said), CLI_DONE);
        if (cases[i].finding)
            TEST_CONTAINS(strbuf_text(&said), cases[i].finding);
        CU_ASSERT_EQUAL(strstr(strbuf_text(&said), "egress_allow") != NULL,
                        cases[i].finding != NULL);
    }
}

#define REACH(host, port) "{ destination = \"" host "\"; port = " port "; }"

/* Whether the list in netd.conf fits what the agent's file names: both ways. */
static void test_reach(void)
{
    static const struct {
        const char *server, *buses, *netd, *finding; /* NULL: none about it */
        int code;
    } cases[] = {
        {"b.test", "", "agent: { may_reach = ( " REACH("B.test", "8883") " ); };", NULL, CLI_DONE},
        {"b.test", "", "agent: { };",
         "agent.conf:2: uplink.servers: b.test port 8883 (tcp) is not in agent.may_reach of "
         "netd.conf: the agent cannot reach it; add it: agent: { may_reach = ( { destination = "
         "\"b.test\"; port = 8883; } ); };",
         CLI_FAILED},
        {"b.test", "", "agent: { may_reach = ( " REACH("b.test", "443") " ); };",
         "b.test port 8883", CLI_FAILED},
        {"b.test", "", "agent: { }; firewall: { egress_allow = ( " REACH("b.test", "8883") " ); };",
         NULL, CLI_DONE},
        {"b.test", "", "agent: { may_reach = ( " REACH("192.0.2.7", "8883") " ); };", NULL,
         CLI_DONE},
        {"192.0.2.7", "", "agent: { may_reach = ( " REACH("192.0.2.0/24", "8883") " ); };", NULL,
         CLI_DONE},
        {"192.0.2.7", "", "agent: { may_reach = ( " REACH("192.0.2.8", "8883") " ); };",
         "192.0.2.7 port 8883", CLI_FAILED},
        {"localhost", "", "agent: { may_reach = ( " REACH("localhost", "8883") " ); };", NULL,
         CLI_DONE},
        {"127.0.0.1", "", "agent: { may_reach = ( " REACH("localhost", "8883") " ); };", NULL,
         CLI_DONE},
        {"127.0.0.1", "", "agent: { may_reach = ( " REACH("127.0.0.0/8", "8883") " ); };",
         "127.0.0.1 port 8883", CLI_FAILED},
        {"127.0.0.1", "",
         "agent: { }; firewall: { egress_allow = ( " REACH("127.0.0.1", "8883") " ); };",
         "127.0.0.1 port 8883", CLI_FAILED},
        {"localhost", "", "", "uplink.servers: localhost is this gateway itself", CLI_FAILED},
        {"b.test", "host = \"192.168.10.5\";",
         "agent: { may_reach = ( " REACH("b.test", "8883") ", " REACH("192.168.10.5",
                                                                      "502") " ); };",
         NULL, CLI_DONE},
        {"b.test", "host = \"192.168.10.5\"; transport = \"udp\";",
         "agent: { may_reach = ( " REACH("b.test", "8883") ", " REACH("192.168.10.5",
                                                                      "502") " ); };",
         "agent.conf:3: buses.plc.host: 192.168.10.5 port 502 (udp)", CLI_FAILED},
        {"b.test", "host = \"192.168.10.5\";",
         "agent: { may_reach = ( " REACH("b.test", "8883") " ); };\n"
                                                           "firewall: { egress_allow = ( " REACH(
                                                               "192.168.0.0/16", "502") " ); };",
         "buses.plc.host: 192.168.10.5 port 502 (tcp)", CLI_FAILED},
        {"b.test", "host = \"plc.test\";",
         "agent: { may_reach = ( " REACH("b.test", "8883") " ); };",
         "{ destination = \"plc.test\"; port = 502; side = \"plant\"; }", CLI_FAILED},
        {"b.test", "host = \"plc.test\";",
         "agent: { may_reach = ( " REACH("b.test", "8883") ",\n" REACH("192.168.10.5",
                                                                       "502") " ); };",
         NULL, CLI_DONE}, /* which may be its address */
        /* A network of egress_allow is not for the plant, a time server not for the agent. */
        {"b.test", "host = \"plc.test\";",
         "agent: { may_reach = ( " REACH("b.test", "8883") " ); };\n"
                                                           "firewall: { egress_allow = ( " REACH(
                                                               "192.168.0.0/16", "502") " ); };",
         "buses.plc.host: plc.test port 502 (tcp)", CLI_FAILED},
        {"b.test", "host = \"t.test\"; port = 123; transport = \"udp\";",
         "agent: { may_reach = ( " REACH("b.test", "8883") " ); };\n"
                                                           "firewall: { ntp = [ \"t.test\" ]; };",
         "buses.plc.host: t.test port 123 (udp)", CLI_FAILED},
        {"b.test", "host = \"192.168.10.9\"; port = 123; transport = \"udp\";",
         "agent: { may_reach = ( " REACH("b.test",
                                         "8883") " ); };\n"
                                                 "firewall: { ntp = [ \"192.168.10.9\" ]; };",
         "buses.plc.host: 192.168.10.9 port 123 (udp)", CLI_FAILED},
        {"b.test", "",
         "agent: { may_reach = ( " REACH("b.test", "8883") ",\n" REACH("192.168.10.5",
                                                                       "502") " ); };",
         "netd.conf:2: agent.may_reach[1]: warning: no broker, proxy or line of the agent uses",
         CLI_DONE},
        {"b.test", "host = \"192.168.10.5\"; port = 1502;", "",
         "agent: warning: there is no such group: an agent that is taken over can reach every host "
         "in plant and WAN; add it: agent: { may_reach = ( { destination = \"b.test\"; port = "
         "8883; }, { destination = \"192.168.10.5\"; port = 1502; } ); };",
         CLI_DONE},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        CLEANUP(strbuf_free) struct strbuf said = STRBUF_EMPTY;
        char agent[512], netd[512];
        (void)snprintf(agent, sizeof(agent),
                       "gateway: { id = \"g\"; site = \"s\"; };\n"
                       "uplink: { ca = \"system\"; servers = [ \"mqtts://%s\" ]; };\n"
                       "buses: ( %s%s%s );\n",
                       cases[i].server,
                       cases[i].buses[0] ? "{ name = \"plc\"; driver = \"modbus_tcp\"; " : "",
                       cases[i].buses, cases[i].buses[0] ? " }" : "");
        (void)snprintf(netd, sizeof(netd), "%s\n", cases[i].netd);
        struct cli_context context = {.agent_file = test_file("agent.conf", agent),
                                      .netd_file = test_file("netd.conf", netd),
                                      .netd_file_given = true};
        CU_ASSERT_EQUAL(run(command_check.run, &context, NULL, &said), cases[i].code);
        if (cases[i].finding)
            TEST_CONTAINS(strbuf_text(&said), cases[i].finding);
        else
            TEST_TEXT_EQUAL(strstr(strbuf_text(&said), "reach") ? strbuf_text(&said) : "", "");
    }
}

/* A line of a file in conf.d counts, and more than one screen of entries is said in full. */
static void test_reach_of_folder(void)
{
    CLEANUP(strbuf_free) struct strbuf said = STRBUF_EMPTY, buses = STRBUF_EMPTY;
    strbuf_add(&buses, "buses: (");
    for (int i = 1; i <= 60; i++)
        strbuf_addf(&buses,
                    "%s{ name = \"p%d\"; driver = \"modbus_tcp\"; host = \"192.168.10.%d\"; }",
                    i > 1 ? ",\n" : "", i, i);
    strbuf_add(&buses, ");\n");
    CU_ASSERT_EQUAL_FATAL(mkdir(test_path("conf.d"), 0755), 0);
    const char *more = test_file("conf.d/more.conf", strbuf_text(&buses));
    struct cli_context context = {
        .agent_file = test_file("agent.conf", "gateway: { id = \"g\"; site = \"s\"; };\n"
                                              "uplink: { ca = \"system\"; servers = [ "
                                              "\"mqtts://b.test\" ]; };\n"),
        .netd_file = test_file("netd.conf", "firewall: { };\n"),
        .netd_file_given = true};
    CU_ASSERT_EQUAL(run(command_check.run, &context, NULL, &said), CLI_DONE);
    TEST_CONTAINS(strbuf_text(&said), "{ destination = \"192.168.10.60\"; port = 502; } ); };");
    strbuf_reset(&said);
    context.netd_file =
        test_file("netd.conf", "agent: { may_reach = ( " REACH("b.test", "8883") " ); };\n");
    CU_ASSERT_EQUAL(run(command_check.run, &context, NULL, &said), CLI_FAILED);
    TEST_CONTAINS(strbuf_text(&said), "more.conf:60: buses.p60.host: 192.168.10.60 port 502");
    CU_ASSERT_EQUAL(unlink(more), 0);
    CU_ASSERT_EQUAL(rmdir(test_path("conf.d")), 0);
}

/* What the agent wants to reach must not be where only a session's tunnel leads. */
static void test_tunnel_addresses(void)
{
    static const struct {
        const char *source, *server, *proxy, *finding;
    } cases[] = {
        {"10.254.0.0/24", "b.test", "", NULL},
        {"192.0.2.0/24", "b.test", "", "buses.plc.host: 192.0.2.1 lies in tunnel.sources"},
        {"10.254.0.0/24", "10.254.0.9", "", "uplink.servers: 10.254.0.9 lies in tunnel.sources"},
        {"10.254.0.0/24", "10.253.0.1", "",
         "uplink.servers: 10.253.0.1 lies in tunnel.hub.address"},
        {"10.254.0.0/24", "b.test", "proxy = \"http://10.254.1.42:3128\";",
         "uplink.proxy: 10.254.1.42 lies in tunnel.address"},
        /* The proxy reaches the broker, wherever that is: not this machine. */
        {"10.254.0.0/24", "10.254.0.9", "proxy = \"http://p.test:3128\";", NULL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        CLEANUP(strbuf_free) struct strbuf said = STRBUF_EMPTY;
        char agent[512], netd[1024];
        (void)snprintf(agent, sizeof(agent),
                       "gateway: { id = \"g\"; site = \"s\"; };\n"
                       "uplink: { ca = \"system\"; servers = [ \"mqtts://%s\" ]; %s };\n%s",
                       cases[i].server, cases[i].proxy, strstr(good, "buses"));
        (void)snprintf(netd, sizeof(netd),
                       "firewall: { wan = [ \"nowhere0\" ]; };\n"
                       "tunnel: { gateway = \"s/g\"; address = \"10.254.1.42\"; "
                       "private_key_file = \"k\"; max_ttl_s = 60; idle_close_s = 60;\n"
                       "hub = { public_key = \"w2h8S6S0yyzcV4X3g1Uq8pGq8qnJzTzYc0m4kq1O1nE=\"; "
                       "endpoint = \"h.test:443\"; address = \"10.253.0.1\"; };\n"
                       "sources = [ \"%s\" ]; services = ( { name = \"ssh\"; port = 22; } ); };\n",
                       cases[i].source);
        struct cli_context context = {.agent_file = test_file("agent.conf", agent),
                                      .netd_file = test_file("netd.conf", netd),
                                      .netd_file_given = true};
        CU_ASSERT_EQUAL(run(command_check.run, &context, NULL, &said),
                        cases[i].finding ? CLI_FAILED : CLI_DONE);
        if (cases[i].finding)
            TEST_CONTAINS(strbuf_text(&said), cases[i].finding);
    }
}

/* A password in the file itself: it is for the agent and root alone. */
static void test_proxy_password(void)
{
    CLEANUP(strbuf_free) struct strbuf said = STRBUF_EMPTY;
    CLEANUP(memory_free_pointer)
    char *text = memory_printf("uplink: { proxy = \"http://u:secret@p.test:3128\"; servers = [ "
                               "\"mqtts://b\" ]; ca = \"system\"; };\n"
                               "gateway: { id = \"g\"; site = \"s\"; };\n");
    struct cli_context context = {.agent_file = test_file("proxy.conf", text)};
    CU_ASSERT_EQUAL(chmod(context.agent_file, 0644), 0);
    CU_ASSERT_EQUAL(run(command_check.run, &context, NULL, &said), CLI_FAILED);
    TEST_CONTAINS(strbuf_text(&said), "proxy.conf:1: uplink.proxy: it holds a password");
    TEST_CONTAINS(strbuf_text(&said), "chmod 640 ");
    CU_ASSERT_PTR_NULL(strstr(strbuf_text(&said), "secret"));
    CU_ASSERT_EQUAL(chmod(context.agent_file, 0640), 0);
    CU_ASSERT_EQUAL(run(command_check.run, &context, NULL, &said), CLI_DONE);
    context.agent_file = test_file("open.conf", good);
    CU_ASSERT_EQUAL(chmod(context.agent_file, 0644), 0);
    CU_ASSERT_EQUAL(run(command_check.run, &context, NULL, &said), CLI_DONE);
}

static void test_json(void)
{
    CLEANUP(strbuf_free) struct strbuf said = STRBUF_EMPTY;
    struct cli_context context = {
        .agent_file = test_file("bad.conf", "gateway: { id = \"g\"; site = \"s\"; };\n"
                                            "uplink: { servers = [ \"mqtts://b\" ];\n"
                                            " ca = \"system\"; format = \"\xe9\"; };\n"),
        .json = true};
    CU_ASSERT_EQUAL(run(command_check.run, &context, NULL, &said), CLI_FAILED);
    json_t *document = json_loads(strbuf_text(&said), 0, NULL);
    json_t *finding = json_array_get(json_object_get(document, "findings"), 0);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(document, "errors")), 1);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(finding, "line")), 3);
    TEST_TEXT_EQUAL(json_string_value(json_object_get(finding, "key")), "uplink.format");
    TEST_TEXT_EQUAL(json_string_value(json_object_get(finding, "severity")), "error");
    json_decref(document);
    context.agent_file = test_file("good.conf", good);
    CU_ASSERT_EQUAL(run(command_check.run, &context, NULL, &said), CLI_DONE);
    document = json_loads(strbuf_text(&said), 0, NULL);
    json_t *line = json_array_get(json_object_get(document, "lines"), 0);
    TEST_TEXT_EQUAL(json_string_value(json_object_get(line, "bus")), "plc");
    CU_ASSERT_TRUE(json_is_real(json_object_get(line, "cycle_s")));
    json_decref(document);
}

static void test_explain(void)
{
    CLEANUP(strbuf_free) struct strbuf said = STRBUF_EMPTY;
    struct cli_context context = {0};
    CU_ASSERT_EQUAL(run(command_explain.run, &context, "uplink.window", &said), CLI_DONE);
    TEST_CONTAINS(strbuf_text(&said), "  default: 64\n");
    CU_ASSERT_EQUAL(run(command_explain.run, &context, "buses.modbus_tcp", &said), CLI_DONE);
    TEST_CONTAINS(strbuf_text(&said), "  port ");
    CU_ASSERT_EQUAL(run(command_explain.run, &context, NULL, &said), CLI_DONE);
    TEST_CONTAINS(strbuf_text(&said), "devices.tags.modbus_rtu\n");
    CU_ASSERT_EQUAL(run(command_explain.run, &context, "uplink.windw", &said), CLI_FAILED);
    TEST_TEXT_EQUAL(strbuf_text(&said), "");
    TEST_CONTAINS(failure, "did you mean \"uplink.window\"?");
    context.json = true;
    CU_ASSERT_EQUAL(run(command_explain.run, &context, "uplink.window", &said), CLI_DONE);
    json_t *document = json_loads(strbuf_text(&said), 0, NULL);
    json_t *key = json_array_get(json_object_get(document, "keys"), 0);
    TEST_TEXT_EQUAL(json_string_value(json_object_get(key, "unit")), "messages");
    TEST_TEXT_EQUAL(json_string_value(json_object_get(key, "default")), "64");
    CU_ASSERT_EQUAL(json_array_size(json_object_get(document, "keys")), 1);
    json_decref(document);
}

TEST_MAIN("cli/check", {"a good file: the lines and their budget", test_good},
          {"a bad file: every finding, and exit code 1", test_bad},
          {"certificates that are none, or nearly expired, are named", test_certificates},
          {"warnings alone are no failure", test_warning},
          {"a proxy's password that everybody can read", test_proxy_password},
          {"a broker that strict egress keeps out of reach", test_strict_egress},
          {"the agent's list and what it needs", test_reach},
          {"files of conf.d need entries too", test_reach_of_folder},
          {"addresses that belong to the tunnel", test_tunnel_addresses},
          {"netd.conf is checked as well, where there is one", test_netd_file},
          {"the same as JSON", test_json}, {"explain", test_explain})
