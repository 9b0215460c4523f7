/* What is installed already. */
#include "agent/cli/init/init_installed.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "config/load/load.h"
#include "drivers/driver.h"
#include "tunnel/config/netd_config.h"

#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX_BYTES 262144

/* The file NAME without line ends at its end, into TEXT; untouched when it cannot be read. */
static void take(const char *folder, const char *name, char **text)
{
    CLEANUP(strbuf_free) struct strbuf content = STRBUF_EMPTY;
    CLEANUP(memory_free_pointer) char *path = memory_printf("%s/%s", folder, name);
    if (file_read(path, FILE_MAX_BYTES, &content) < 0)
        return;
    while (content.length > 0 && content.data[content.length - 1] == '\n')
        content.data[--content.length] = '\0';
    init_set(text, strbuf_text(&content));
}

static void take_services(const struct tunnel_config *tunnel, struct text_list *services)
{
    for (size_t i = 0; i < tunnel->n_services; i++) {
        const struct tunnel_service *service = &tunnel->services[i];
        char address[IP_NETWORK_TEXT_BYTES];
        CLEANUP(memory_free_pointer)
        char *line = memory_printf(INIT_SERVICE_FORMAT, service->name,
                                   service->protocol == IPPROTO_UDP ? "udp" : "tcp", service->port,
                                   service->is_behind ? ip_network_format(&service->target, address)
                                                      : "this gateway");
        init_add(services, line);
    }
}

static void take_tunnel(const struct tunnel_config *tunnel, struct init_answers *answers)
{
    char text[IP_NETWORK_TEXT_BYTES];
    answers->has_tunnel = tunnel->is_configured;
    if (!tunnel->is_configured)
        return;
    CLEANUP(memory_free_pointer)
    char *endpoint = memory_printf("%s:%u", tunnel->hub.endpoint_host, tunnel->hub.endpoint_port);
    init_set(&answers->tunnel.address, ip_network_format(&tunnel->address, text));
    init_set(&answers->hub.public_key, tunnel->hub.public_key);
    init_set(&answers->hub.endpoint, endpoint);
    init_set(&answers->hub.address, ip_network_format(&tunnel->hub.address, text));
    for (size_t i = 0; i < tunnel->n_sources; i++)
        init_add(&answers->tunnel.sources, ip_network_format(&tunnel->sources[i], text));
    take_services(tunnel, &answers->services);
}

static void take_netd(const char *path, struct init_answers *answers)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    struct netd_config *config = NULL;
    if (netd_config_load(path, &findings, &config) == 0)
        take_tunnel(&config->tunnel, answers);
    netd_config_free(config);
}

static void take_agent(const char *path, struct init_answers *answers)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    struct config *config = NULL;
    if (config_load(path, drivers_for_config(), &findings, &config) < 0)
        return;
    for (size_t i = 0; i < config->uplink.servers.length; i++)
        init_add(&answers->uplink.servers, config->uplink.servers.items[i]);
    answers->ca_is_system = strcmp(config->uplink.ca, "system") == 0;
    config_free(config);
}

bool init_installed_read(const struct init_place *place, struct init_answers *ret_answers)
{
    CLEANUP(memory_free_pointer) char *folder = memory_printf("%s%s", place->root, place->folder);
    CLEANUP(memory_free_pointer) char *agent = memory_printf("%s/sallyport.conf", folder);
    CLEANUP(memory_free_pointer) char *netd = memory_printf("%s/netd.conf", folder);
    CLEANUP(memory_free_pointer) char *signers = memory_printf("%s/allowed_signers", folder);
    if (access(agent, F_OK) < 0 && access(netd, F_OK) < 0 && access(signers, F_OK) < 0)
        return false;
    take_agent(agent, ret_answers);
    take_netd(netd, ret_answers);
    take(folder, "tls/ca.pem", &ret_answers->uplink.ca_pem);
    take(folder, "allowed_signers", &ret_answers->signers.allowed_signers);
    take(folder, "revoked_keys", &ret_answers->signers.revoked_keys);
    take(folder, INIT_KEY_FILE, &ret_answers->enrolment_key);
    return true;
}
