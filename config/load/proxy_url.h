/* The address of a proxy as the configuration writes it. Pure. Any thread. */
#ifndef SALLYPORT_CONFIG_LOAD_PROXY_URL_H
#define SALLYPORT_CONFIG_LOAD_PROXY_URL_H

#include "config/schema/value.h"

#include <stdbool.h>
#include <stdint.h>

#define PROXY_HOST_MAX_BYTES 253 /* of a name: RFC 1035, section 2.3.4 */
#define PROXY_LOGIN_MAX_BYTES 1023

struct proxy_url {
    char host[PROXY_HOST_MAX_BYTES + 1];
    uint16_t port;
    char login[PROXY_LOGIN_MAX_BYTES + 1]; /* USER[:PASSWORD], percent-encoded; or "" */
};

/*
 * Reads http://[USER[:PASSWORD]@]HOST:PORT. HOST is a name or an IPv4 address. Returns 0, or
 * -EINVAL with a sentence that quotes nothing of the address: it may hold a password.
 */
int proxy_url_parse(const char *text, struct proxy_url *ret_url, struct problem *ret_problem);

/* Whether the login has a password; false when there is no login. */
bool proxy_url_has_password(const struct proxy_url *url);

/*
 * Gives the user of the login, who has no password yet, PASSWORD: any bytes but NUL, encoded here.
 * Returns 0, -EINVAL when there is no user or he has a password, or -EFBIG when both together are
 * longer than PROXY_LOGIN_MAX_BYTES; URL is unchanged then.
 */
int proxy_url_set_password(struct proxy_url *url, const char *password);

#endif
