/*
 * The addresses that a person writes into the configuration: of a broker, and of the proxy on the
 * way to it. Pure: text in, value out. Any thread.
 */
#ifndef SALLYPORT_AGENT_SERVER_URL_H
#define SALLYPORT_AGENT_SERVER_URL_H

#include <stdbool.h>
#include <stdint.h>

#define SERVER_HOST_MAX_BYTES 253 /* of a name: RFC 1035, section 2.3.4 */
#define SERVER_PATH_MAX_BYTES 255
#define PROXY_LOGIN_MAX_BYTES 255

struct server_url {
    bool websocket; /* wss, else mqtts */
    bool literal;   /* the host is an IPv4 address */
    char host[SERVER_HOST_MAX_BYTES + 1];
    uint16_t port;
    char path[SERVER_PATH_MAX_BYTES + 1]; /* of wss, with its slash; else "" */
};

/*
 * Reads mqtts://HOST[:PORT] (port 8883 unless given) or wss://HOST[:PORT]/PATH (443). HOST is a
 * name or an IPv4 address; IPv6 addresses need a name, because the MQTT library cannot compare
 * one with a certificate. Returns 0, or -EINVAL with *RET_PROBLEM a static text for a person.
 */
int server_url_parse(const char *text, struct server_url *ret_url, const char **ret_problem);

struct proxy_url {
    char host[SERVER_HOST_MAX_BYTES + 1];
    uint16_t port;
    char login[PROXY_LOGIN_MAX_BYTES + 1]; /* USER:PASSWORD as written, percent-encoded; or "" */
};

/* Reads http://[USER:PASSWORD@]HOST:PORT. Returns like server_url_parse(). */
int proxy_url_parse(const char *text, struct proxy_url *ret_url, const char **ret_problem);

#endif
