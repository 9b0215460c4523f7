/* Finds Paho's socket and gives it the options that Paho does not. */
#include "agent/uplink/broker_socket.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static uint16_t port_of(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port);
    if (address->ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)(const void *)address)->sin6_port);
    return 0;
}

/* Our own sockets are close-on-exec from birth; the ones that Paho makes are not. */
static bool is_candidate(int descriptor, uint16_t port)
{
    int type = 0;
    socklen_t size = sizeof(type);
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    socklen_t length = sizeof(peer);
    if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM)
        return false;
    if (getpeername(descriptor, (struct sockaddr *)&peer, &length) < 0 || port_of(&peer) != port)
        return false;
    int flags = fcntl(descriptor, F_GETFD);
    return flags >= 0 && !(flags & FD_CLOEXEC);
}

static void set_options(int descriptor, unsigned int user_timeout_ms)
{
    int on = 1;
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms,
                     sizeof(user_timeout_ms));
    (void)fcntl(descriptor, F_SETFD, FD_CLOEXEC);
}

int broker_socket_find(uint16_t port, unsigned int user_timeout_ms, int *ret_copy)
{
    DIR *folder = opendir("/proc/self/fd");
    if (!folder)
        return -errno;
    int found = 0, last = -1;
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
            continue;
        int descriptor = (int)strtol(entry->d_name, NULL, 10);
        if (!is_candidate(descriptor, port))
            continue;
        set_options(descriptor, user_timeout_ms);
        last = descriptor;
        found++;
    }
    closedir(folder);
    *ret_copy = found == 1 ? fcntl(last, F_DUPFD_CLOEXEC, 0) : -1;
    return found;
}

void broker_socket_cut(int copy)
{
    if (copy >= 0)
        (void)shutdown(copy, SHUT_RDWR);
}
