/* The address of a proxy. */
#include "config/load/proxy_url.h"

#include "tests/support/test.h"

#include <errno.h>

static void test_proxy(void)
{
    struct proxy_url url = {0};
    struct problem problem;
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
    struct problem problem;
    CU_ASSERT_EQUAL(proxy_url_parse(text, &url, &problem), -EINVAL);
    TEST_CONTAINS(problem.text, why);
    CU_ASSERT_EQUAL(url.port, 7);
}

static void test_proxy_refusals(void)
{
    proxy_refused("proxy:3128", "http://HOST:PORT");
    proxy_refused("https://proxy:3128", "http://HOST:PORT");
    proxy_refused("http://proxy", "port of the proxy is missing");
    proxy_refused("http://proxy:", "port");
    proxy_refused("http://proxy:0", "port");
    proxy_refused("http://proxy:65536", "port");
    proxy_refused("http://proxy:80/path", "port");
    proxy_refused("http://:80", "neither a name nor");
    proxy_refused("http://[::1]:80", "neither a name nor");
    proxy_refused("http://a b:80", "port of the proxy is missing");
    proxy_refused("http://me@proxy:3128", "USER:PASSWORD");
    proxy_refused("http://me:a@b@proxy:3128", "%XX");
    proxy_refused("http://me:a b@proxy:3128", "%XX");
    proxy_refused("", "http://HOST:PORT");
}

TEST_MAIN("proxy_url", {"with and without a login", test_proxy},
          {"anything else is refused, with a reason", test_proxy_refusals})
