/*
 * The TCP socket of the session, which Paho opens, keeps to itself and gives no options to. It is
 * found among our descriptors by the port of its peer, and a duplicate is kept: so it can be cut
 * whatever Paho does, even when its descriptor number has been reused meanwhile.
 * Main loop only.
 */
#ifndef SALLYPORT_AGENT_UPLINK_BROKER_SOCKET_H
#define SALLYPORT_AGENT_UPLINK_BROKER_SOCKET_H

#include <stdint.h>

/*
 * Looks for connected TCP sockets of this process whose peer has PORT, and sets on each of them
 *   TCP_NODELAY       an acknowledgement must not wait for the peer's delayed ACK
 *   TCP_USER_TIMEOUT  unsent or unacknowledged bytes break it after USER_TIMEOUT_MS
 *   FD_CLOEXEC        our child processes must not inherit it
 * Returns how many were found, or a negative errno. *RET_COPY becomes an owned duplicate of the
 * socket when exactly one was found, else -1.
 */
int broker_socket_find(uint16_t port, unsigned int user_timeout_ms, int *ret_copy);

/* Ends the connection without a DISCONNECT, so that the broker publishes our will. */
void broker_socket_cut(int copy);

#endif
