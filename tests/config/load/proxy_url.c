/* The address of a proxy. */
#include "config/load/proxy_url.h"

#include "tests/support/test.h"

#include <errno.h>
#include <string.h>

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
    CU_ASSERT_TRUE(proxy_url_has_password(&url));
    CU_ASSERT_EQUAL(proxy_url_parse("http://me@proxy:3128", &url, &problem), 0);
    TEST_TEXT_EQUAL(url.login, "me");
    CU_ASSERT_FALSE(proxy_url_has_password(&url));
}

static void test_password(void)
{
    struct proxy_url url = {0};
    struct problem problem;
    char large[PROXY_LOGIN_MAX_BYTES + 1];
    memset(large, 'x', sizeof(large));
    large[PROXY_LOGIN_MAX_BYTES - 3] = '\0';
    CU_ASSERT_EQUAL(proxy_url_parse("http://me@proxy:3128", &url, &problem), 0);
    CU_ASSERT_EQUAL(proxy_url_set_password(&url, large), -EFBIG);
    TEST_TEXT_EQUAL(url.login, "me");
    CU_ASSERT_EQUAL(proxy_url_set_password(&url, "p@:/ %\xc3\xa4.-"), 0);
    TEST_TEXT_EQUAL(url.login, "me:p%40%3A%2F%20%25%C3%A4.-");
    CU_ASSERT_EQUAL(proxy_url_set_password(&url, "again"), -EINVAL);
    CU_ASSERT_EQUAL(proxy_url_parse("http://proxy:3128", &url, &problem), 0);
    CU_ASSERT_EQUAL(proxy_url_set_password(&url, "x"), -EINVAL);
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
    proxy_refused("http://:pw@proxy:3128", "no user name");
    proxy_refused("http://@proxy:3128", "no user name");
    proxy_refused("http://me:a@b@proxy:3128", "%XX");
    proxy_refused("http://me:a b@proxy:3128", "%XX");
    proxy_refused("", "http://HOST:PORT");
}

TEST_MAIN("proxy_url", {"with and without a login", test_proxy},
          {"a password of its own is encoded; bounds", test_password},
          {"anything else is refused, with a reason", test_proxy_refusals})
