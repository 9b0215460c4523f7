/* The firewall of netd.conf: interfaces, exceptions, and where the machine and the agent may go. */
#include "tunnel/config/netd_firewall.h"

#include "agent/base/macros.h"
#include "tunnel/config/netd_options.h"
#include "tunnel/config/netd_values.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DNS_PORT 53  /* RFC 1035 4.2 */
#define NTP_PORT 123 /* RFC 5905 7.2 */

static uint8_t exception_protocol(int index)
{
    return index == 2 ? IPPROTO_ICMP : netd_protocol_of(index);
}

/* TEXT was checked by its row: "22" or "5000-5010"; NULL: there is none, or it was refused. */
static void read_ports(const struct section *element, const char *text, bool is_given,
                       struct firewall_exception *exception)
{
    if (exception->protocol == IPPROTO_ICMP) {
        if (is_given)
            VALUE_ERROR(element, "port", "has no meaning with protocol = \"icmp\": leave it out");
        return;
    }
    if (!text) {
        if (!is_given)
            VALUE_ERROR(element, "port", "missing; a number, or a range such as \"5000-5010\"");
        return;
    }
    const char *dash = strchr(text, '-');
    exception->port = (uint16_t)strtoul(text, NULL, 10);
    exception->last_port = dash ? (uint16_t)strtoul(dash + 1, NULL, 10) : exception->port;
}

static void read_exception(const struct section *element, struct firewall_config *config)
{
    struct raw_exception raw = {0};
    struct part part = {.table = &netd_exception_table, .values = &raw};
    section_read(element, &part, 1, NULL);
    if (part_is_complete(&part)) {
        struct firewall_exception *exception = &config->exceptions[config->n_exceptions++];
        netd_read_pattern(element, "interface", raw.interface, true, &exception->interface);
        (void)netd_read_network(element, "source", raw.source, &exception->source);
        exception->protocol = exception_protocol(raw.protocol);
        read_ports(element, raw.port, part.present & option_bit(part.table, "port"), exception);
    }
    table_free(&netd_exception_table, &raw);
}

static void allow(struct firewall_config *config, const struct ip_network *destination,
                  uint8_t protocol, uint16_t port, bool is_time)
{
    config->allow[config->n_allow++] = (struct firewall_egress){
        .destination = *destination, .protocol = protocol, .port = port, .is_time = is_time};
}

static size_t count_names(const struct firewall_config *config, bool is_agents)
{
    size_t count = 0;
    for (size_t i = 0; i < config->n_names; i++)
        count += config->names[i].is_agents == is_agents;
    return count;
}

/* Adds NAME, whose host is TEXT, unless that is no name or one too many. */
static void read_name(const struct section *section, const char *key, const char *text,
                      const struct firewall_name *name, struct firewall_config *config)
{
    size_t room = name->is_agents ? NETD_MAX_REACH_NAMES : NETD_MAX_NAMES;
    if (!netd_is_host_name(text)) {
        VALUE_ERROR(section, key, "\"%s\" is not a name, address or network", text);
    } else if (count_names(config, name->is_agents) == room) {
        VALUE_ERROR(section, key, "\"%s\" is one name too many: %s %zu", text,
                    name->is_agents ? "may_reach takes" : "egress_allow and ntp take", room);
    } else {
        struct firewall_name *added = &config->names[config->n_names++];
        *added = *name;
        (void)memccpy(added->host, text, '\0', sizeof(added->host));
    }
}

/* A name, an address or a network, as DESTINATION of KEY. */
static void read_destination(const struct section *section, const char *key, const char *text,
                             const struct firewall_name *name, struct firewall_config *config)
{
    struct ip_network network;
    if (!netd_looks_like_address(text))
        read_name(section, key, text, name, config);
    else if (netd_read_network(section, key, text, &network))
        allow(config, &network, name->protocol, name->port, name->is_time);
}

static void read_egress(const struct section *element, struct firewall_config *config)
{
    struct raw_egress raw = {0};
    if (netd_read_group(element, &netd_egress_table, &raw, NULL)) {
        const struct firewall_name name = {.protocol = netd_protocol_of(raw.protocol),
                                           .port = (uint16_t)raw.port};
        read_destination(element, "destination", raw.destination, &name, config);
    }
    table_free(&netd_egress_table, &raw);
}

static void reach(struct agent_config *agent, const struct ip_network *destination,
                  const struct firewall_name *name)
{
    agent->reach[agent->n_reach++] = (struct firewall_egress){.destination = *destination,
                                                              .protocol = name->protocol,
                                                              .port = name->port,
                                                              .entry = name->entry};
}

/* One element of agent.may_reach. "localhost" is no name that a name server is asked for. */
static void read_reach(const struct section *element, const char *text,
                       const struct firewall_name *name, struct firewall_config *config)
{
    struct ip_network network;
    if (strcasecmp(text, "localhost") == 0) {
        static const char *const addresses[] = {"127.0.0.1", "::1"};
        for (size_t i = 0; i < ARRAY_LENGTH(addresses); i++) {
            if (ip_network_parse(addresses[i], &network) == 0)
                reach(&config->agent, &network, name);
        }
    } else if (!netd_looks_like_address(text)) {
        read_name(element, "destination", text, name, config);
    } else if (netd_read_network(element, "destination", text, &network)) {
        reach(&config->agent, &network, name);
    }
}

