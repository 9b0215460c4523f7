/*
 * The rules that bind the agent's user: what its processes may send, whoever has taken them over.
 * A part of the ruleset's text (nft_text.h). Pure; any thread.
 */
#ifndef SALLYPORT_TUNNEL_FIREWALL_NFT_AGENT_H
#define SALLYPORT_TUNNEL_FIREWALL_NFT_AGENT_H

#include "agent/base/strbuf.h"
#include "tunnel/config/netd_config.h"

#include <sys/types.h>

#define NFT_AGENT_SET4 "agent4" /* addresses of names, each for a while; as egress4 */
#define NFT_AGENT_SET6 "agent6"

/* Appends the rule of the chain `output` that leads UID's packets to the chains below. */
void nft_agent_write_branch(uid_t uid, struct strbuf *out);

/*
 * Appends these chains. They need the two sets. GUARD: rules that stand before whatever permits
 * something outside this gateway.
 */
void nft_agent_write_chains(const struct firewall_config *config, const char *guard,
                            struct strbuf *out);

#endif
