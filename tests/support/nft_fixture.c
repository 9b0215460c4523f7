/* Golden configurations and leases for tests of the ruleset. */
#include "tests/support/nft_fixture.h"

#include "agent/base/descriptor.h"
#include "config/schema/finding.h"
#include "tests/support/test.h"
#include "tunnel/config/netd_config.h"
#include "tunnel/os/user.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

const char *nft_fixture_path(const char *name, const char *suffix)
{
    static char path[512];
    (void)snprintf(path, sizeof(path), SOURCE_FOLDER "/tests/tunnel/firewall/golden/%s.%s", name,
                   suffix);
    return path;
}

/* From a copy: netd refuses a file that others may write, and a checkout's mode is anyone's.
 */
struct netd_config *nft_fixture_load(const char *name)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf content = STRBUF_EMPTY, text = STRBUF_EMPTY;
    struct netd_config *config = NULL;
    CU_ASSERT_EQUAL_FATAL(file_read(nft_fixture_path(name, "conf"), 100000, &content), 0);
    const char *path = test_file(name, strbuf_text(&content));
    CU_ASSERT_EQUAL_FATAL(chmod(path, 0600), 0);
    (void)netd_config_load(path, &findings, &config);
    findings_print(&findings, &text);
    if (!config)
        printf("%s\n", strbuf_text(&text));
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    return config;
}

struct firewall_lease_state nft_fixture_lease(const char *source, const char *destination,
                                              uint8_t protocol, uint16_t port,
                                              const char *interface)
{
    struct firewall_lease_state state = {
        .lease = {.protocol = protocol, .port = port}, .remaining_ms = 3600000, .bytes = 0};
    CU_ASSERT_EQUAL_FATAL(ip_network_parse(source, &state.lease.source), 0);
    CU_ASSERT_EQUAL_FATAL(ip_network_parse(destination, &state.lease.destination), 0);
    (void)snprintf(state.lease.interface, sizeof(state.lease.interface), "%s", interface);
    return state;
}

size_t nft_fixture_leases(struct firewall_lease_state leases[8])
{
    leases[0] = nft_fixture_lease("10.254.0.0/24", "10.254.1.42", IPPROTO_TCP, 22, "");
    leases[1] =
        nft_fixture_lease("10.254.0.7", "10.254.1.42", IPPROTO_TCP, 22, ""); /* in the one before */
    leases[2] = nft_fixture_lease("10.254.0.0/24", "192.168.10.5", IPPROTO_TCP, 502, "eth1");
    leases[3] = nft_fixture_lease("10.253.0.9", "192.168.10.6", IPPROTO_UDP, 554, "eth1");
    leases[3].remaining_ms = 1501;
    leases[3].bytes = 12345;
    leases[4] = nft_fixture_lease("10.253.0.9", "10.254.1.42", IPPROTO_TCP, 22, "");
    leases[4].remaining_ms = 0; /* ran out: not written */
    return 5;
}

void nft_fixture_write(const struct netd_config *config, const struct firewall_lease_state *leases,
                       size_t n_leases, struct strbuf *out)
{
    const char *user = config->access.agent_user;
    /* A number alone: the names of this machine's users are no matter of these files. */
    bool is_number = user[strspn(user, "0123456789")] == '\0';
    const struct nft_text ruleset = {.config = config,
                                     .leases = leases,
                                     .n_leases = n_leases,
                                     .agent = is_number ? user_find_agent(user) : 0};
    nft_text_write(&ruleset, out);
}
