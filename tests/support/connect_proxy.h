/* An HTTP proxy that a test plays, in a thread: CONNECT only, one connection after the other. */
#ifndef SALLYPORT_TESTS_SUPPORT_CONNECT_PROXY_H
#define SALLYPORT_TESTS_SUPPORT_CONNECT_PROXY_H

#include <stdint.h>

struct connect_proxy; /* opaque */

/*
 * Every CONNECT is led to 127.0.0.1:TARGET, whatever it names. LOGIN: "USER:PASSWORD" that it asks
 * for, NULL: none. Others get "407 Proxy Authentication Required".
 */
struct connect_proxy *connect_proxy_start(uint16_t target, const char *login);
struct connect_proxy *connect_proxy_stop(struct connect_proxy *proxy);
uint16_t connect_proxy_port(const struct connect_proxy *proxy);
unsigned int connect_proxy_connections(const struct connect_proxy *proxy);

#endif
