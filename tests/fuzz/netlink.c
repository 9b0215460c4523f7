/*
 * Datagrams of the kernel, or of whoever plays it: links, routes, changes of rules, entries of
 * connection tracking. What is read is terminated and within its bounds.
 */
#include "tunnel/firewall/conntrack.c" /* its reader is not public */
#include "tunnel/firewall/nft_run.h"
#include "tunnel/os/rtnl_links.h"
#include "tunnel/os/rtnl_routes.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(const struct nlmsghdr *message, void *context)
{
    struct rtnl_link_info link;
    struct rtnl_route route;
    struct nft_change change = {0};
    if (rtnl_link_read(message, &link)) {
        assert(link.name[0] && strlen(link.name) < sizeof(link.name));
        assert(strlen(link.kind) < sizeof(link.kind));
    }
    if (rtnl_route_read(message, &route)) {
        assert(route.network.prefix > 0 &&
               route.network.prefix <= (route.network.family == AF_INET ? 32 : 128));
        assert(strlen(route.interface) < sizeof(route.interface));
    }
    (void)nft_change_read(message, "sallyport", &change);
    assert(strlen(change.program) < sizeof(change.program));
    consider(message, context);
}

/* A copy of exactly the bytes there are, so that reading beyond them is seen. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conntrack_search search = {.is_wanted = is_foreign};
    uint8_t *bytes = malloc(size ? size : 1);
    if (size > 0)
        memcpy(bytes, data, size);
    netlink_each(bytes, size, look, &search);
    assert(search.found.length == search.n_found * sizeof(struct conntrack_entry));
    strbuf_free(&search.found);
    free(bytes);
    return 0;
}
