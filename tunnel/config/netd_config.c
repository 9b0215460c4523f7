/*
 * Loads netd.conf: the tables give plain values, and here they become addresses, ports and names
 * that nobody has to check again.
 */
#include "tunnel/config/netd_config.h"

#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "config/load/section.h"
#include "tunnel/config/netd_options.h"
#include "tunnel/config/overlap.h"
#include "tunnel/model/wireguard_key.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE_BYTES (256 * 1024)
#define DNS_PORT 53  /* RFC 1035 4.2 */
#define NTP_PORT 123 /* RFC 5905 7.2 */
#define FAIL(section, key, ...) section_report(section, FINDING_ERROR, key, __VA_ARGS__)

/* ---- Single values ---- */

/* Whether the name or pattern TEXT, PLAIN characters without its *, matches NAME. */
static bool takes_in(const char *text, size_t plain, bool is_pattern, const char *name)
{
    return is_pattern ? strncmp(text, name, plain) == 0 : strcmp(text, name) == 0;
}

static void read_pattern(const struct section *section, const char *key, const char *text,
                         bool wildcard, struct interface_pattern *ret_pattern)
{
    static const char fit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t plain = strspn(text, fit);
    bool is_pattern = wildcard && text[plain] == '*' && text[plain + 1] == '\0';
    if (plain == 0 || plain + is_pattern >= IFNAMSIZ || (text[plain] && !is_pattern))
        FAIL(section, key, "\"%s\" is not an interface name%s", text,
             wildcard ? "; a pattern is the start of a name and a * at its end" : "");
    else if (takes_in(text, plain, is_pattern, "lo") || strncmp(text, "spt", 3) == 0 ||
             takes_in(text, plain, is_pattern, "spt0"))
        FAIL(section, key, "\"%s\" would take in loopback or the tunnel itself", text);
    else
        (void)memccpy(ret_pattern->text, text, '\0', sizeof(ret_pattern->text));
}

static void read_patterns(const struct section *section, const char *key,
                          const struct text_list *list, struct interface_pattern *patterns,
                          size_t *ret_count)
{
    for (size_t i = 0; i < list->length; i++)
        read_pattern(section, key, list->items[i], true, &patterns[i]);
    *ret_count = list->length;
}

static bool read_network(const struct section *section, const char *key, const char *text,
                         struct ip_network *ret_network)
{
    if (ip_network_parse(text, ret_network) == 0)
        return true;
    FAIL(section, key, "\"%s\" is not an address or network; all bits after the prefix must be 0",
         text);
    return false;
}

static void read_host4(const struct section *section, const char *key, const char *text,
                       struct ip_network *ret_host)
{
    struct ip_network host;
    if (!read_network(section, key, text, &host))
        return;
    if (host.family != AF_INET || !ip_network_is_unicast_host(&host))
        FAIL(section, key, "\"%s\" is not the IPv4 address of one host", text);
    else
        *ret_host = host;
}

static uint8_t protocol_of(int index)
{
    return index == 0 ? IPPROTO_TCP : IPPROTO_UDP;
}

static bool is_host_name(const char *text)
{
    static const char fit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-";
    size_t length = strlen(text);
    return length >= 1 && length <= 253 && strspn(text, fit) == length && text[0] != '-' &&
           text[0] != '.' && !strstr(text, "..");
}

/* What can only be an address: has a ':' or a '/', or ends with a label of digits. */
static bool looks_like_address(const char *text)
{
    const char *dot = strrchr(text, '.'), *last = dot ? dot + 1 : text;
    return strpbrk(text, ":/") || last[strspn(last, "0123456789")] == '\0';
}

