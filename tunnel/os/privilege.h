/*
 * What netd gives up before it does anything: all capabilities but CAP_NET_ADMIN, new
 * privileges, and the system calls that neither it nor a helper needs. Main thread, once.
 */
#ifndef SALLYPORT_TUNNEL_OS_PRIVILEGE_H
#define SALLYPORT_TUNNEL_OS_PRIVILEGE_H

#include <stdbool.h>

/*
 * Keeps CAP_NET_ADMIN alone, in the permitted, effective and inheritable sets, with an empty
 * ambient set, so that a child has none. Sets no_new_privs. Returns 0, or -EPERM without the
 * capability, or another negative errno. -EACCES: all of it is done, but the process is root's and
 * may not change what that means (CAP_SETPCAP), so that every child has the capability.
 */
int privilege_reduce(void);

/* Loads the system call filter; children inherit it. 0 or a negative errno. */
int privilege_filter(void);

/* Raises or clears CAP_NET_ADMIN in the ambient set: for the start of one child. */
int privilege_ambient(bool raised);

#endif
