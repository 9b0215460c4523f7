/*
 * The lockdown before the network. Nothing that netd's user can write is believed here: a program
 * of that user which was taken over would open the next boot.
 */
#include "tunnel/firewall/firewall_boot.h"

#include "agent/base/descriptor.h"
#include "tunnel/firewall/conntrack.h"
#include "tunnel/firewall/nft_built_in.h"
#include "tunnel/firewall/nft_run.h"
#include "tunnel/firewall/nft_text.h"
#include "tunnel/journal/sha256.h"
#include "tunnel/os/user.h"

#include <string.h>

void firewall_boot_text(const struct netd_config *config, struct strbuf *out)
{
    CLEANUP(strbuf_free) struct strbuf rules = STRBUF_EMPTY;
    char hex[SHA256_HEX_BYTES];
    nft_text_write(
        &(struct nft_text){.config = config, .agent = user_find_agent(config->access.agent_user)},
        &rules);
    sha256_text(strbuf_text(&rules), rules.length, hex);
    strbuf_addf(out, NFT_BOOT_HEADER "%s\n%s", hex, strbuf_text(&rules));
}

int firewall_write_boot_file(const struct netd_config *config, const char *path,
                             struct strbuf *problem)
{
    CLEANUP(strbuf_free) struct strbuf file = STRBUF_EMPTY;
    firewall_boot_text(config, &file);
    int result = nft_run_check(strbuf_text(&file), problem);
    if (result < 0)
        return result;
    result = file_replace(path, file.data, file.length, 0640);
    if (result < 0)
        strbuf_addf(problem, "%s cannot be written: %s", path, strerror(-result));
    return result;
}

/* Before the network there is nothing to cut; but this may be started later, by hand. */
int firewall_lockdown(struct strbuf *problem)
{
    int result = nft_run_load(nft_text_built_in, problem);
    if (result == 0)
        (void)conntrack_cut(NULL, 0, true);
    return result;
}

int firewall_lockdown_as(const struct netd_config *config, struct strbuf *problem)
{
    CLEANUP(strbuf_free) struct strbuf rules = STRBUF_EMPTY;
    nft_text_write(
        &(struct nft_text){.config = config, .agent = user_find_agent(config->access.agent_user)},
        &rules);
    return nft_run_load(strbuf_text(&rules), problem);
}
