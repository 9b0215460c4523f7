/* Taking the addresses of brokers apart. */
#include "config/load/broker_url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Schemes without encryption that are usual in other products. */
static bool is_unencrypted(const char *text)
{
    static const char *const schemes[] = {"mqtt://", "tcp://", "ws://", "http://"};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (strncasecmp(text, schemes[i], strlen(schemes[i])) == 0)
            return true;
    }
    return false;
}

static int take_scheme(const char **text, bool *ret_websocket, struct problem *problem)
{
    if (strncmp(*text, "mqtts://", 8) == 0 || strncmp(*text, "wss://", 6) == 0) {
        *ret_websocket = **text == 'w';
        *text += *ret_websocket ? 6 : 8;
        return 0;
    }
    if (is_unencrypted(*text))
        return problem_say(problem,
                           "\"%.60s\": unencrypted connections are not supported; use "
                           "mqtts:// or wss://",
                           *text);
    return problem_say(problem,
                       "\"%.60s\" is not the address of a broker: mqtts://HOST[:PORT] or "
                       "wss://HOST[:PORT]/PATH",
                       *text);
}

/* A DNS name or a dotted IPv4 address: labels of up to 63 letters, digits, "-" and "_". */
static bool is_host(const char *host, size_t length)
{
    size_t label = 0;
    if (length < 1 || length > 253)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (host[i] == '.') {
            if (label == 0)
                return false;
            label = 0;
            continue;
        }
        if (!isalnum((unsigned char)host[i]) && host[i] != '-' && host[i] != '_')
            return false;
        if (++label > 63)
            return false;
    }
    return true;
}

/* Whether a text of digits and dots is not a valid address. */
static bool is_bad_ipv4(const char *host)
{
    struct in_addr address;
    return strspn(host, "0123456789.") == strlen(host) && inet_pton(AF_INET, host, &address) != 1;
}

static int take_host(const char **text, char host[256], struct problem *problem)
{
    struct in6_addr address;
    bool bracket = **text == '[';
    const char *start = *text + bracket;
    size_t length = strcspn(start, bracket ? "]" : ":/");
    if (length == 0)
        return problem_say(problem, "the host is missing");
    bool bare_ipv6 = !bracket && start[length] == ':' && strchr(start + length + 1, ':');
    if (length > 253 || bare_ipv6 || (bracket && start[length] != ']'))
        return problem_say(problem, "the host cannot be read; an IPv6 address is written in [ ]");
    memcpy(host, start, length);
    host[length] = '\0';
    *text = start + length + bracket;
    if (bracket && inet_pton(AF_INET6, host, &address) != 1)
        return problem_say(problem, "\"[%.60s]\" is not an IPv6 address", host);
    if (!bracket && (!is_host(host, length) || is_bad_ipv4(host)))
        return problem_say(problem, "\"%.60s\" is neither a host name nor an IPv4 address", host);
    return 0;
}

/* ":PORT" if it is there. */
static int take_port(const char **text, uint16_t *port, struct problem *problem)
{
    if (**text != ':')
        return 0;
    size_t digits = strspn(*text + 1, "0123456789");
    long number = digits >= 1 && digits <= 5 ? strtol(*text + 1, NULL, 10) : 0;
    if (number < 1 || number > 65535)
        return problem_say(problem,
                           "the port is not a number from 1 to 65535; an IPv6 address is written "
                           "in [ ]");
    *port = (uint16_t)number;
    *text += 1 + digits;
    return 0;
}

static bool is_path(const char *text)
{
    for (; *text; text++) {
        if (*text <= 0x20 || *text >= 0x7f || *text == '#')
            return false;
    }
    return true;
}

static int take_path(const char *text, struct broker_url *server, struct problem *problem)
{
    if (!server->websocket && *text)
        return problem_say(problem, "\"%.60s\": nothing may follow the port of mqtts://", text);
    if (server->websocket && *text != '/')
        return problem_say(problem,
                           "wss:// needs a path: wss://HOST[:PORT]/PATH; often it is /mqtt");
    if (strlen(text) >= sizeof(server->path) || !is_path(text))
        return problem_say(problem, "the path has more than 511 bytes or a character that must be "
                                    "written as %%XX");
    (void)snprintf(server->path, sizeof(server->path), "%s", text);
    return 0;
}

int broker_url_parse(const char *text, struct broker_url *ret_server, struct problem *ret_problem)
{
    struct broker_url server = {0};
    if (take_scheme(&text, &server.websocket, ret_problem) < 0)
        return -EINVAL;
    if (strchr(text, '@'))
        return problem_say(ret_problem,
                           "an address cannot contain a user name; use the keys `username` and "
                           "`password_file`");
    server.port = server.websocket ? 443 : 8883;
    if (take_host(&text, server.host, ret_problem) < 0 ||
        take_port(&text, &server.port, ret_problem) < 0 ||
        take_path(text, &server, ret_problem) < 0)
        return -EINVAL;
    *ret_server = server;
    return 0;
}
