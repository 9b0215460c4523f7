/* Sockets on the loopback interface. */
#include "tests/support/net.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

int net_listen(uint16_t *ret_port)
{
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) < 0 ||
        listen(listener, 16) < 0 || getsockname(listener, (struct sockaddr *)&address, &size) < 0)
        abort();
    *ret_port = ntohs(address.sin_port);
    return listener;
}

uint16_t net_unused_port(void)
{
    uint16_t port;
    int listener = net_listen(&port);
    close(listener);
    return port;
}

int net_connect(uint16_t port)
{
    struct sockaddr_in address = loopback(port);
    int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(connection, (struct sockaddr *)&address, sizeof(address)) == 0)
        return connection;
    close(connection);
    return -1;
}

bool net_wait(int descriptor, int stop, int timeout_ms)
{
    struct pollfd wait[] = {{.fd = descriptor, .events = POLLIN}, {.fd = stop, .events = POLLIN}};
    return poll(wait, 2, timeout_ms) > 0 && wait[1].revents == 0 && wait[0].revents != 0;
}
