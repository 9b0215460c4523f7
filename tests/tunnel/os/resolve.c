/* netd's reading of what the resolver's process printed. */
#include "tunnel/os/resolve.h"

#include "agent/base/macros.h"
#include "tests/support/test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static void test_read(void)
{
    struct sockaddr_storage hubs[RESOLVE_MAX];
    CU_ASSERT_EQUAL_FATAL(resolve_parse("203.0.113.7\n2001:db8::7\n", 443, hubs), 2);
    const struct sockaddr_in *four = (const struct sockaddr_in *)&hubs[0];
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&hubs[1];
    CU_ASSERT_EQUAL(four->sin_family, AF_INET);
    CU_ASSERT_EQUAL(four->sin_addr.s_addr, htonl(0xcb007107));
    CU_ASSERT_EQUAL(four->sin_port, htons(443));
    CU_ASSERT_EQUAL(six->sin6_family, AF_INET6);
    CU_ASSERT_EQUAL(six->sin6_addr.s6_addr[15], 7);
    CU_ASSERT_EQUAL(six->sin6_port, htons(443));
    char many[RESOLVE_ANSWER_BYTES] = "";
    for (int i = 0; i < RESOLVE_MAX + 4; i++)
        (void)snprintf(many + strlen(many), sizeof(many) - strlen(many), "10.0.0.%d\n", i + 1);
    CU_ASSERT_EQUAL(resolve_parse(many, 1, hubs), RESOLVE_MAX);
}

static void test_hostile(void)
{
    static const char *const answers[] = {
        "",
        "203.0.113.7",
        "127.0.0.1\n",
        "224.0.0.1\n",
        "203.0.113.7 \n",
        "\n",
        "10.0.0.0/8\n",
        "203.0.113.7\nendpoint=1.2.3.4\n",
        "::1\n",
        "1111111111111111111111111111111111111111111111111111111111111111111111111\n"};
    struct sockaddr_storage hubs[RESOLVE_MAX];
    for (size_t i = 0; i < ARRAY_LENGTH(answers); i++)
        CU_ASSERT_TRUE(resolve_parse(answers[i], 443, hubs) < 0);
}

TEST_MAIN("resolve",
          {"addresses become destinations with the port of the configuration", test_read},
          {"whatever else the resolver may say is refused", test_hostile})
