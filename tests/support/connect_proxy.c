/* An HTTP proxy that a test plays. */
#include "tests/support/connect_proxy.h"

#include "agent/base/memory.h"
#include "tests/support/net.h"

#include <openssl/evp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

struct connect_proxy {
    int listener, stop;
    uint16_t port, target;
    char wanted[256]; /* the header line, "" for none */
    pthread_t thread;
    atomic_uint connections;
};

static bool read_request(const struct connect_proxy *proxy, int client, char *request, size_t size)
{
    size_t length = 0;
    request[0] = '\0';
    while (length + 1 < size && !strstr(request, "\r\n\r\n")) {
        if (!net_wait(client, proxy->stop, 60000) || recv(client, request + length, 1, 0) != 1)
            return false;
        request[++length] = '\0';
    }
    return true;
}

static bool pass_on(int from, int to)
{
    char bytes[16384];
    ssize_t got = recv(from, bytes, sizeof(bytes), 0);
    return got > 0 && send(to, bytes, (size_t)got, MSG_NOSIGNAL) == got;
}

static void relay(const struct connect_proxy *proxy, int client, int server)
{
    struct pollfd wait[] = {{.fd = client, .events = POLLIN},
                            {.fd = server, .events = POLLIN},
                            {.fd = proxy->stop, .events = POLLIN}};
    while (poll(wait, 3, -1) > 0 && !wait[2].revents) {
        if (wait[0].revents && !pass_on(client, server))
            return;
        if (wait[1].revents && !pass_on(server, client))
            return;
    }
}

static void serve(const struct connect_proxy *proxy, int client)
{
    static const char no[] = "HTTP/1.1 407 Proxy Authentication Required\r\n"
                             "Proxy-Authenticate: Basic realm=\"x\"\r\n\r\n";
    static const char yes[] = "HTTP/1.1 200 Connection established\r\n\r\n";
    char request[4096];
    if (!read_request(proxy, client, request, sizeof(request)))
        return;
    if (strncmp(request, "CONNECT ", 8) != 0 || !strstr(request, proxy->wanted)) {
        (void)send(client, no, strlen(no), MSG_NOSIGNAL);
        return;
    }
    int server = net_connect(proxy->target);
    (void)send(client, yes, strlen(yes), MSG_NOSIGNAL);
    if (server >= 0)
        relay(proxy, client, server);
    close(server);
}

static void *run(void *context)
{
    struct connect_proxy *proxy = context;
    while (net_wait(proxy->listener, proxy->stop, -1)) {
        int client = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC);
        if (client < 0)
            continue;
        atomic_fetch_add(&proxy->connections, 1);
        serve(proxy, client);
        close(client);
    }
    return NULL;
}

struct connect_proxy *connect_proxy_start(uint16_t target, const char *login)
{
    struct connect_proxy *proxy = memory_zeroed(1, sizeof(*proxy));
    proxy->target = target;
    if (login) {
        unsigned char encoded[200];
        (void)EVP_EncodeBlock(encoded, (const unsigned char *)login, (int)strlen(login));
        (void)snprintf(proxy->wanted, sizeof(proxy->wanted), ": Basic %s\r\n", encoded);
    }
    proxy->listener = net_listen(&proxy->port);
    proxy->stop = eventfd(0, EFD_CLOEXEC);
    if (proxy->stop < 0 || pthread_create(&proxy->thread, NULL, run, proxy) != 0)
        abort();
    return proxy;
}

struct connect_proxy *connect_proxy_stop(struct connect_proxy *proxy)
{
    if (!proxy)
        return NULL;
    (void)eventfd_write(proxy->stop, 1);
    pthread_join(proxy->thread, NULL);
    close(proxy->listener);
    close(proxy->stop);
    free(proxy);
    return NULL;
}

uint16_t connect_proxy_port(const struct connect_proxy *proxy)
{
    return proxy->port;
}

unsigned int connect_proxy_connections(const struct connect_proxy *proxy)
{
    return atomic_load(&proxy->connections);
}
