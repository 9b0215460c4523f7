/* The address of a proxy, taken apart. */
#include "config/load/proxy_url.h"

#include "agent/base/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
}

static const char *take_login(const char *text, size_t length, struct proxy_url *url)
{
    if (length > PROXY_LOGIN_MAX_BYTES)
        return "the login of the proxy is longer than 1023 characters";
    for (size_t i = 0; i < length; i++) {
        if (text[i] <= ' ' || text[i] > '~' || strchr("@/", text[i]))
            return "the login of the proxy has a character that must be written as %XX";
    }
    if (length == 0 || text[0] == ':')
        return "the login of the proxy has no user name";
    memcpy(url->login, text, length);
    url->login[length] = '\0';
    return NULL;
}

/* PORT or PORT/ until the end; 1 to 65535, else 0. */
static uint16_t proxy_url_take_port(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    bool ends = strcmp(text + digits, "") == 0 || strcmp(text + digits, "/") == 0;
    unsigned long port = ends && digits <= 5 ? strtoul(text, NULL, 10) : 0;
    return port <= UINT16_MAX ? (uint16_t)port : 0;
}

static const char *proxy_url_take_host(const char *text, struct proxy_url *url)
{
    size_t length = 0;
    while (is_name_character(text[length]))
        length++;
    if (length == 0 || length > PROXY_HOST_MAX_BYTES)
        return "the host of the proxy is neither a name nor an IPv4 address";
    if (text[length] != ':')
        return "the port of the proxy is missing";
    url->port = proxy_url_take_port(text + length + 1);
    if (url->port == 0)
        return "the port of the proxy is not a number from 1 to 65535";
    memcpy(url->host, text, length);
    url->host[length] = '\0';
    return NULL;
}

static const char *take_apart(const char *text, struct proxy_url *url)
{
    static const char prefix[] = "http://";
    if (strncmp(text, prefix, strlen(prefix)) != 0)
        return "a proxy is written as http://HOST:PORT or http://USER@HOST:PORT";
    text += strlen(prefix);
    const char *at = strrchr(text, '@');
    const char *problem = at ? take_login(text, (size_t)(at - text), url) : NULL;
    return problem ? problem : proxy_url_take_host(at ? at + 1 : text, url);
}

int proxy_url_parse(const char *text, struct proxy_url *ret_url, struct problem *ret_problem)
{
    struct proxy_url url = {0};
    const char *problem = take_apart(text, &url);
    if (problem)
        return problem_say(ret_problem, "%s", problem);
    *ret_url = url;
    return 0;
}

bool proxy_url_has_password(const struct proxy_url *url)
{
    return strchr(url->login, ':') != NULL;
}

/* Appends to LOGIN; false when there is no room. */
static bool add_encoded(char *login, size_t size, const char *password)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t length = strlen(login);
    for (const char *c = password; *c; c++) {
        unsigned char byte = (unsigned char)*c;
        if (length + 4 > size)
            return false;
        if (is_name_character(*c)) {
            login[length++] = *c;
        } else {
            login[length++] = '%';
            login[length++] = digits[byte >> 4];
            login[length++] = digits[byte & 15];
        }
        login[length] = '\0';
    }
    return true;
}

int proxy_url_set_password(struct proxy_url *url, const char *password)
{
    struct proxy_url with = *url;
    if (!url->login[0] || proxy_url_has_password(url))
        return -EINVAL;
    size_t length = strlen(with.login);
    if (length + 2 > sizeof(with.login))
        return -EFBIG;
    memcpy(with.login + length, ":", 2);
    bool fits = add_encoded(with.login, sizeof(with.login), password);
    if (fits)
        *url = with;
    memory_wipe(&with, sizeof(with));
    return fits ? 0 : -EFBIG;
}
