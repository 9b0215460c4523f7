/* Unix domain sockets at a path. All are close-on-exec. Any thread. */
#ifndef SALLYPORT_AGENT_BASE_UNIX_SOCKET_H
#define SALLYPORT_AGENT_BASE_UNIX_SOCKET_H

#include <sys/types.h>

/*
 * Connects to the socket at PATH. TYPE: SOCK_STREAM or SOCK_SEQPACKET, with SOCK_NONBLOCK where
 * that is wanted. Returns the descriptor, or a negative errno: -ENAMETOOLONG, -ENOENT,
 * -ECONNREFUSED (no process listens there), -EACCES, ...
 */
int unix_socket_connect(const char *path, int type);

/*
 * Listens at PATH with the permissions MODE, which hold from the first moment. A socket that a
 * killed process has left is replaced; -EADDRINUSE when a process listens there. TYPE as above.
 * Returns the descriptor or a negative errno. The caller that closes it unlinks PATH.
 */
int unix_socket_listen(const char *path, int type, mode_t mode, int backlog);

#endif
