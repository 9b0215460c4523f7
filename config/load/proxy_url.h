/* The address of a proxy as the configuration writes it. Pure. Any thread. */
#ifndef SALLYPORT_CONFIG_LOAD_PROXY_URL_H
#define SALLYPORT_CONFIG_LOAD_PROXY_URL_H

#include "config/schema/value.h"

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
 * with a sentence that quotes nothing of the address: it may hold a password.
 */
int proxy_url_parse(const char *text, struct proxy_url *ret_url, struct problem *ret_problem);

#endif
