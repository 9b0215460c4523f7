/* A WireGuard key as text. Pure; any thread. */
#ifndef SALLYPORT_TUNNEL_MODEL_WIREGUARD_KEY_H
#define SALLYPORT_TUNNEL_MODEL_WIREGUARD_KEY_H

#include <stdbool.h>

#define WIREGUARD_KEY_CHARACTERS 44

/* Whether TEXT is 32 bytes in base64 and nothing else, as `wg` itself would take it. */
bool wireguard_key_is_valid(const char *text);

#endif
