/*
 * Single values of netd.conf: texts become interface names, networks and ports, or an error of the
 * section they stand in. Pure; any thread.
 */
#ifndef SALLYPORT_TUNNEL_CONFIG_NETD_VALUES_H
#define SALLYPORT_TUNNEL_CONFIG_NETD_VALUES_H

#include "config/load/section.h"
#include "config/schema/option.h"
#include "tunnel/config/netd_settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VALUE_ERROR(section, key, ...) section_report(section, FINDING_ERROR, key, __VA_ARGS__)

/*
 * An interface name of 1 to 15 characters or, when WILDCARD, the start of one with a * at its end.
 * What takes in loopback or the tunnel's own interfaces is an error. *RET_PATTERN is set only when
 * there is none.
 */
void netd_read_pattern(const struct section *section, const char *key, const char *text,
                       bool wildcard, struct interface_pattern *ret_pattern);

/* All of LIST into PATTERNS, which has room for as many. */
void netd_read_patterns(const struct section *section, const char *key,
                        const struct text_list *list, struct interface_pattern *patterns,
                        size_t *ret_count);

/* An address or a network of either family. Returns whether it is one. */
bool netd_read_network(const struct section *section, const char *key, const char *text,
                       struct ip_network *ret_network);

/* The IPv4 address of one host; *RET_HOST is set only when it is one. */
void netd_read_host4(const struct section *section, const char *key, const char *text,
                     struct ip_network *ret_host);

/* The IP protocol of the enumeration "tcp", "udp". */
uint8_t netd_protocol_of(int index);

/* Whether TEXT can be the name of a host: RFC 1123 2.1, at most 253 characters. */
bool netd_is_host_name(const char *text);

/* What can only be an address: has a ':' or a '/', or ends with a label of digits. */
bool netd_looks_like_address(const char *text);

/*
 * Reads one group into VALUES with one TABLE; OTHERS, NULL-terminated, are keys that are read
 * elsewhere. Returns false when what is required is not there.
 */
bool netd_read_group(const struct section *section, const struct option_table *table, void *values,
                     const char *const *others);

#endif
