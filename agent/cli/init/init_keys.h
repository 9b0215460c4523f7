/* Keys that a gateway makes for itself. */
#ifndef SALLYPORT_AGENT_CLI_INIT_INIT_KEYS_H
#define SALLYPORT_AGENT_CLI_INIT_INIT_KEYS_H

#include "agent/base/strbuf.h"

/* A new key pair for WireGuard (X25519), both in base64. Returns 0 or -EIO. */
int init_make_wireguard_key(struct strbuf *private_key, struct strbuf *public_key);

/* A new EC key on P-256 and a request for a certificate of NAME, both PEM. Returns 0 or -EIO. */
int init_make_request(const char *name, struct strbuf *key, struct strbuf *request);

#endif
