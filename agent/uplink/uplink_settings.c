/* One set of settings of the uplink, and its secrets. */
#include "agent/uplink/uplink_settings.h"

#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/tls/revocation_lists.h"
#include "agent/tls/tls_policy.h"
#include "config/load/files.h"
#include "config/load/proxy_url.h"
#include "config/schema/value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static char *settings_copy_text(const char *text)
{
    return text ? memory_text(text) : NULL;
}

static void copy_config(struct config_uplink *ours, const struct config_uplink *config)
{
    *ours = *config;
    ours->servers.items = memory_zeroed(config->servers.length, sizeof(*ours->servers.items));
    for (size_t i = 0; i < config->servers.length; i++)
        ours->servers.items[i] = memory_text(config->servers.items[i]);
    char **texts[] = {&ours->ca,       &ours->certificate,   &ours->key,
                      &ours->username, &ours->password_file, &ours->key_password_file,
                      &ours->alpn,     &ours->client_id,     &ours->proxy,
                      &ours->prefix,   &ours->crl,           &ours->proxy_password_file};
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
        *texts[i] = settings_copy_text(*texts[i]);
}

static void free_config(struct config_uplink *config)
{
    char *texts[] = {config->ca,       config->certificate,   config->key,
                     config->username, config->password_file, config->key_password_file,
                     config->alpn,     config->client_id,     config->proxy,
                     config->prefix,   config->crl,           config->proxy_password_file};
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
        free(texts[i]);
    for (size_t i = 0; i < config->servers.length; i++)
        free(config->servers.items[i]);
    free(config->servers.items);
}

void uplink_settings_free(struct uplink_settings *settings)
{
    free_config(&settings->config);
    free(settings->servers);
    *settings = (struct uplink_settings){0};
}

static int read_servers(struct uplink_settings *settings)
{
    const struct text_list *list = &settings->config.servers;
    settings->servers = memory_zeroed(list->length, sizeof(*settings->servers));
    for (size_t i = 0; i < list->length; i++) {
        struct problem problem;
        if (broker_url_parse(list->items[i], &settings->servers[i], &problem) < 0) {
            log_error("uplink", "server %s: %s", list->items[i], problem.text);
            return -EINVAL;
        }
        if (strchr(settings->servers[i].host, ':')) { /* Paho 1.3.12 asks for "[" in it */
            log_error("uplink",
                      "server %s: the MQTT library cannot compare an IPv6 address with a "
                      "certificate; give the host a name",
                      list->items[i]);
            return -EINVAL;
        }
    }
    return 0;
}

static int read_proxy(struct uplink_settings *settings)
{
    struct proxy_url url;
    struct problem problem;
    if (!settings->config.proxy)
        return 0;
    if (proxy_url_parse(settings->config.proxy, &url, &problem) < 0) {
        log_error("uplink", "proxy: %s", problem.text); /* which quotes nothing of a password */
        return -EINVAL;
    }
    settings->proxy_port = url.port;
    memory_wipe(&url, sizeof(url));
    return 0;
}

/* The loader has checked the same; but a number that was never set would be a limit of zero here.
 */
static int check_bounds(const struct config_uplink *config)
{
    for (size_t i = 0; i < config_uplink_table.n_rows; i++) {
        const struct option *row = &config_uplink_table.rows[i];
        bool is_needed = row->type == OPTION_INT || (row->flags & OPTION_REQUIRED);
        if (is_needed && !value_is_set(row, config)) {
            log_error("uplink", "%s is missing or out of range", row->key);
            return -EINVAL;
        }
    }
    return 0;
}

int uplink_settings_init(struct uplink_settings *settings, const struct config_uplink *config)
{
    int result = check_bounds(config);
    *settings = (struct uplink_settings){0};
    if (result < 0)
        return result;
    copy_config(&settings->config, config);
    result = read_servers(settings);
    if (result == 0)
        result = read_proxy(settings);
    if (result < 0)
        uplink_settings_free(settings);
    return result;
}

/* --- secrets ---------------------------------------------------------------------------------- */

void uplink_secrets_wipe(struct uplink_secrets *secrets)
{
    strbuf_wipe(&secrets->password);
    strbuf_wipe(&secrets->key_password);
    strbuf_wipe(&secrets->proxy);
    strbuf_free(&secrets->problem);
    revocation_lists_free(secrets->lists);
    secrets->lists = NULL;
}

