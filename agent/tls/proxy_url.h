/*
 * The address of a proxy, taken apart, as config/load/broker_url.h does it for a broker. Pure. Any
 * thread.
 */
#ifndef SALLYPORT_AGENT_TLS_PROXY_URL_H
#define SALLYPORT_AGENT_TLS_PROXY_URL_H

#include <stdint.h>

#define PROXY_HOST_MAX_BYTES 253 /* of a name: RFC 1035, section 2.3.4 */
#define PROXY_LOGIN_MAX_BYTES 255

struct proxy_url {
    char host[PROXY_HOST_MAX_BYTES + 1];
    uint16_t port;
    char login[PROXY_LOGIN_MAX_BYTES + 1]; /* USER:PASSWORD as written, percent-encoded; or "" */
};

/*
 * Reads http://[USER:PASSWORD@]HOST:PORT. HOST is a name or an IPv4 address. Returns 0, or -EINVAL
 * with *RET_PROBLEM a static text for a person, which quotes nothing of the address.
 */
int proxy_url_parse(const char *text, struct proxy_url *ret_url, const char **ret_problem);

#endif
