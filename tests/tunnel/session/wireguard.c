/*
 * The tunnel's interface without a hub: keys, endpoints, what is left behind. The tunnel itself is
 * up in the scenarios, tunnel-*.
 */
#include "tunnel/session/wireguard.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "tests/support/private_network.h"
#include "tests/support/test.h"
#include "tunnel/model/lease.h"
#include "tunnel/model/wireguard_key.h"
#include "tunnel/os/privileged_child.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_key(void)
{
    CLEANUP(strbuf_free) struct strbuf first = STRBUF_EMPTY, again = STRBUF_EMPTY;
    char path[256];
    struct stat about;
    (void)snprintf(path, sizeof(path), "%s", test_path("made.key"));
    CU_ASSERT_EQUAL_FATAL(wireguard_ensure_key(path, &first), 0);
    CU_ASSERT_TRUE(wireguard_key_is_valid(strbuf_text(&first)));
    CU_ASSERT_EQUAL(stat(path, &about), 0);
    CU_ASSERT_EQUAL(about.st_mode & 0777, 0400);
    CU_ASSERT_EQUAL(wireguard_ensure_key(path, &again), 0); /* the same one */
    TEST_TEXT_EQUAL(strbuf_text(&again), strbuf_text(&first));
    CU_ASSERT_EQUAL(wireguard_ensure_key(test_file("bad.key", "no key\n"), &again), -EINVAL);
    CU_ASSERT_TRUE(wireguard_ensure_key(test_path("absent/made.key"), &again) < 0);
}

static void test_endpoint(void)
{
    char text[WIREGUARD_ENDPOINT_BYTES];
    struct sockaddr_storage hub = {0};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(443)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(65535)};
    CU_ASSERT_EQUAL(inet_pton(AF_INET, "203.0.113.7", &four.sin_addr), 1);
    memcpy(&hub, &four, sizeof(four));
    CU_ASSERT_STRING_EQUAL(wireguard_endpoint(&hub, text), "203.0.113.7:443");
    CU_ASSERT_EQUAL(inet_pton(AF_INET6, "2001:db8:1111:2222:3333:4444:5555:6666", &six.sin6_addr),
                    1);
    memcpy(&hub, &six, sizeof(six));
    CU_ASSERT_STRING_EQUAL(wireguard_endpoint(&hub, text),
                           "[2001:db8:1111:2222:3333:4444:5555:6666]:65535");
}

static void test_leftovers(void)
{
    struct tunnel_config config = {.is_configured = true};
    struct wireguard *wireguard = wireguard_new(&config);
    CU_ASSERT_EQUAL(wireguard_descriptor(wireguard), -1);
    CU_ASSERT_EQUAL(wireguard_down(wireguard), 0); /* nothing is there */
    CU_ASSERT_EQUAL(wireguard_remove_leftovers(), 0);
    CU_ASSERT_EQUAL(test_ip("link", "add", TUNNEL_INTERFACE, "type", "bridge", NULL), 0);
    CU_ASSERT_EQUAL(test_ip("link", "add", "spt7", "type", "bridge", NULL), 0);
    CU_ASSERT_EQUAL(test_ip("link", "add", "spare0", "type", "bridge", NULL), 0);
    CU_ASSERT_EQUAL(wireguard_remove_leftovers(), 2);
    CU_ASSERT_EQUAL(if_nametoindex(TUNNEL_INTERFACE), 0);
    CU_ASSERT_EQUAL(if_nametoindex("spt7"), 0);
    CU_ASSERT_NOT_EQUAL(if_nametoindex("spare0"), 0);
    CU_ASSERT_EQUAL(test_ip("link", "add", TUNNEL_INTERFACE, "type", "bridge", NULL), 0);
    CU_ASSERT_EQUAL(wireguard_down(wireguard), 0);
    CU_ASSERT_EQUAL(if_nametoindex(TUNNEL_INTERFACE), 0);
    wireguard_free(wireguard);
}

/* What cannot come up leaves nothing behind: a key that others may read. */
static void test_refused(void)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    struct sockaddr_storage hub = {0};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(443)};
    char path[256];
    (void)snprintf(path, sizeof(path), "%s",
                   test_file("open.key", "jx7FbTTiQsgPhYhIPfn9XQUn9GkUSq2jeBYqRyfVm2o=\n"));
    CU_ASSERT_EQUAL(chmod(path, 0644), 0);
    struct tunnel_config config = {
        .is_configured = true,
        .private_key_file = path,
        .hub = {.public_key = (char[]){"jx7FbTTiQsgPhYhIPfn9XQUn9GkUSq2jeBYqRyfVm2o="}}};
    memcpy(&hub, &four, sizeof(four));
    struct wireguard *wireguard = wireguard_new(&config);
    CU_ASSERT_TRUE(wireguard_up(wireguard, &hub, &problem) < 0);
    CU_ASSERT_TRUE(problem.length > 0);
    CU_ASSERT_EQUAL(if_nametoindex(TUNNEL_INTERFACE), 0);
    CU_ASSERT_EQUAL(wireguard_descriptor(wireguard), -1);
    CU_ASSERT_TRUE(wireguard_last_handshake_s(wireguard) < 0);
    CU_ASSERT_TRUE(wireguard_set_hub(wireguard, &hub) < 0);
    wireguard_free(wireguard);
}

int main(void)
{
    static const struct test_case cases[] = {
        {"a key is made once, for nobody else to read", test_key},
        {"an endpoint as wg reads it", test_endpoint},
        {"interfaces of an earlier run are removed, and no others", test_leftovers},
        {"what cannot come up leaves nothing behind", test_refused},
    };
    test_private_network();
    if (access(PROGRAM_WG, X_OK) < 0)
        return 77;
    return test_main("wireguard", cases, ARRAY_LENGTH(cases));
}
