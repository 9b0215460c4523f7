/* Unix domain sockets at a path; see unix(7). */
#include "agent/base/unix_socket.h"

#include "agent/base/descriptor.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int make_address(const char *path, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address->sun_path))
        return -ENAMETOOLONG;
    strcpy(address->sun_path, path);
    return 0;
}

int unix_socket_connect(const char *path, int type)
{
    struct sockaddr_un address;
    int problem = make_address(path, &address);
    if (problem < 0)
        return problem;
    CLEANUP(descriptor_close) int connected = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (connected < 0 || connect(connected, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    return descriptor_take(&connected);
}

/* 0 when PATH is free, after removing the socket that a killed process has left there. */
static int make_way(const char *path, int type)
{
    CLEANUP(descriptor_close)
    int other = unix_socket_connect(path, (type & ~SOCK_NONBLOCK) | SOCK_NONBLOCK);
    if (other >= 0 || other == -EAGAIN)
        return -EADDRINUSE;
    struct stat about;
    if (other == -ECONNREFUSED && lstat(path, &about) == 0 && S_ISSOCK(about.st_mode))
        (void)unlink(path);
    return 0;
}

int unix_socket_listen(const char *path, int type, mode_t mode, int backlog)
{
    struct sockaddr_un address;
    int problem = make_address(path, &address);
    if (!problem)
        problem = make_way(path, type);
    if (problem < 0)
        return problem;
    CLEANUP(descriptor_close) int listening = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    /* The mode before bind() is never wider than MODE; chmod() after it undoes the effect of the
     * umask. */
    if (listening < 0 || fchmod(listening, mode) < 0 ||
        bind(listening, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    if (chmod(path, mode) < 0 || listen(listening, backlog) < 0) {
        problem = -errno;
        (void)unlink(path);
        return problem;
    }
    return descriptor_take(&listening);
}
