/* resolv.conf as a stranger may have written it. */
#include "tunnel/os/resolv_conf.h"

#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "agent/base/strbuf.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM 8

/* The servers that are found in TEXT, with blanks between them. */
static const char *found_n(const char *text, size_t length)
{
    static char joined[ROOM * IP_NETWORK_TEXT_BYTES];
    struct ip_network servers[ROOM];
    char one[IP_NETWORK_TEXT_BYTES];
    size_t n = resolv_conf_read(text, length, servers, ROOM), used = 0;
    joined[0] = '\0';
    for (size_t i = 0; i < n; i++)
        used += (size_t)snprintf(joined + used, sizeof(joined) - used, "%s%s", i ? " " : "",
                                 ip_network_format(&servers[i], one));
    return joined;
}

static const char *found(const char *text)
{
    return found_n(text, strlen(text));
}

static void test_usual(void)
{
    TEST_TEXT_EQUAL(found("# made by dhclient\n"
                          "domain plant.example\nsearch plant.example\n"
                          "nameserver 192.0.2.53\n"
                          "nameserver\t 2001:db8::53 # the other\n"
                          "nameserver 192.0.2.53\n"
                          "nameserver fe80::1%eth0\n"
                          "options edns0\n"
                          "nameserver 127.0.0.53"),
                    "192.0.2.53 2001:db8::53 fe80::1 127.0.0.53");
    TEST_TEXT_EQUAL(found("nameserver 192.0.2.53\r\n"), "192.0.2.53");
    TEST_TEXT_EQUAL(found(""), "");
}

static void test_bad_lines(void)
{
    static const char *const lines[] = {
        "nameserver",
        "nameserver ",
        "nameserver192.0.2.1",
        "nameservers 192.0.2.1",
        " nameserver 192.0.2.1",
        "#nameserver 192.0.2.1",
        "nameserver 192.0.2.0/24",
        "nameserver 192.0.2.256",
        "nameserver ns.example.com",
        "nameserver 192.0.2.1,192.0.2.2",
        "nameserver %eth0",
        "nameserver 11111111111111111111111111111111111111111111111111111111111111111111111",
        "NAMESERVER 192.0.2.1"};
    for (size_t i = 0; i < ARRAY_LENGTH(lines); i++) {
        char text[256];
        (void)snprintf(text, sizeof(text), "%s\nnameserver 203.0.113.1\n", lines[i]);
        TEST_TEXT_EQUAL(found(text), "203.0.113.1");
    }
}

static void test_bytes(void)
{
    static const char nul[] = "nameserver 192.0.2.1\0.9\nname\0server 192.0.2.2\n\0\n"
                              "nameserver 192.0.2.3\0\nnameserver 192.0.2.4\n";
    TEST_TEXT_EQUAL(found_n(nul, sizeof(nul) - 1), "192.0.2.4");
}

static void test_many(void)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    struct ip_network servers[ROOM + 1] = {0};
    for (int i = 0; i < 200; i++)
        strbuf_addf(&text, "nameserver 198.51.100.%d\n", i + 1);
    CU_ASSERT_EQUAL(resolv_conf_read(text.data, text.length, servers, ROOM), ROOM);
    CU_ASSERT_EQUAL(servers[ROOM - 1].bytes[3], ROOM);
    CU_ASSERT_EQUAL(servers[ROOM].family, AF_UNSPEC);
    CU_ASSERT_EQUAL(resolv_conf_read(text.data, text.length, servers, 0), 0);
}

/* A good file with bytes changed, doubled and cut: whatever comes out is hosts, and never more than
 * there is room for. The copy has its exact size, so that the sanitizer sees a byte too far. */
static void test_garbage(void)
{
    static const char good[] = "nameserver 192.0.2.53\nnameserver 2001:db8::53\nsearch a.example\n";
    static const char pieces[] = "nameserver \n\t%#;:./0129af\xff\r";
    uint32_t seed = 1;
    for (unsigned round = 0; round < 20000; round++) {
        size_t length = (seed >> 8) % sizeof(good);
        char *exact = memory_resize(NULL, length ? length : 1, 1);
        memcpy(exact, good, length);
        for (unsigned i = 0; i < 4 && length > 0; i++) {
            seed = seed * 1664525 + 1013904223;
            exact[(seed >> 8) % length] = pieces[(seed >> 20) % sizeof(pieces)];
        }
        seed = seed * 1664525 + 1013904223;
        struct ip_network servers[2];
        size_t n = resolv_conf_read(exact, length, servers, 2);
        CU_ASSERT_TRUE_FATAL(n <= 2);
        for (size_t i = 0; i < n; i++)
            CU_ASSERT_TRUE(ip_network_is_host(&servers[i]));
        free(exact);
    }
}

TEST_MAIN("resolv_conf", {"a file as it usually is", test_usual},
          {"a line that is no name server is passed over", test_bad_lines},
          {"bytes that are no text", test_bytes},
          {"more servers than there is room for", test_many}, {"garbage is survived", test_garbage})
