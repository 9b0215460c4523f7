/* The tunnel of netd.conf: this gateway's end, the hub, and the services of a session. */
#include "tunnel/config/netd_tunnel.h"

#include "agent/base/memory.h"
#include "tunnel/config/netd_options.h"
#include "tunnel/config/netd_values.h"
#include "tunnel/model/wireguard_key.h"

#include <stdlib.h>
#include <string.h>

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
                        : netd_is_host_name(host);
    const char *digits = colon ? colon + 1 : "";
    size_t n_digits = strspn(digits, "0123456789");
    unsigned long port =
        n_digits >= 1 && n_digits <= 5 && !digits[n_digits] ? strtoul(digits, NULL, 10) : 0;
    if (!is_fit || port < 1 || port > 65535) {
        VALUE_ERROR(section, "endpoint", "\"%s\" is not NAME:PORT, ADDRESS:PORT or [IPV6]:PORT",
                    text);
        return;
    }
    hub->endpoint_host = TAKE_POINTER(host);
    hub->endpoint_port = (uint16_t)port;
}

static void read_hub(const struct section *tunnel, struct tunnel_hub *hub)
{
    struct section section;
    struct raw_hub raw = {0};
    section_child(tunnel, "hub", &section);
    if (netd_read_group(&section, &netd_hub_table, &raw, NULL)) {
        if (!wireguard_key_is_valid(raw.public_key))
            VALUE_ERROR(&section, "public_key",
                        "is not a WireGuard key: 43 characters of base64 and a =");
        read_endpoint(&section, raw.endpoint, hub);
        netd_read_host4(&section, "address", raw.address, &hub->address);
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
            VALUE_ERROR(element, "name", "\"%s\" is given twice", service->name);
        else if (is_same_port(other, service))
            VALUE_ERROR(element, "port", "is the same place as the service \"%s\"", other->name);
    }
    if (service->is_behind && ip_network_contains(&service->target, &config->address))
        VALUE_ERROR(element, "target", "is this gateway itself: leave target and interface out");
    for (size_t i = 0; service->is_behind && i < config->n_sources; i++) {
        if (ip_network_contains(&config->sources[i], &service->target))
            VALUE_ERROR(element, "target", "lies inside tunnel.sources");
    }
}

static void read_service(const struct section *element, struct tunnel_config *config)
{
    struct raw_service raw = {0};
    if (netd_read_group(element, &netd_service_table, &raw, NULL)) {
        struct tunnel_service *service = &config->services[config->n_services++];
        (void)memccpy(service->name, raw.name, '\0', sizeof(service->name) - 1);
        service->protocol = netd_protocol_of(raw.protocol);
        service->port = (uint16_t)raw.port;
        service->is_behind = raw.target != NULL;
        if (!raw.target != !raw.interface)
            VALUE_ERROR(element, raw.target ? "interface" : "target",
                        "target and interface belong together");
        if (raw.target)
            netd_read_host4(element, "target", raw.target, &service->target);
        if (raw.interface)
            netd_read_pattern(element, "interface", raw.interface, false, &service->interface);
        check_service(element, config, service);
    }
    table_free(&netd_service_table, &raw);
}

static void read_sources(const struct section *section, const struct text_list *list,
                         struct tunnel_config *config)
{
    for (size_t i = 0; i < list->length; i++) {
        struct ip_network source;
        if (!netd_read_network(section, "sources", list->items[i], &source))
            continue;
        if (source.family != AF_INET || source.prefix < 8)
            VALUE_ERROR(section, "sources", "\"%s\" is not an IPv4 network of at most /8",
                        list->items[i]);
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

static void take_tunnel(const struct section *section, struct raw_tunnel *raw,
                        struct tunnel_config *config)
{
    if (!is_gateway(raw->gateway))
        VALUE_ERROR(section, "gateway", "\"%s\" is not SITE/ID", raw->gateway);
    netd_read_host4(section, "address", raw->address, &config->address);
    read_sources(section, &raw->sources, config);
    config->gateway = TAKE_POINTER(raw->gateway);
    config->private_key_file = TAKE_POINTER(raw->private_key_file);
    config->max_ttl_s = raw->max_ttl_s;
    config->idle_close_s = raw->idle_close_s;
    config->keepalive_s = raw->keepalive_s;
    config->mtu = raw->mtu;
    config->approval = raw->approval;
}

void netd_read_tunnel(const struct section *root, struct tunnel_config *config)
{
    static const char *const groups[] = {"hub", "services", NULL};
    struct section section, element;
    struct raw_tunnel raw = {0};
    config->is_configured = section_child(root, "tunnel", &section);
    if (!config->is_configured)
        return;
    if (netd_read_group(&section, &netd_tunnel_table, &raw, groups))
        take_tunnel(&section, &raw, config);
    table_free(&netd_tunnel_table, &raw);
    read_hub(&section, &config->hub);
    if (config->address.family && ip_network_contains(&config->address, &config->hub.address))
        VALUE_ERROR(&section, "address", "is the hub's address as well");
    size_t length = section_list(&section, "services", NETD_MAX_SERVICES);
    for (size_t i = 0; i < length; i++) {
        if (section_element(&section, "services", i, &element))
            read_service(&element, config);
    }
    if (config->n_services == 0)
        section_report(&section, FINDING_WARNING, "services",
                       "is empty: there is nothing that a session could open");
}
