/*
 * SHA-256 (FIPS 180-4). Our own, because netd must not load a TLS library with its
 * configuration parser for one function. Pure; any thread.
 */
#ifndef SALLYPORT_TUNNEL_JOURNAL_SHA256_H
#define SALLYPORT_TUNNEL_JOURNAL_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_BYTES 32
#define SHA256_HEX_BYTES 65 /* with the NUL */

struct sha256 {
    uint32_t state[8];
    uint64_t length; /* bytes so far */
    uint8_t block[64];
};

void sha256_init(struct sha256 *hash);
void sha256_update(struct sha256 *hash, const void *bytes, size_t length);
void sha256_final(struct sha256 *hash, char ret_hex[SHA256_HEX_BYTES]);

/* All of it at once, in hex digits or as it is. */
void sha256_text(const char *text, size_t length, char ret_hex[SHA256_HEX_BYTES]);
void sha256_bytes(const void *bytes, size_t length, uint8_t ret_digest[SHA256_BYTES]);

#endif