/* "NAME:PORT", "ADDRESS:PORT" or "[IPV6]:PORT". */
static void read_endpoint(const struct section *section, const char *text, struct tunnel_hub *hub)
{
    const char *colon = strrchr(text, ':');
    size_t length = colon ? (size_t)(colon - text) : 0;
    bool is_v6 = length > 2 && text[0] == '[' && text[length - 1] == ']';
    CLEANUP(memory_free_pointer)
    char *host = memory_text_n(text + is_v6, length >= 2 && is_v6 ? length - 2 : length);
    struct ip_network address;
    bool is_fit = is_v6 ? ip_network_parse(host, &address) == 0 && address.family == AF_INET6 &&
                              ip_network_is_unicast_host(&address)
                        : is_host_name(host);
    const char *digits = colon ? colon + 1 : "";
    size_t n_digits = strspn(digits, "0123456789");
    unsigned long port =
        n_digits >= 1 && n_digits <= 5 && !digits[n_digits] ? strtoul(digits, NULL, 10) : 0;
    if (!is_fit || port < 1 || port > 65535) {
        FAIL(section, "endpoint", "\"%s\" is not NAME:PORT, ADDRESS:PORT or [IPV6]:PORT", text);
        return;
    }
    hub->endpoint_host = TAKE_POINTER(host);
    hub->endpoint_port = (uint16_t)port;
}

/* ---- Groups ---- */

/* Reads one group with one table; false when what is required is not there. */
static bool netd_config_read_group(const struct section *section, const struct option_table *table,
                                   void *values, const char *const *others)
{
    struct part part = {.table = table, .values = values};
    section_read(section, &part, 1, others);
    return part_is_complete(&part);
}

static uint8_t exception_protocol(int index)
{
    return index == 2 ? IPPROTO_ICMP : protocol_of(index);
}

