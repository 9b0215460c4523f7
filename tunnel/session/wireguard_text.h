/* What the program wg prints, read. Pure; any thread. */
#ifndef SALLYPORT_TUNNEL_SESSION_WIREGUARD_TEXT_H
#define SALLYPORT_TUNNEL_SESSION_WIREGUARD_TEXT_H

#include "agent/base/strbuf.h"

#include <stdbool.h>
#include <stdint.h>

/* Whether KEY, all that `wg genkey` or `wg pubkey` printed, is a key; its line feed goes. */
bool wireguard_text_is_key(struct strbuf *key);

/*
 * When the peer with the public key KEY had its last handshake, in seconds since 1970, as `wg show
 * ... latest-handshakes` prints it: a line "KEY<tab>SECONDS" for each peer. 0: none yet, or there
 * is no such line. -EBADMSG: the line is there, and its number is none.
 */
int64_t wireguard_text_handshake_s(const char *output, const char *key);

#endif
