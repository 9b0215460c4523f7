/* netd.conf: any text is either refused with a finding, or gives values within their bounds. */
#include "agent/base/strbuf.h"
#include "tunnel/config/netd_config.h"
#include "tunnel/firewall/nft_text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check_config(const struct netd_config *config)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    const struct tunnel_config *tunnel = &config->tunnel;
    must(config->paths.state_dir && config->paths.runtime_dir);
    nft_text_write(&(struct nft_text){.config = config}, &text);
    must(text.length > 100);
    if (!tunnel->is_configured)
        return;
    must(tunnel->max_ttl_s > 0 && tunnel->idle_close_s > 0 && tunnel->n_sources > 0);
    must(ip_network_is_unicast_host(&tunnel->address));
    must(tunnel->gateway && tunnel->private_key_file && tunnel->hub.endpoint_host);
    must(tunnel->hub.endpoint_port > 0);
    for (size_t i = 0; i < tunnel->n_services; i++)
        must(tunnel->services[i].port > 0 &&
             (!tunnel->services[i].is_behind ||
              ip_network_is_unicast_host(&tunnel->services[i].target)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    struct netd_config *config = NULL;
    char path[64];
    static int file = -1;
    if (file < 0)
        file = memfd_create("netd.conf", MFD_CLOEXEC);
    (void)fchmod(file, 0600);
    must(ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == (ssize_t)size);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    if (netd_config_load(path, &findings, &config) == 0)
        check_config(config);
    else
        must(findings.errors > 0);
    netd_config_free(config);
    return 0;
}