/* TEXT was checked by its row: "22" or "5000-5010"; NULL: there is none, or it was refused. */
static void read_ports(const struct section *element, const char *text, bool is_given,
                       struct firewall_exception *exception)
{
    if (exception->protocol == IPPROTO_ICMP) {
        if (is_given)
            FAIL(element, "port", "has no meaning with protocol = \"icmp\": leave it out");
        return;
    }
    if (!text) {
        if (!is_given)
            FAIL(element, "port", "missing; a number, or a range such as \"5000-5010\"");
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
        read_pattern(element, "interface", raw.interface, true, &exception->interface);
        (void)read_network(element, "source", raw.source, &exception->source);
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
    if (!is_host_name(text)) {
        FAIL(section, key, "\"%s\" is not a name, address or network", text);
    } else if (count_names(config, name->is_agents) == room) {
        FAIL(section, key, "\"%s\" is one name too many: %s %zu", text,
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
    if (!looks_like_address(text))
        read_name(section, key, text, name, config);
    else if (read_network(section, key, text, &network))
        allow(config, &network, name->protocol, name->port, name->is_time);
}

static void netd_config_read_egress(const struct section *element, struct firewall_config *config)
{
    struct raw_egress raw = {0};
    if (netd_config_read_group(element, &netd_egress_table, &raw, NULL)) {
        const struct firewall_name name = {.protocol = protocol_of(raw.protocol),
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
    } else if (!looks_like_address(text)) {
        read_name(element, "destination", text, name, config);
    } else if (read_network(element, "destination", text, &network)) {
        reach(&config->agent, &network, name);
    }
}

static void netd_config_read_reach(const struct section *element, size_t entry,
                                   struct firewall_config *config)
{
    struct raw_reach raw = {0};
    if (netd_config_read_group(element, &netd_reach_table, &raw, NULL)) {
        const struct firewall_name name = {.protocol = protocol_of(raw.protocol),
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
        if (!read_network(section, "dns", list->items[i], &server))
            continue;
        if (!ip_network_is_unicast_host(&server)) {
            FAIL(section, "dns", "\"%s\" is not the address of a server elsewhere", list->items[i]);
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

static void netd_config_check_egress(const struct section *section,
                                     const struct firewall_config *config)
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
                FAIL(section, "plant", "\"%s\" is listed in wan as well", config->plant[j].text);
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
            netd_config_read_reach(&element, i, config);
    }
    config->agent.n_entries = length;
    config->agent.n_destinations = (uint32_t)length;
}

static void read_firewall(const struct section *root, struct firewall_config *config)
{
    static const char *const lists[] = {"exceptions", "egress_allow", NULL};
    struct section section, element;
    struct raw_firewall raw = {0};
    section_child(root, "firewall", &section);
    (void)netd_config_read_group(&section, &netd_firewall_table, &raw, lists);
    read_patterns(&section, "wan", &raw.wan, config->wan, &config->n_wan);
    read_patterns(&section, "plant", &raw.plant, config->plant, &config->n_plant);
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
            netd_config_read_egress(&element, config);
    }
    config->agent.n_destinations += (uint32_t)length;
    netd_config_check_egress(&section, config);
}

static void netd_config_read_hub(const struct section *tunnel, struct tunnel_hub *hub)
{
    struct section section;
    struct raw_hub raw = {0};
    section_child(tunnel, "hub", &section);
    if (netd_config_read_group(&section, &netd_hub_table, &raw, NULL)) {
        if (!wireguard_key_is_valid(raw.public_key))
            FAIL(&section, "public_key", "is not a WireGuard key: 43 characters of base64 and a =");
        read_endpoint(&section, raw.endpoint, hub);
        read_host4(&section, "address", raw.address, &hub->address);
        hub->public_key = TAKE_POINTER(raw.public_key);
        hub->preshared_key_file = TAKE_POINTER(raw.preshared_key_file);
    }
    table_free(&netd_hub_table, &raw);
}

static bool is_same_port(const struct tunnel_service *a, const struct tunnel_service *b)
{
    return a->protocol == b->protocol && a->port == b->port &&
           ip_network_equal(&a->target, &b->target);
}

static void check_service(const struct section *element, const struct tunnel_config *config,
                          const struct tunnel_service *service)
{
    for (const struct tunnel_service *other = config->services; other < service; other++) {
        if (strcmp(other->name, service->name) == 0)
            FAIL(element, "name", "\"%s\" is given twice", service->name);
        else if (is_same_port(other, service))
            FAIL(element, "port", "is the same place as the service \"%s\"", other->name);
    }
    if (service->is_behind && ip_network_contains(&service->target, &config->address))
        FAIL(element, "target", "is this gateway itself: leave target and interface out");
    for (size_t i = 0; service->is_behind && i < config->n_sources; i++) {
        if (ip_network_contains(&config->sources[i], &service->target))
            FAIL(element, "target", "lies inside tunnel.sources");
    }
}

static void read_service(const struct section *element, struct tunnel_config *config)
{
    struct raw_service raw = {0};
    if (netd_config_read_group(element, &netd_service_table, &raw, NULL)) {
        struct tunnel_service *service = &config->services[config->n_services++];
        (void)memccpy(service->name, raw.name, '\0', sizeof(service->name) - 1);
        service->protocol = protocol_of(raw.protocol);
        service->port = (uint16_t)raw.port;
        service->is_behind = raw.target != NULL;
        if (!raw.target != !raw.interface)
            FAIL(element, raw.target ? "interface" : "target",
                 "target and interface belong together");
        if (raw.target)
            read_host4(element, "target", raw.target, &service->target);
        if (raw.interface)
            read_pattern(element, "interface", raw.interface, false, &service->interface);
        check_service(element, config, service);
    }
    table_free(&netd_service_table, &raw);
}

static void read_sources(const struct section *section, const struct text_list *list,
                         struct tunnel_config *config)
{
    for (size_t i = 0; i < list->length; i++) {
        struct ip_network source;
        if (!read_network(section, "sources", list->items[i], &source))
            continue;
        if (source.family != AF_INET || source.prefix < 8)
            FAIL(section, "sources", "\"%s\" is not an IPv4 network of at most /8", list->items[i]);
        else
            config->sources[config->n_sources++] = source;
    }
}

/* "SITE/ID", both fit for one level of a topic. */
static bool is_gateway(const char *text)
{
    static const char fit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    size_t site = strspn(text, fit);
    size_t id = text[site] == '/' ? strspn(text + site + 1, fit) : 0;
    return site >= 1 && site <= 64 && id >= 1 && id <= 64 && !text[site + 1 + id];
}

static void netd_config_take_tunnel(const struct section *section, struct raw_tunnel *raw,
                                    struct tunnel_config *config)
{
    if (!is_gateway(raw->gateway))
        FAIL(section, "gateway", "\"%s\" is not SITE/ID", raw->gateway);
    read_host4(section, "address", raw->address, &config->address);
    read_sources(section, &raw->sources, config);
    config->gateway = TAKE_POINTER(raw->gateway);
    config->private_key_file = TAKE_POINTER(raw->private_key_file);
    config->max_ttl_s = raw->max_ttl_s;
    config->idle_close_s = raw->idle_close_s;
    config->keepalive_s = raw->keepalive_s;
    config->mtu = raw->mtu;
    config->approval = raw->approval;
}

static void netd_config_read_tunnel(const struct section *root, struct tunnel_config *config)
{
    static const char *const groups[] = {"hub", "services", NULL};
    struct section section, element;
    struct raw_tunnel raw = {0};
    config->is_configured = section_child(root, "tunnel", &section);
    if (!config->is_configured)
        return;
    if (netd_config_read_group(&section, &netd_tunnel_table, &raw, groups))
        netd_config_take_tunnel(&section, &raw, config);
    table_free(&netd_tunnel_table, &raw);
    netd_config_read_hub(&section, &config->hub);
    if (config->address.family && ip_network_contains(&config->address, &config->hub.address))
        FAIL(&section, "address", "is the hub's address as well");
    size_t length = section_list(&section, "services", NETD_MAX_SERVICES);
    for (size_t i = 0; i < length; i++) {
        if (section_element(&section, "services", i, &element))
            read_service(&element, config);
    }
    if (config->n_services == 0)
        section_report(&section, FINDING_WARNING, "services",
                       "is empty: there is nothing that a session could open");
}

/* ---- The file ---- */

/* Who can write the file or replace it decides what is open: that must be root (or the caller). */
static void check_owner(const char *path, const char *what, struct findings *findings)
{
    struct stat about;
    if (stat(path, &about) < 0)
        return; /* reported by whoever reads it */
    if ((about.st_uid != 0 && about.st_uid != geteuid()) || (about.st_mode & 022) != 0)
        findings_add(findings, FINDING_ERROR, (struct where){path, 0}, "",
                     "others than root may write %s; make root its owner and take write permission "
                     "from group and others",
                     what);
}

static bool only_root_writes(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && about.st_uid == 0 && (about.st_mode & 022) == 0;
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? memory_text_n(path, (size_t)(slash - path) + 1) : memory_text(".");
}

bool netd_config_is_roots(const char *path)
{
    CLEANUP(memory_free_pointer) char *folder = folder_of(path);
    return only_root_writes(path) && only_root_writes(folder);
}

static void netd_config_read_root(const struct source *source, struct findings *findings,
                                  struct netd_config *config)
{
    static const char *const groups[] = {"firewall", "agent", "paths", "access", "tunnel", NULL};
    struct section root, section;
    source_root(source, findings, &root);
    section_expect(&root, groups);
    read_firewall(&root, &config->firewall);
    section_child(&root, "paths", &section);
    (void)netd_config_read_group(&section, &netd_paths_table, &config->paths, NULL);
    section_child(&root, "access", &section);
    (void)netd_config_read_group(&section, &netd_access_table, &config->access, NULL);
    netd_config_read_tunnel(&root, &config->tunnel);
}

int netd_config_load(const char *path, struct findings *findings, struct netd_config **ret_config)
{
    struct source *source = NULL;
    size_t errors = findings->errors; /* of other files */
    CLEANUP(memory_free_pointer) char *folder = folder_of(path);
    check_owner(path, "this file", findings);
    check_owner(folder, "this folder", findings);
    if (source_open(path, MAX_FILE_BYTES, findings, &source) < 0)
        return -EINVAL;
    struct netd_config *config = memory_zeroed(1, sizeof(*config));
    netd_config_read_root(source, findings, config);
    config->text = memory_text(source_text(source));
    source_close(source);
    if (findings->errors == errors)
        overlap_check_config(config, path, findings);
    if (findings->errors > errors) {
        netd_config_free(config);
        return -EINVAL;
    }
    *ret_config = config;
    return 0;
}

struct netd_config *netd_config_free(struct netd_config *config)
{
    if (!config)
        return NULL;
    table_free(&netd_paths_table, &config->paths);
    table_free(&netd_access_table, &config->access);
    free(config->tunnel.gateway);
    free(config->tunnel.private_key_file);
    free(config->tunnel.hub.public_key);
    free(config->tunnel.hub.endpoint_host);
    free(config->tunnel.hub.preshared_key_file);
    free(config->text);
    free(config);
    return NULL;
}

const struct tunnel_service *netd_config_service(const struct netd_config *config, const char *name)
{
    for (size_t i = 0; i < config->tunnel.n_services; i++) {
        if (strcmp(config->tunnel.services[i].name, name) == 0)
            return &config->tunnel.services[i];
    }
    return NULL;
}

/* ---- What a trial cannot change ---- */

static bool is_same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_same_hub(const struct tunnel_hub *a, const struct tunnel_hub *b)
{
    return is_same_text(a->public_key, b->public_key) &&
           is_same_text(a->endpoint_host, b->endpoint_host) &&
           a->endpoint_port == b->endpoint_port && ip_network_equal(&a->address, &b->address) &&
           is_same_text(a->preshared_key_file, b->preshared_key_file);
}

static bool is_same_service(const struct tunnel_service *a, const struct tunnel_service *b)
{
    return is_same_text(a->name, b->name) && a->protocol == b->protocol && a->port == b->port &&
           a->is_behind == b->is_behind && ip_network_equal(&a->target, &b->target) &&
           is_same_text(a->interface.text, b->interface.text);
}

static bool is_same_tunnel(const struct tunnel_config *a, const struct tunnel_config *b)
{
    if (a->is_configured != b->is_configured || !is_same_text(a->gateway, b->gateway) ||
        !ip_network_equal(&a->address, &b->address) ||
        !is_same_text(a->private_key_file, b->private_key_file) || !is_same_hub(&a->hub, &b->hub) ||
        a->max_ttl_s != b->max_ttl_s || a->idle_close_s != b->idle_close_s ||
        a->keepalive_s != b->keepalive_s || a->mtu != b->mtu || a->approval != b->approval ||
        a->n_sources != b->n_sources || a->n_services != b->n_services)
        return false;
    for (size_t i = 0; i < a->n_sources; i++) {
        if (!ip_network_equal(&a->sources[i], &b->sources[i]))
            return false;
    }
    for (size_t i = 0; i < a->n_services; i++) {
        if (!is_same_service(&a->services[i], &b->services[i]))
            return false;
    }
    return true;
}

const char *netd_config_difference(const struct netd_config *a, const struct netd_config *b)
{
    if (!is_same_text(a->paths.state_dir, b->paths.state_dir) ||
        !is_same_text(a->paths.runtime_dir, b->paths.runtime_dir))
        return "paths";
    if (!is_same_text(a->access.agent_user, b->access.agent_user) ||
        !is_same_text(a->access.admin_group, b->access.admin_group) ||
        !is_same_text(a->access.allowed_signers, b->access.allowed_signers) ||
        !is_same_text(a->access.revoked_keys, b->access.revoked_keys))
        return "access";
    return is_same_tunnel(&a->tunnel, &b->tunnel) ? NULL : "tunnel";
}