static int read_secret(const char *key, const char *path, struct strbuf *secret,
                       struct strbuf *problem)
{
    int result = path ? config_read_secret(path, secret, NULL) : 0;
    if (result == 0)
        return 0;
    strbuf_addf(problem, "the %s %s cannot be used: %s", key, path, config_secret_problem(result));
    return -EINVAL;
}

/* NULL when none is configured. */
static const char *key_password(const struct uplink_settings *settings,
                                const struct uplink_secrets *secrets)
{
    return settings->config.key_password_file ? strbuf_text(&secrets->key_password) : NULL;
}

/* Paho would report any mistake here as "failure" only. */
static int try_files(const struct uplink_settings *settings, struct uplink_secrets *secrets)
{
    SSL_CTX *context = NULL;
    struct tls_files files = {.ca = settings->config.ca,
                              .certificate = settings->config.certificate,
                              .key = settings->config.key,
                              .key_password = key_password(settings, secrets)};
    int result = tls_policy_context(&files, &context, &secrets->problem);
    if (result == 0)
        SSL_CTX_free(context);
    return result;
}

/* NULL when none is configured. */
static const char *proxy_of(const struct config_uplink *config,
                            const struct uplink_secrets *secrets)
{
    return config->proxy ? strbuf_text(&secrets->proxy) : NULL;
}

/* The proxy with its login as the MQTT library and the probe take it. */
static int compose_proxy(const struct config_uplink *config, const struct strbuf *password,
                         struct uplink_secrets *secrets)
{
    struct proxy_url url;
    struct problem problem;
    int result = proxy_url_parse(config->proxy, &url, &problem);
    if (result == 0 && config->proxy_password_file)
        result = proxy_url_set_password(&url, strbuf_text(password));
    if (result == 0)
        strbuf_addf(&secrets->proxy, "http://%s%s%s:%u", url.login, url.login[0] ? "@" : "",
                    url.host, url.port);
    else
        strbuf_addf(&secrets->problem, "the proxy_password_file %s cannot be used: %s",
                    config->proxy_password_file,
                    result == -EFBIG ? "the password is too long for a proxy"
                                     : "proxy must name a user, without a password");
    memory_wipe(&url, sizeof(url));
    return result == 0 ? 0 : -EINVAL;
}

static int read_proxy_password(const struct config_uplink *config, struct uplink_secrets *secrets)
{
    struct strbuf password CLEANUP(strbuf_wipe) = STRBUF_EMPTY;
    if (!config->proxy)
        return 0;
    int result = read_secret("proxy_password_file", config->proxy_password_file, &password,
                             &secrets->problem);
    return result == 0 ? compose_proxy(config, &password, secrets) : result;
}

int uplink_secrets_read(const struct uplink_settings *settings, struct uplink_secrets *secrets)
{
    const struct config_uplink *config = &settings->config;
    int result =
        read_secret("password_file", config->password_file, &secrets->password, &secrets->problem);
    if (result == 0)
        result = read_secret("key_password_file", config->key_password_file, &secrets->key_password,
                             &secrets->problem);
    if (result == 0)
        result = read_proxy_password(config, secrets);
    if (result == 0 && config->crl)
        result = revocation_lists_read(config->crl, &secrets->lists, &secrets->problem);
    return result == 0 ? try_files(settings, secrets) : result;
}

struct mqtt_attempt uplink_settings_attempt(const struct uplink_settings *settings, size_t server,
                                            const struct uplink_secrets *secrets)
{
    const struct config_uplink *config = &settings->config;
    return (struct mqtt_attempt){
        .server = &settings->servers[server],
        .ca = config->ca,
        .certificate = config->certificate,
        .key = config->key,
        .key_password = key_password(settings, secrets),
        .crl = config->crl,
        .lists = secrets->lists,
        .username = config->username,
        .password = config->password_file ? strbuf_text(&secrets->password) : NULL,
        .alpn = config->alpn,
        .proxy = proxy_of(config, secrets),
        .keepalive_s = (int)config->keepalive_s,
        .connect_timeout_s = (int)config->connect_timeout_s,
    };
}

struct probe_target uplink_settings_probe(const struct uplink_settings *settings, size_t server,
                                          const struct uplink_secrets *secrets)
{
    const struct config_uplink *config = &settings->config;
    return (struct probe_target){
        .server = config->servers.items[server],
        .ca = config->ca,
        .certificate = config->certificate,
        .key = config->key,
        .key_password = key_password(settings, secrets),
        .crl = config->crl,
        .alpn = config->alpn,
        .proxy = proxy_of(config, secrets),
        .timeout_ms = (int)config->connect_timeout_s * 1000,
    };
}
