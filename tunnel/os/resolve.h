/*
 * The addresses of a name, the hub's or one of egress = "strict": runs as a process of its own
 * without any capability (`sallyport-netd --resolve HOST PORT`), because a resolver parses what
 * strangers send. It prints the addresses that have a route, best first, one a line; netd
 * reads them as it reads any stranger's text.
 */
#ifndef SALLYPORT_TUNNEL_OS_RESOLVE_H
#define SALLYPORT_TUNNEL_OS_RESOLVE_H

#include "tunnel/model/address.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define RESOLVE_MAX 16            /* addresses of one name; more are left out */
#define RESOLVE_ANSWER_BYTES 1024 /* room for all that the process prints */

/* Exit codes of the process. */
enum resolve_exit {
    RESOLVE_DONE = 0,
    RESOLVE_NO_NAME = 10,   /* the name does not exist */
    RESOLVE_NO_SERVER = 11, /* no name server answered */
    RESOLVE_NO_ROUTE = 12,  /* there are addresses, but no route to any */
};

/* The process. Returns its exit code. */
int resolve_main(const char *host, const char *port);

/*
 * Reads what the process printed: numeric addresses, one a line. Returns how many were written to
 * HOSTS (at most RESOLVE_MAX), or -EINVAL.
 */
int resolve_read(const char *text, struct ip_network hosts[RESOLVE_MAX]);

/* The same for the hub: as destinations with PORT; -EINVAL if one of them is not unicast. */
int resolve_parse(const char *text, uint16_t port, struct sockaddr_storage hubs[RESOLVE_MAX]);

#endif
