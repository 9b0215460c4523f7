/* Addresses of brokers and proxies. */
#include "config/load/broker_url.h"

#include "tests/support/test.h"

#include <errno.h>

static void check_good(const char *text, bool websocket, const char *host, int port,
                       const char *path)
{
    struct broker_url server;
    struct problem problem = {.text = ""};
    CU_ASSERT_EQUAL(broker_url_parse(text, &server, &problem), 0);
    TEST_TEXT_EQUAL(problem.text, "");
    CU_ASSERT_EQUAL(server.websocket, websocket);
    CU_ASSERT_EQUAL(server.port, port);
    TEST_TEXT_EQUAL(server.host, host);
    TEST_TEXT_EQUAL(server.path, path);
}

static void test_good(void)
{
    check_good("mqtts://broker.example.com", false, "broker.example.com", 8883, "");
    check_good("mqtts://broker.example.com:443", false, "broker.example.com", 443, "");
    check_good("mqtts://[2001:db8::1]:65535", false, "2001:db8::1", 65535, "");
    check_good("mqtts://[::1]", false, "::1", 8883, "");
    check_good("wss://10.0.0.1/mqtt?x=1", true, "10.0.0.1", 443, "/mqtt?x=1");
    check_good("wss://a-b_c:8443/", true, "a-b_c", 8443, "/");
}

static void test_bad(void)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"mqtt://b", "unencrypted connections are not supported"},
        {"TCP://b", "unencrypted connections are not supported"},
        {"ws://b/mqtt", "unencrypted connections are not supported"},
        {"ssl://b", "is not the address of a broker"},
        {"broker.example.com", "is not the address of a broker"},
        {"", "is not the address of a broker"},
        {"mqtts://", "the host is missing"},
        {"mqtts://:8883", "the host is missing"},
        {"mqtts://b:0", "the port is not a number"},
        {"mqtts://b:65536", "the port is not a number"},
        {"mqtts://b:", "the port is not a number"},
        {"mqtts://b:88a", "nothing may follow"},
        {"mqtts://b/x", "nothing may follow"},
        {"mqtts://a b", "neither a host name nor"},
        {"mqtts://a..b", "neither a host name nor"},
        {"mqtts://1.2.3.400", "neither a host name nor"},
        {"mqtts://2001:db8::1", "an IPv6 address is written in [ ]"},
        {"mqtts://[2001:db8", "an IPv6 address is written in [ ]"},
        {"mqtts://[1.2.3.4]", "is not an IPv6 address"},
        {"mqtts://[fe80::1%eth0]", "is not an IPv6 address"},
        {"mqtts://user:pw@b", "cannot contain a user name"},
        {"wss://b", "needs a path"},
        {"wss://b:443", "needs a path"},
        {"wss://b/a b", "must be written as %XX"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct broker_url server;
        struct problem problem = {.text = ""};
        CU_ASSERT_EQUAL(broker_url_parse(cases[i].text, &server, &problem), -EINVAL);
        TEST_CONTAINS(problem.text, cases[i].part);
    }
}

TEST_MAIN("server", {"addresses come apart", test_good}, {"wrong ones say why", test_bad})
