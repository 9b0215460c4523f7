/* Whether netd's rules let the agent reach what its own file names, and nothing else. */
#include "agent/cli/check_reach.h"

#include "agent/base/memory.h"
#include "agent/cli/reach.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Which entries of agent.may_reach something uses, by number. */
struct used {
    bool entries[NETD_MAX_REACH];
};

static const char *protocol_of(const struct reach_need *need)
{
    return need->is_udp ? "udp" : "tcp";
}

static bool is_same_port(const struct reach_need *need, uint8_t protocol, uint16_t port)
{
    return protocol == (need->is_udp ? IPPROTO_UDP : IPPROTO_TCP) && port == need->port;
}

/* What a name or "localhost" may have is not known here, but that a loopback address has to be
 * written down by itself is. */
static bool takes_in(const struct firewall_egress *entry, const struct reach_need *need)
{
    struct ip_network host;
    const char *text = need->host;
    if (!is_same_port(need, entry->protocol, entry->port))
        return false;
    if (strcasecmp(text, "localhost") == 0) /* of which an entry has both addresses */
        text = entry->destination.family == AF_INET6 ? "::1" : "127.0.0.1";
    if (ip_network_parse(text, &host) < 0 || !ip_network_contains(&entry->destination, &host))
        return false;
    return !reach_is_loopback(need->host) || ip_network_is_host(&entry->destination);
}

static bool is_name(const struct firewall_name *entry, const struct reach_need *need)
{
    return is_same_port(need, entry->protocol, entry->port) && !entry->is_time &&
           strcasecmp(entry->host, need->host) == 0;
}

/* ---- With the group ---- */

static bool is_in_reach(const struct firewall_config *firewall, const struct reach_need *need,
                        struct used *used)
{
    bool found = false;
    for (size_t i = 0; i < firewall->agent.n_reach; i++) {
        if (takes_in(&firewall->agent.reach[i], need))
            found = used->entries[firewall->agent.reach[i].entry] = true;
    }
    for (size_t i = 0; i < firewall->n_names; i++) {
        const struct firewall_name *name = &firewall->names[i];
        if (!is_name(name, need))
            continue;
        found = true;
        if (name->is_agents)
            used->entries[name->entry] = true;
    }
    return found;
}

/* Its networks do not count in the plant, and nothing of it on this gateway itself. */
static bool is_in_egress(const struct firewall_config *firewall, const struct reach_need *need)
{
    for (size_t i = 0; i < firewall->n_allow && !reach_is_loopback(need->host); i++) {
        const struct firewall_egress *entry = &firewall->allow[i];
        if (!entry->is_time && takes_in(entry, need) &&
            (!need->is_plant || ip_network_is_host(&entry->destination)))
            return true;
    }
    return false;
}

/* A name may have the address of an entry that nothing else uses: only DNS could tell. */
static bool may_have_entry(const struct firewall_config *firewall, const struct reach_need *need,
                           const struct used *before, struct used *used)
{
    struct ip_network address;
    bool found = false;
    if (reach_is_loopback(need->host) || ip_network_parse(need->host, &address) == 0)
        return false;
    for (size_t i = 0; i < firewall->agent.n_reach; i++) {
        const struct firewall_egress *entry = &firewall->agent.reach[i];
        if (!before->entries[entry->entry] && is_same_port(need, entry->protocol, entry->port))
            found = used->entries[entry->entry] = true;
    }
    for (size_t i = 0; i < firewall->n_allow; i++) {
        const struct firewall_egress *entry = &firewall->allow[i];
        if (!need->is_plant && is_same_port(need, entry->protocol, entry->port))
            found = true;
    }
    return found;
}

static void report_missing(const struct reach_need *need, struct findings *findings)
{
    CLEANUP(strbuf_free) struct strbuf group = STRBUF_EMPTY;
    struct reach_need copy = *need;
    const struct reach_needs one = {&copy, 1};
    reach_print_group(&one, false, &group);
    findings_add(findings, FINDING_ERROR, need->where, need->key,
                 "%s port %u (%s) is not in agent.may_reach of netd.conf: the agent cannot reach "
                 "it; add it: %s",
                 need->host, need->port, protocol_of(need), strbuf_text(&group));
}

