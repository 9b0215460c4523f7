/* Sockets on the loopback interface, for servers that tests play themselves. */
#ifndef SALLYPORT_TESTS_SUPPORT_NET_H
#define SALLYPORT_TESTS_SUPPORT_NET_H

#include <stdbool.h>
#include <stdint.h>

/* A listening socket on a free port of 127.0.0.1; aborts when there is none. */
int net_listen(uint16_t *ret_port);

/* A port of 127.0.0.1 on which nobody listens, and which the kernel gives to nobody for a while. */
uint16_t net_unused_port(void);

/* A connection to a port of 127.0.0.1, or -1. */
int net_connect(uint16_t port);

/* Waits until DESCRIPTOR can be read, or STOP can; false when STOP came first or the time is up. */
bool net_wait(int descriptor, int stop, int timeout_ms);

#endif
