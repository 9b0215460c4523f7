/* A resolv.conf of anyone's, and a resolver's answer: only addresses of hosts come out. */
#include "tunnel/os/resolv_conf.h"
#include "tunnel/os/resolve.h"

#include "agent/base/strbuf.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ip_network servers[3], hosts[RESOLVE_MAX];
    struct sockaddr_storage hubs[RESOLVE_MAX];
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    strbuf_append(&text, data, size);
    size_t n = resolv_conf_read(strbuf_text(&text), size, servers, 3);
    assert(n <= 3);
    for (size_t i = 0; i < n; i++)
        assert(ip_network_is_host(&servers[i]));
    int found = resolve_read(strbuf_text(&text), hosts);
    assert(found <= RESOLVE_MAX);
    for (int i = 0; i < found; i++)
        assert(ip_network_is_host(&hosts[i]));
    int usable = resolve_parse(strbuf_text(&text), 443, hubs);
    assert(usable <= found);
    for (int i = 0; i < usable; i++)
        assert(ip_network_is_unicast_host(&hosts[i]));
    return 0;
}