static void report_unused(const struct agent_config *agent, const struct used *used,
                          const char *netd_file, struct findings *findings)
{
    for (size_t i = 0; i < agent->n_entries; i++) {
        char key[48];
        (void)snprintf(key, sizeof(key), "agent.may_reach[%zu]", i);
        if (!used->entries[i])
            findings_add(findings, FINDING_WARNING, (struct where){netd_file, agent->lines[i]}, key,
                         "no broker, proxy or line of the agent uses this entry, but a taken-over "
                         "agent could; remove it");
    }
}

static void check_bound(const struct reach_needs *needs, const struct firewall_config *firewall,
                        const char *netd_file, struct findings *findings)
{
    struct used used = {0};
    CLEANUP(memory_free_pointer) bool *found = memory_zeroed(needs->length + 1, sizeof(bool));
    for (size_t i = 0; i < needs->length; i++)
        found[i] = is_in_reach(firewall, &needs->items[i], &used) ||
                   is_in_egress(firewall, &needs->items[i]);
    const struct used exactly = used;
    for (size_t i = 0; i < needs->length; i++) {
        if (!found[i] && !may_have_entry(firewall, &needs->items[i], &exactly, &used))
            report_missing(&needs->items[i], findings);
    }
    report_unused(&firewall->agent, &used, netd_file, findings);
}

/* ---- Without it ---- */

static bool is_let_out(const struct firewall_config *firewall, const struct reach_need *need)
{
    struct ip_network address;
    bool is_address = ip_network_parse(need->host, &address) == 0;
    for (size_t i = 0; i < firewall->n_names; i++) {
        if (is_name(&firewall->names[i], need))
            return true;
    }
    for (size_t i = 0; i < firewall->n_allow; i++) {
        const struct firewall_egress *allow = &firewall->allow[i];
        /* A name may have any address: only DNS could tell. */
        if (is_same_port(need, allow->protocol, allow->port) &&
            (!is_address || ip_network_contains(&allow->destination, &address)))
            return true;
    }
    return false;
}

static void check_unbound_need(const struct reach_need *need,
                               const struct firewall_config *firewall, struct findings *findings)
{
    if (reach_is_loopback(need->host))
        findings_add(findings, FINDING_ERROR, need->where, need->key,
                     "%s is this gateway itself, where the agent reaches nothing but what "
                     "agent.may_reach of netd.conf names; add the group `agent`",
                     need->host);
    else if (!need->is_plant && firewall->egress == EGRESS_STRICT && !is_let_out(firewall, need))
        findings_add(findings, FINDING_WARNING, need->where, need->key,
                     "%s port %u is not in firewall.egress_allow of netd.conf: with egress = "
                     "\"strict\" the agent cannot reach it, unless it is in a plant network",
                     need->host, need->port);
}

static void check_unbound(const struct reach_needs *needs, const struct firewall_config *firewall,
                          const char *netd_file, struct findings *findings)
{
    CLEANUP(strbuf_free) struct strbuf group = STRBUF_EMPTY;
    for (size_t i = 0; i < needs->length; i++)
        check_unbound_need(&needs->items[i], firewall, findings);
    reach_print_group(needs, false, &group);
    findings_add(findings, FINDING_WARNING, (struct where){netd_file, 0}, "agent",
                 "there is no such group: an agent that is taken over can reach every host in "
                 "plant and WAN; add it: %s",
                 strbuf_text(&group));
}

void check_reach(const struct config *agent, const struct netd_config *netd, const char *netd_file,
                 struct findings *findings)
{
    CLEANUP(reach_needs_free) struct reach_needs needs;
    reach_needs_make(agent, &needs);
    if (netd->firewall.agent.is_bound)
        check_bound(&needs, &netd->firewall, netd_file, findings);
    else
        check_unbound(&needs, &netd->firewall, netd_file, findings);
}
