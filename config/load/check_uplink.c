/* What is wrong with the keys of a session to a broker, taken together. */
#include "config/load/check_uplink.h"

#include "config/load/broker_url.h"
#include "config/load/proxy_url.h"

#include <string.h>

struct group {
    const struct section *section;
    const struct part *part;
};

/* Whether KEY was given and accepted. */
static bool has(const struct group *group, const char *key)
{
    uint64_t bit = option_bit(group->part->table, key);
    return (group->part->present & bit) && !(group->part->refused & bit);
}

static void check_servers(const struct group *uplink, const struct text_list *servers)
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
static void check_needs(const struct group *group, const char *key, const char *needed)
{
    if (has(group, key) && !(group->part->present & option_bit(group->part->table, needed)))
        section_report(group->section, FINDING_ERROR, key, "needs `%s` as well", needed);
}

static void check_prefix(const struct group *uplink, const char *prefix)
{
    if (strpbrk(prefix, "/+#") || prefix[0] == '$')
        section_report(uplink->section, FINDING_ERROR, "prefix",
                       "must be one level of a topic: without \"/\", \"+\", \"#\", and not "
                       "beginning with \"$\"");
}

void config_check_uplink(const struct section *section, const struct part *part)
{
    const struct group *uplink = &(struct group){section, part};
    const struct config_uplink *values = part->values;
    struct problem problem;
    struct proxy_url proxy;
    check_servers(uplink, &values->servers);
    check_needs(uplink, "certificate", "key");
    check_needs(uplink, "key", "certificate");
    check_needs(uplink, "key_password_file", "key");
    check_needs(uplink, "password_file", "username");
    if (has(uplink, "username") && !has(uplink, "password_file") && !has(uplink, "certificate"))
        section_report(uplink->section, FINDING_WARNING, "username",
                       "without `password_file` and `certificate` anyone can log in as this "
                       "gateway");
    check_prefix(uplink, values->prefix);
    if (values->format == FORMAT_SPARKPLUG)
        section_report(uplink->section, FINDING_ERROR, "format",
                       "this build has no Sparkplug encoder; use \"json\"");
    if (values->proxy && proxy_url_parse(values->proxy, &proxy, &problem) < 0)
        section_report(uplink->section, FINDING_ERROR, "proxy", "%s", problem.text);
    if (values->reconnect_min_ms > values->reconnect_max_ms)
        section_report(uplink->section, FINDING_ERROR,
                       has(uplink, "reconnect_min_ms") ? "reconnect_min_ms" : "reconnect_max_ms",
                       "reconnect_min_ms (%lld) is above reconnect_max_ms (%lld)",
                       (long long)values->reconnect_min_ms, (long long)values->reconnect_max_ms);
}
