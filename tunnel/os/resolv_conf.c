/* The name servers in the text of a resolv.conf. */
#include "tunnel/os/resolv_conf.h"

#include <string.h>

static size_t resolv_conf_skip_blanks(const char *line, size_t length, size_t at)
{
    while (at < length && (line[at] == ' ' || line[at] == '\t'))
        at++;
    return at;
}

/* "nameserver ADDRESS", which begins the line and may be followed by anything. */
static bool resolv_conf_read_line(const char *line, size_t length, struct ip_network *ret_server)
{
    static const char keyword[] = "nameserver";
    const size_t word = sizeof(keyword) - 1;
    char address[INET6_ADDRSTRLEN];
    if (length <= word || memcmp(line, keyword, word) != 0)
        return false;
    size_t begin = resolv_conf_skip_blanks(line, length, word), end = begin;
    while (end < length && !memchr(" \t\r%#;", line[end], 6))
        end++;
    if (begin == word || end - begin >= sizeof(address))
        return false;
    memcpy(address, line + begin, end - begin);
    address[end - begin] = '\0';
    return strlen(address) == end - begin && ip_network_parse(address, ret_server) == 0 &&
           ip_network_is_host(ret_server);
}

static bool is_known(const struct ip_network *servers, size_t n, const struct ip_network *server)
{
    for (size_t i = 0; i < n; i++) {
        if (ip_network_equal(&servers[i], server))
            return true;
    }
    return false;
}

size_t resolv_conf_read(const char *text, size_t length, struct ip_network *servers, size_t room)
{
    size_t n = 0;
    while (length > 0 && n < room) {
        const char *end = memchr(text, '\n', length);
        size_t line = end ? (size_t)(end - text) : length, whole = end ? line + 1 : line;
        struct ip_network server;
        if (resolv_conf_read_line(text, line, &server) && !is_known(servers, n, &server))
            servers[n++] = server;
        text += whole;
        length -= whole;
    }
    return n;
}
