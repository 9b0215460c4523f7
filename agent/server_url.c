/* The addresses of brokers and proxies, from text. */
#include "agent/server_url.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-' ||
           c == '.' || c == '_';
}

static bool is_printable(char c)
{
    return c > ' ' && c <= '~';
}

/* Digits until the end of the text; 1 to 65535, else 0. */
static uint16_t parse_port(const char *text, size_t length)
{
    uint32_t port = 0;
    if (length == 0 || length > 5)
        return 0;
    for (size_t i = 0; i < length; i++) {
        if (!is_digit(text[i]))
            return 0;
        port = port * 10 + (uint32_t)(text[i] - '0');
    }
    return port <= UINT16_MAX ? (uint16_t)port : 0;
}

/* A name of dots and digits alone is meant as an address, and must be one. */
static const char *check_host(const char *host, bool *ret_literal)
{
    struct in_addr address;
    *ret_literal = inet_pton(AF_INET, host, &address) == 1;
    if (*ret_literal)
        return NULL;
    if (strspn(host, "0123456789.") == strlen(host))
        return "the host looks like an IPv4 address, but is none";
    if (host[0] == '.' || host[0] == '-' || strstr(host, ".."))
        return "the host is not a valid name";
    return NULL;
}

/* HOST[:PORT] of LENGTH bytes. DEFAULT_PORT 0: a port must be given. */
static const char *parse_authority(const char *text, size_t length, uint16_t default_port,
                                   char *host, uint16_t *ret_port, bool *ret_literal)
{
    if (length > 0 && text[0] == '[')
        return "IPv6 addresses cannot be compared with a certificate here: give the host a name";
    size_t host_length = 0;
    while (host_length < length && is_name_character(text[host_length]))
        host_length++;
    if (host_length == 0)
        return "the host is missing";
    if (host_length > SERVER_HOST_MAX_BYTES)
        return "the host is longer than 253 characters";
    *ret_port = default_port;
    if (host_length < length) {
        if (text[host_length] != ':')
            return "the host has a character that no name has";
        *ret_port = parse_port(text + host_length + 1, length - host_length - 1);
        if (*ret_port == 0)
            return "the port is not a number from 1 to 65535";
    }
    if (*ret_port == 0)
        return "the port is missing";
    memcpy(host, text, host_length);
    host[host_length] = '\0';
    return check_host(host, ret_literal);
}

static const char *parse_path(const char *text, struct server_url *url)
{
    if (!url->websocket)
        return text[0] ? "mqtts takes no path: write mqtts://HOST:PORT" : NULL;
    if (text[0] != '/')
        return "wss needs a path: write wss://HOST:PORT/PATH, often /mqtt";
    if (strlen(text) > SERVER_PATH_MAX_BYTES)
        return "the path is longer than 255 characters";
    for (const char *c = text; *c; c++) {
        if (!is_printable(*c))
            return "the path has a space or a character outside ASCII";
    }
    strcpy(url->path, text);
    return NULL;
}

static const char *parse_server(const char *text, struct server_url *url)
{
    static const struct {
        const char *prefix;
        bool websocket;
        uint16_t port;
    } schemes[] = {{"mqtts://", false, 8883}, {"wss://", true, 443}};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t prefix = strlen(schemes[i].prefix);
        if (strncmp(text, schemes[i].prefix, prefix) != 0)
            continue;
        url->websocket = schemes[i].websocket;
        text += prefix;
        size_t authority = strcspn(text, "/?#");
        const char *problem =
            parse_authority(text, authority, schemes[i].port, url->host, &url->port, &url->literal);
        return problem ? problem : parse_path(text + authority, url);
    }
    return "a server begins with mqtts:// or wss:// (there is no unencrypted form)";
}

int server_url_parse(const char *text, struct server_url *ret_url, const char **ret_problem)
{
    struct server_url url = {0};
    const char *problem = parse_server(text, &url);
    if (problem) {
        *ret_problem = problem;
        return -EINVAL;
    }
    *ret_url = url;
    return 0;
}

static const char *parse_proxy(const char *text, struct proxy_url *url)
{
    static const char prefix[] = "http://";
    if (strncmp(text, prefix, strlen(prefix)) != 0)
        return "a proxy is written as http://HOST:PORT or http://USER:PASSWORD@HOST:PORT";
    text += strlen(prefix);
    const char *at = strrchr(text, '@');
    if (at) {
        size_t length = (size_t)(at - text);
        if (length > PROXY_LOGIN_MAX_BYTES)
            return "the login of the proxy is longer than 255 characters";
        memcpy(url->login, text, length);
        for (size_t i = 0; i < length; i++) {
            if (!is_printable(text[i]) || strchr("@/", text[i]))
                return "the login of the proxy has a character that must be written as %XX";
        }
        if (!strchr(url->login, ':'))
            return "the login of the proxy is not USER:PASSWORD";
        text = at + 1;
    }
    bool literal;
    size_t length = strlen(text);
    if (length > 0 && text[length - 1] == '/')
        length--;
    return parse_authority(text, length, 0, url->host, &url->port, &literal);
}

int proxy_url_parse(const char *text, struct proxy_url *ret_url, const char **ret_problem)
{
    struct proxy_url url = {0};
    const char *problem = parse_proxy(text, &url);
    if (problem) {
        *ret_problem = problem;
        return -EINVAL;
    }
    *ret_url = url;
    return 0;
}
