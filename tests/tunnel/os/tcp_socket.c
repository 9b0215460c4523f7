/* Which connections the kernel says are this machine's, in a network of its own. */
#include "tunnel/os/tcp_socket.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "tests/support/private_network.h"
#include "tests/support/test.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

union any {
    struct sockaddr plain;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static union any address_of(const char *text, uint16_t port)
{
    union any made = {.v4 = {.sin_family = AF_INET, .sin_port = htons(port)}};
    if (inet_pton(AF_INET, text, &made.v4.sin_addr) == 1)
        return made;
    made = (union any){.v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)}};
    CU_ASSERT_EQUAL(inet_pton(AF_INET6, text, &made.v6.sin6_addr), 1);
    return made;
}

static uint16_t port_of(int descriptor)
{
    union any at;
    socklen_t length = sizeof(at);
    CU_ASSERT_EQUAL(getsockname(descriptor, &at.plain, &length), 0);
    return ntohs(at.plain.sa_family == AF_INET ? at.v4.sin_port : at.v6.sin6_port);
}

static void judge(const char *text)
{
    struct ip_network host;
    union any any_port = address_of(text, 0);
    int family = any_port.plain.sa_family;
    CLEANUP(descriptor_close) int listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CLEANUP(descriptor_close) int caller = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL(ip_network_parse(text, &host), 0);
    CU_ASSERT_EQUAL(bind(listener, &any_port.plain, sizeof(any_port)), 0);
    CU_ASSERT_EQUAL(listen(listener, 1), 0);
    uint16_t theirs = port_of(listener);
    union any at = address_of(text, theirs);
    CU_ASSERT_EQUAL(connect(caller, &at.plain, sizeof(at)), 0);
    uint16_t ours = port_of(caller);
    CU_ASSERT_TRUE(tcp_socket_has(&host, ours, &host, theirs));
    CU_ASSERT_FALSE(tcp_socket_has(&host, (uint16_t)(ours ^ 1), &host, theirs));
    /* What listens there has no connection with another port. */
    CU_ASSERT_FALSE(tcp_socket_has(&host, theirs, &host, (uint16_t)(ours ^ 1)));
}

static void test_both_families(void)
{
    judge("127.0.0.1");
    judge("::1");
}

static void test_mixed(void)
{
    struct ip_network v4, v6;
    CU_ASSERT_EQUAL(ip_network_parse("127.0.0.1", &v4), 0);
    CU_ASSERT_EQUAL(ip_network_parse("::1", &v6), 0);
    CU_ASSERT_FALSE(tcp_socket_has(&v4, 1, &v6, 2));
}

int main(void)
{
    static const struct test_case all[] = {
        {"a connection of each family, and nothing like it", test_both_families},
        {"addresses of two families are no connection", test_mixed},
    };
    test_private_network();
    return test_main("tcp_socket", all, ARRAY_LENGTH(all));
}
