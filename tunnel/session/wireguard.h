/*
 * The tunnel's interface: made, configured and removed; the kernel's WireGuard first, wireguard-go
 * where there is none. netd owns it. Main thread only; nothing here waits for the network.
 */
#ifndef SALLYPORT_TUNNEL_SESSION_WIREGUARD_H
#define SALLYPORT_TUNNEL_SESSION_WIREGUARD_H

#include "agent/base/strbuf.h"
#include "tunnel/config/netd_config.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define WIREGUARD_ENDPOINT_BYTES 72

struct wireguard; /* opaque: the interface and, in user space, the process behind it */

struct wireguard *wireguard_new(const struct tunnel_config *config);
struct wireguard *wireguard_free(struct wireguard *wireguard); /* removes nothing; NULL */

/*
 * Makes the interface, hands it keys and the hub at HUB, gives it its address, routes and MTU, and
 * sets it up. Returns 0, or a negative errno with the reason in PROBLEM and nothing left behind.
 */
int wireguard_up(struct wireguard *wireguard, const struct sockaddr_storage *hub,
                 struct strbuf *problem);

/* Points the interface at another address of the hub. 0 or a negative errno. */
int wireguard_set_hub(struct wireguard *wireguard, const struct sockaddr_storage *hub);

/* Readable when the process behind the interface has ended; -1: the kernel does it. Not owned. */
int wireguard_descriptor(const struct wireguard *wireguard);

/* Seconds since 1970 of the last handshake with the hub; 0: none yet. Negative errno. */
int64_t wireguard_last_handshake_s(struct wireguard *wireguard);

/* Removes the interface, and the process behind it. Repeatable. 0 or a negative errno. */
int wireguard_down(struct wireguard *wireguard);

/* Removes every spt* interface that an earlier run left; returns how many, or a negative errno. */
int wireguard_remove_leftovers(void);

/*
 * Makes a private key at PATH (mode 0400) unless there is one. Appends the public key to
 * PUBLIC_KEY. Returns 0 or a negative errno.
 */
int wireguard_ensure_key(const char *path, struct strbuf *public_key);

/* "ADDRESS:PORT" or "[ADDRESS]:PORT", as wg reads it. Returns TEXT. */
const char *wireguard_endpoint(const struct sockaddr_storage *hub,
                               char text[WIREGUARD_ENDPOINT_BYTES]);

#endif
