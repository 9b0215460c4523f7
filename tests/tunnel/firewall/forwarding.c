/* IPv4 forwarding of single interfaces, in a network of its own. */
#include "tunnel/firewall/forwarding.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "tests/support/private_network.h"
#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char is_on(const char *interface)
{
    char path[128], digit = '?';
    (void)snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/forwarding", interface);
    CLEANUP(descriptor_close) int file = open(path, O_RDONLY | O_CLOEXEC);
    CU_ASSERT_EQUAL(read(file, &digit, 1), 1);
    return digit;
}

static void test_forwarding(void)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    struct tunnel_config tunnel = {.n_services = 2,
                                   .services = {{.is_behind = true}, {.port = 22}}};
    struct firewall_lease leases[] = {{.port = 22}, {.port = 502, .interface = "plant"}};
    strcpy(tunnel.services[0].interface.text, "plant");
    CU_ASSERT_EQUAL(forwarding_start(leases, 1, &problem), 0); /* of the gateway itself */
    CU_ASSERT_EQUAL(is_on(TUNNEL_INTERFACE), '0');
    CU_ASSERT_EQUAL(forwarding_start(leases, 2, &problem), 0);
    CU_ASSERT_EQUAL(is_on(TUNNEL_INTERFACE), '1');
    CU_ASSERT_EQUAL(is_on("plant"), '1');
    CU_ASSERT_EQUAL(is_on("other"), '0');
    CU_ASSERT_EQUAL(is_on("all"), '0');
    forwarding_stop(&tunnel);
    CU_ASSERT_EQUAL(is_on(TUNNEL_INTERFACE), '0');
    CU_ASSERT_EQUAL(is_on("plant"), '0');
    strcpy(leases[1].interface, "absent");
    CU_ASSERT_EQUAL(forwarding_start(leases, 2, &problem), -ENODEV);
    TEST_CONTAINS(strbuf_text(&problem), "absent");
}

int main(void)
{
    static const struct test_case cases[] = {
        {"the interfaces of a lease forward, and no other", test_forwarding},
    };
    test_private_network();
    if (test_ip("link", "add", TUNNEL_INTERFACE, "type", "bridge", NULL) != 0 ||
        test_ip("link", "add", "plant", "type", "bridge", NULL) != 0 ||
        test_ip("link", "add", "other", "type", "bridge", NULL) != 0)
        return 1;
    return test_main("forwarding", cases, ARRAY_LENGTH(cases));
}
