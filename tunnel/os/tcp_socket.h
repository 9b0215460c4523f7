/* Whether a connection of TCP is this machine's own, asked of the kernel; sock_diag(7). */
#ifndef SALLYPORT_TUNNEL_OS_TCP_SOCKET_H
#define SALLYPORT_TUNNEL_OS_TCP_SOCKET_H

#include "tunnel/model/address.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Whether a socket of this network namespace has the connection from OURS and OUR_PORT to THEIRS
 * and THEIR_PORT (both hosts of one family, ports in host order). One that listens has none. Also
 * false when the kernel cannot be asked. netd only, main thread; waits at most two seconds.
 */
bool tcp_socket_has(const struct ip_network *ours, uint16_t our_port,
                    const struct ip_network *theirs, uint16_t their_port);

#endif
