/*
 * The warden's helper programs (nft, wg, ip): run to their end with fixed arguments, an empty
 * environment, a deadline and bounded output. Warden only, main thread only.
 *
 * The warden keeps its capability out of the ambient set, so that a child has none unless it is
 * started by helper_run(), which raises CAP_NET_ADMIN for exactly that start. privilege_reduce()
 * must have been called before (a test does so as well).
 */
#ifndef SALLYPORT_TUNNEL_HELPER_H
#define SALLYPORT_TUNNEL_HELPER_H

#include "agent/base/strbuf.h"

#include <stddef.h>

#define HELPER_NFT "/usr/sbin/nft"
#define HELPER_WG "/usr/bin/wg"
#define HELPER_IP "/usr/bin/ip"
#define HELPER_WIREGUARD_GO "/usr/bin/wireguard-go"

/*
 * Runs ARGUMENTS (NULL-terminated, [0] an absolute path) with CAP_NET_ADMIN. INPUT goes to its
 * standard input, what it prints is appended to OUTPUT (at most 256 KiB). Returns its exit status
 * 0..255 (128 + N for signal N), or a negative errno (-ETIMEDOUT after 5 s: it is killed).
 */
int helper_run(const char *const *arguments, const void *input, size_t input_length,
               struct strbuf *output);

#endif