static void read_reach_entry(const struct section *element, size_t entry,
                             struct firewall_config *config)
{
    struct raw_reach raw = {0};
    if (netd_read_group(element, &netd_reach_table, &raw, NULL)) {
        const struct firewall_name name = {.protocol = netd_protocol_of(raw.protocol),
                                           .port = (uint16_t)raw.port,
                                           .side = raw.side,
                                           .is_agents = true,
                                           .entry = entry};
        config->agent.lines[entry] = element->where.line;
        read_reach(element, raw.destination, &name, config);
    }
    table_free(&netd_reach_table, &raw);
}

static void read_dns(const struct section *section, const struct text_list *list,
                     struct firewall_config *config)
{
    config->dns_is_fixed = list->length > 0;
    for (size_t i = 0; i < list->length; i++) {
        struct ip_network server;
        if (!netd_read_network(section, "dns", list->items[i], &server))
            continue;
        if (!ip_network_is_unicast_host(&server)) {
            VALUE_ERROR(section, "dns", "\"%s\" is not the address of a server elsewhere",
                        list->items[i]);
            continue;
        }
        allow(config, &server, IPPROTO_UDP, DNS_PORT, false);
        allow(config, &server, IPPROTO_TCP, DNS_PORT, false);
    }
}

static void read_ntp(const struct section *section, const struct text_list *list,
                     struct firewall_config *config)
{
    const struct firewall_name name = {.protocol = IPPROTO_UDP, .port = NTP_PORT, .is_time = true};
    for (size_t i = 0; i < list->length; i++)
        read_destination(section, "ntp", list->items[i], &name, config);
}

/* What nobody looks at with egress = "open": but the agent may be bound by it. */
static size_t count_idle(const struct firewall_config *config)
{
    size_t idle = 0;
    for (size_t i = 0; i < config->n_allow; i++)
        idle += config->allow[i].is_time || !config->agent.is_bound;
    for (size_t i = 0; i < config->n_names; i++)
        idle +=
            !config->names[i].is_agents && (config->names[i].is_time || !config->agent.is_bound);
    return idle;
}

static void check_egress(const struct section *section, const struct firewall_config *config)
{
    if (config->egress == EGRESS_OPEN && count_idle(config) > 0)
        section_report(section, FINDING_WARNING, "egress", "is \"open\": %s no effect",
                       config->agent.is_bound ? "ntp has" : "egress_allow, dns and ntp have");
}

static void check_interfaces(const struct section *section, const struct firewall_config *config)
{
    for (size_t i = 0; i < config->n_wan; i++) {
        for (size_t j = 0; j < config->n_plant; j++) {
            if (strcmp(config->wan[i].text, config->plant[j].text) == 0)
                VALUE_ERROR(section, "plant", "\"%s\" is listed in wan as well",
                            config->plant[j].text);
        }
    }
}

/* The group `agent`; with it, also when it is empty, the agent is bound. */
static void read_agent(const struct section *root, struct firewall_config *config)
{
    static const char *const lists[] = {"may_reach", NULL};
    struct section section, element;
    config->agent.is_bound = section_child(root, "agent", &section);
    section_expect(&section, lists);
    size_t length = section_list(&section, "may_reach", NETD_MAX_REACH);
    for (size_t i = 0; i < length; i++) {
        if (section_element(&section, "may_reach", i, &element))
            read_reach_entry(&element, i, config);
    }
    config->agent.n_entries = length;
    config->agent.n_destinations = (uint32_t)length;
}

void netd_read_firewall(const struct section *root, struct firewall_config *config)
{
    static const char *const lists[] = {"exceptions", "egress_allow", NULL};
    struct section section, element;
    struct raw_firewall raw = {0};
    section_child(root, "firewall", &section);
    (void)netd_read_group(&section, &netd_firewall_table, &raw, lists);
    netd_read_patterns(&section, "wan", &raw.wan, config->wan, &config->n_wan);
    netd_read_patterns(&section, "plant", &raw.plant, config->plant, &config->n_plant);
    config->egress = raw.egress;
    config->egress_lease_s = raw.egress_lease_s;
    read_dns(&section, &raw.dns, config);
    read_ntp(&section, &raw.ntp, config);
    table_free(&netd_firewall_table, &raw);
    check_interfaces(&section, config);
    read_agent(root, config);
    size_t length = section_list(&section, "exceptions", NETD_MAX_EXCEPTIONS);
    for (size_t i = 0; i < length; i++) {
        if (section_element(&section, "exceptions", i, &element))
            read_exception(&element, config);
    }
    length = section_list(&section, "egress_allow", NETD_MAX_EGRESS);
    for (size_t i = 0; i < length; i++) {
        if (section_element(&section, "egress_allow", i, &element))
            read_egress(&element, config);
    }
    config->agent.n_destinations += (uint32_t)length;
    check_egress(&section, config);
}
