/* The addresses of brokers and proxies. */
#include "agent/server_url.h"

#include "tests/support/test.h"

#include <errno.h>
#include <string.h>

static struct server_url parsed(const char *text)
{
    struct server_url url = {0};
    const char *problem = NULL;
    CU_ASSERT_EQUAL(server_url_parse(text, &url, &problem), 0);
    CU_ASSERT_PTR_NULL(problem);
    return url;
}

static void test_mqtts(void)
{
    struct server_url url = parsed("mqtts://broker.example.com:8884");
    TEST_TEXT_EQUAL(url.host, "broker.example.com");
    CU_ASSERT_EQUAL(url.port, 8884);
    CU_ASSERT_FALSE(url.websocket);
    CU_ASSERT_FALSE(url.literal);
    TEST_TEXT_EQUAL(url.path, "");
    CU_ASSERT_EQUAL(parsed("mqtts://b").port, 8883);
    CU_ASSERT_EQUAL(parsed("mqtts://b:65535").port, 65535);
    CU_ASSERT_TRUE(parsed("mqtts://192.0.2.7:443").literal);
}

static void test_wss(void)
{
    struct server_url url = parsed("wss://host-1/mqtt?x=1");
    TEST_TEXT_EQUAL(url.host, "host-1");
    CU_ASSERT_EQUAL(url.port, 443);
    CU_ASSERT_TRUE(url.websocket);
    TEST_TEXT_EQUAL(url.path, "/mqtt?x=1");
    TEST_TEXT_EQUAL(parsed("wss://h:8443/").path, "/");
}

static void refused(const char *text, const char *why)
{
    struct server_url url = {.port = 7};
    const char *problem = NULL;
    CU_ASSERT_EQUAL(server_url_parse(text, &url, &problem), -EINVAL);
    TEST_CONTAINS(problem, why);
    CU_ASSERT_EQUAL(url.port, 7); /* untouched */
}

static void test_refusals(void)
{
    char longest[400] = "mqtts://";
    refused("mqtt://b:1883", "no unencrypted form");
    refused("tcp://b:1883", "no unencrypted form");
    refused("ssl://b:8883", "mqtts://");
    refused("MQTTS://b", "mqtts://");
    refused("", "mqtts://");
    refused("mqtts://", "host is missing");
    refused("mqtts://:8883", "host is missing");
    refused("mqtts://b:", "port");
    refused("mqtts://b:0", "port");
    refused("mqtts://b:65536", "port");
    refused("mqtts://b:8883x", "port");
    refused("mqtts://b:+88", "port");
    refused("mqtts://b:00008883", "port");
    refused("mqtts://user@b:8883", "character");
    refused("mqtts://b c", "character");
    refused("mqtts://b\n", "character");
    refused("mqtts://b/", "no path");
    refused("mqtts://[::1]:8883", "IPv6");
    refused("mqtts://1.2.3", "IPv4");
    refused("mqtts://1.2.3.256", "IPv4");
    refused("mqtts://-b", "valid name");
    refused("mqtts://a..b", "valid name");
    refused("wss://b:443", "needs a path");
    refused("wss://b?x", "needs a path");
    refused("wss://b/a b", "outside ASCII");
    memset(longest + 8, 'a', 254);
    refused(longest, "253");
    longest[8 + 253] = '\0';
    (void)parsed(longest);
}

static void test_proxy(void)
{
    struct proxy_url url = {0};
    const char *problem = NULL;
    CU_ASSERT_EQUAL(proxy_url_parse("http://proxy.example:3128", &url, &problem), 0);
    TEST_TEXT_EQUAL(url.host, "proxy.example");
    CU_ASSERT_EQUAL(url.port, 3128);
    TEST_TEXT_EQUAL(url.login, "");
    CU_ASSERT_EQUAL(proxy_url_parse("http://me:p%40ss@10.0.0.1:80/", &url, &problem), 0);
    TEST_TEXT_EQUAL(url.host, "10.0.0.1");
    CU_ASSERT_EQUAL(url.port, 80);
    TEST_TEXT_EQUAL(url.login, "me:p%40ss");
}

static void proxy_refused(const char *text, const char *why)
{
    struct proxy_url url = {.port = 7};
    const char *problem = NULL;
    CU_ASSERT_EQUAL(proxy_url_parse(text, &url, &problem), -EINVAL);
    TEST_CONTAINS(problem, why);
    CU_ASSERT_EQUAL(url.port, 7);
}

static void test_proxy_refusals(void)
{
    proxy_refused("proxy:3128", "http://HOST:PORT");
    proxy_refused("https://proxy:3128", "http://HOST:PORT");
    proxy_refused("http://proxy", "port is missing");
    proxy_refused("http://proxy:0", "port");
    proxy_refused("http://me@proxy:3128", "USER:PASSWORD");
    proxy_refused("http://me:a@b@proxy:3128", "%XX");
    proxy_refused("http://me:a b@proxy:3128", "%XX");
}

TEST_MAIN("server_url", {"mqtts addresses", test_mqtts}, {"wss addresses", test_wss},
          {"anything else is refused, with a reason", test_refusals},
          {"proxies, with and without a login", test_proxy},
          {"bad proxies are refused, with a reason", test_proxy_refusals})
