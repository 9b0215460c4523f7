/* What is wrong with the keys of a session to a broker, taken together. */
#include "config/load/check_uplink.h"

#include "agent/base/memory.h"
#include "config/load/broker_url.h"
#include "config/load/proxy_url.h"
#include "config/load/topic_prefix.h"

#include <string.h>

struct check_uplink_group {
    const struct section *section;
    const struct part *part;
};

/* Whether KEY was given and accepted. */
static bool check_uplink_has(const struct check_uplink_group *group, const char *key)
{
    uint64_t bit = option_bit(group->part->table, key);
    return (group->part->present & bit) && !(group->part->refused & bit);
}

static void check_uplink_check_servers(const struct check_uplink_group *uplink,
                                       const struct text_list *servers)
{
    for (size_t i = 0; i < servers->length; i++) {
        struct broker_url server;
        struct problem problem;
        if (broker_url_parse(servers->items[i], &server, &problem) < 0)
            section_report(uplink->section, FINDING_ERROR, "servers", "%s", problem.text);
        else if (strchr(server.host, ':')) /* Paho 1.3.12 compares it with its brackets */
            section_report(uplink->section, FINDING_ERROR, "servers",
                           "\"%.60s\": the MQTT library cannot compare an IPv6 address with a "
                           "certificate; give the host a name",
                           servers->items[i]);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(servers->items[j], servers->items[i]) == 0)
                section_report(uplink->section, FINDING_WARNING, "servers",
                               "\"%.60s\" is listed twice", servers->items[i]);
        }
    }
}

/* A key that makes sense only together with another one. */
static void check_needs(const struct check_uplink_group *group, const char *key, const char *needed)
{
    if (check_uplink_has(group, key) &&
        !(group->part->present & option_bit(group->part->table, needed)))
        section_report(group->section, FINDING_ERROR, key, "needs `%s` as well", needed);
}

static void check_prefix(const struct check_uplink_group *uplink, const char *prefix)
{
    struct problem problem;
    if (topic_prefix_check(prefix, &problem) < 0)
        section_report(uplink->section, FINDING_ERROR, "prefix", "%s", problem.text);
}

/* The login of a proxy: its password belongs into a file of its own. */
static void check_proxy(const struct check_uplink_group *uplink, const struct config_uplink *values)
{
    struct problem problem;
    struct proxy_url proxy;
    bool has_file = check_uplink_has(uplink, "proxy_password_file");
    check_needs(uplink, "proxy_password_file", "proxy");
    if (!values->proxy)
        return;
    if (proxy_url_parse(values->proxy, &proxy, &problem) < 0) {
        section_report(uplink->section, FINDING_ERROR, "proxy", "%s", problem.text);
        return;
    }
    if (has_file && !proxy.login[0])
        section_report(uplink->section, FINDING_ERROR, "proxy_password_file",
                       "`proxy` names no user: write http://USER@HOST:PORT there");
    else if (has_file && proxy_url_has_password(&proxy))
        section_report(
            uplink->section, FINDING_ERROR, "proxy",
            "has a password, and `uplink.proxy_password_file` gives one too: remove it here");
    else if (proxy_url_has_password(&proxy))
        section_report(uplink->section, FINDING_WARNING, "proxy",
                       "everybody who may read this file learns the password: put it into a file "
                       "of its own and name that with `uplink.proxy_password_file`");
    else if (proxy.login[0] && !has_file)
        section_report(uplink->section, FINDING_ERROR, "proxy",
                       "names a user, but there is no password: set `uplink.proxy_password_file`");
    memory_wipe(&proxy, sizeof(proxy));
}

void config_check_uplink(const struct section *section, const struct part *part)
{
    const struct check_uplink_group *uplink = &(struct check_uplink_group){section, part};
    const struct config_uplink *values = part->values;
    check_uplink_check_servers(uplink, &values->servers);
    check_needs(uplink, "certificate", "key");
    check_needs(uplink, "key", "certificate");
    check_needs(uplink, "key_password_file", "key");
    check_needs(uplink, "password_file", "username");
    if (check_uplink_has(uplink, "username") && !check_uplink_has(uplink, "password_file") &&
        !check_uplink_has(uplink, "certificate"))
        section_report(uplink->section, FINDING_WARNING, "username",
                       "without `password_file` and `certificate` anyone can log in as this "
                       "gateway");
    check_prefix(uplink, values->prefix);
    if (values->format == FORMAT_SPARKPLUG)
        section_report(uplink->section, FINDING_ERROR, "format",
                       "this build has no Sparkplug encoder; use \"json\"");
    check_proxy(uplink, values);
    if (values->reconnect_min_ms > values->reconnect_max_ms)
        section_report(uplink->section, FINDING_ERROR,
                       check_uplink_has(uplink, "reconnect_min_ms") ? "reconnect_min_ms"
                                                                    : "reconnect_max_ms",
                       "reconnect_min_ms (%lld) is above reconnect_max_ms (%lld)",
                       (long long)values->reconnect_min_ms, (long long)values->reconnect_max_ms);
}
