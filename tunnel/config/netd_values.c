/* Single values of netd.conf. */
#include "tunnel/config/netd_values.h"

#include <string.h>

/* Whether the name or pattern TEXT, PLAIN characters without its *, matches NAME. */
static bool takes_in(const char *text, size_t plain, bool is_pattern, const char *name)
{
    return is_pattern ? strncmp(text, name, plain) == 0 : strcmp(text, name) == 0;
}

void netd_read_pattern(const struct section *section, const char *key, const char *text,
                       bool wildcard, struct interface_pattern *ret_pattern)
{
    static const char fit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t plain = strspn(text, fit);
    bool is_pattern = wildcard && text[plain] == '*' && text[plain + 1] == '\0';
    if (plain == 0 || plain + is_pattern >= IFNAMSIZ || (text[plain] && !is_pattern))
        VALUE_ERROR(section, key, "\"%s\" is not an interface name%s", text,
                    wildcard ? "; a pattern is the start of a name and a * at its end" : "");
    else if (takes_in(text, plain, is_pattern, "lo") || strncmp(text, "spt", 3) == 0 ||
             takes_in(text, plain, is_pattern, "spt0"))
        VALUE_ERROR(section, key, "\"%s\" would take in loopback or the tunnel itself", text);
    else
        (void)memccpy(ret_pattern->text, text, '\0', sizeof(ret_pattern->text));
}

void netd_read_patterns(const struct section *section, const char *key,
                        const struct text_list *list, struct interface_pattern *patterns,
                        size_t *ret_count)
{
    for (size_t i = 0; i < list->length; i++)
        netd_read_pattern(section, key, list->items[i], true, &patterns[i]);
    *ret_count = list->length;
}

bool netd_read_network(const struct section *section, const char *key, const char *text,
                       struct ip_network *ret_network)
{
    if (ip_network_parse(text, ret_network) == 0)
        return true;
    VALUE_ERROR(section, key,
                "\"%s\" is not an address or network; all bits after the prefix must be 0", text);
    return false;
}

void netd_read_host4(const struct section *section, const char *key, const char *text,
                     struct ip_network *ret_host)
{
    struct ip_network host;
    if (!netd_read_network(section, key, text, &host))
        return;
    if (host.family != AF_INET || !ip_network_is_unicast_host(&host))
        VALUE_ERROR(section, key, "\"%s\" is not the IPv4 address of one host", text);
    else
        *ret_host = host;
}

uint8_t netd_protocol_of(int index)
{
    return index == 0 ? IPPROTO_TCP : IPPROTO_UDP;
}

bool netd_is_host_name(const char *text)
{
    static const char fit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-";
    size_t length = strlen(text);
    return length >= 1 && length <= 253 && strspn(text, fit) == length && text[0] != '-' &&
           text[0] != '.' && !strstr(text, "..");
}

bool netd_looks_like_address(const char *text)
{
    const char *dot = strrchr(text, '.'), *last = dot ? dot + 1 : text;
    return strpbrk(text, ":/") || last[strspn(last, "0123456789")] == '\0';
}

bool netd_read_group(const struct section *section, const struct option_table *table, void *values,
                     const char *const *others)
{
    struct part part = {.table = table, .values = values};
    section_read(section, &part, 1, others);
    return part_is_complete(&part);
}
