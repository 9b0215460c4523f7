/*
 * Where the hub is: runs as a process of its own without any capability (`sallyport-netd
 * --resolve HOST PORT`), because a resolver parses what strangers send. It prints the addresses
 * that have a route, best first, one a line; the warden reads them as it reads any stranger's text.
 */
#ifndef SALLYPORT_TUNNEL_RESOLVE_H
#define SALLYPORT_TUNNEL_RESOLVE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define RESOLVE_MAX 4 /* addresses that are tried */

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
 * Reads what the process printed: numeric unicast addresses, one a line. Returns how many were
 * written to HUBS (at most RESOLVE_MAX), or -EINVAL.
 */
int resolve_parse(const char *text, uint16_t port, struct sockaddr_storage hubs[RESOLVE_MAX]);

#endif
