/* SHA-256 as FIPS 180-4 describes it, section by section. */
#include "tunnel/journal/sha256.h"

#include <string.h>

static const uint32_t round_constants[64] =
    {/* 4.2.2 */
     0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
     0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
     0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
     0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
     0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
     0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
     0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
     0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
     0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
     0xc67178f2};

static uint32_t rotate(uint32_t word, unsigned by)
{
    return word >> by | word << (32 - by);
}

/* 6.2.2: one block of 64 bytes. */
static void compress(uint32_t state[8], const uint8_t block[64])
{
    uint32_t schedule[64], v[8];
    for (int t = 0; t < 16; t++)
        schedule[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 |
                      (uint32_t)block[4 * t + 2] << 8 | block[4 * t + 3];
    for (int t = 16; t < 64; t++) {
        uint32_t a = schedule[t - 15], b = schedule[t - 2];
        schedule[t] = (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10) + schedule[t - 7] +
                      (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + schedule[t - 16];
    }
    memcpy(v, state, sizeof(v));
    for (int t = 0; t < 64; t++) {
        uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
        uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        uint32_t first = v[7] + (rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25)) + choice +
                         round_constants[t] + schedule[t];
        uint32_t second = (rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22)) + majority;
        memmove(v + 1, v, 7 * sizeof(v[0]));
        v[4] += first;
        v[0] = first + second;
    }
    for (int i = 0; i < 8; i++)
        state[i] += v[i];
}

void sha256_init(struct sha256 *hash)
{
    static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, /* 5.3.3 */
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(hash->state, initial, sizeof(initial));
    hash->length = 0;
}

void sha256_update(struct sha256 *hash, const void *bytes, size_t length)
{
    const uint8_t *from = bytes;
    while (length > 0) {
        size_t used = hash->length % 64, take = 64 - used < length ? 64 - used : length;
        memcpy(hash->block + used, from, take);
        hash->length += take;
        from += take;
        length -= take;
        if (hash->length % 64 == 0)
            compress(hash->state, hash->block);
    }
}

/* Ends HASH: its state is the digest from then on. */
static void sha256_close(struct sha256 *hash)
{
    static const uint8_t padding[64] = {0x80}; /* 5.1.1 */
    uint64_t bits = hash->length * 8;
    uint8_t tail[8];
    for (int i = 0; i < 8; i++)
        tail[i] = (uint8_t)(bits >> (56 - 8 * i));
    sha256_update(hash, padding, 1 + (119 - hash->length % 64) % 64);
    sha256_update(hash, tail, 8);
}

static uint8_t digest_byte(const struct sha256 *hash, size_t i)
{
    return (uint8_t)(hash->state[i / 4] >> (24 - 8 * (i % 4)));
}

void sha256_final(struct sha256 *hash, char ret_hex[SHA256_HEX_BYTES])
{
    sha256_close(hash);
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        ret_hex[2 * i] = "0123456789abcdef"[digest_byte(hash, i) >> 4];
        ret_hex[2 * i + 1] = "0123456789abcdef"[digest_byte(hash, i) & 15];
    }
    ret_hex[2 * SHA256_BYTES] = '\0';
}

void sha256_text(const char *text, size_t length, char ret_hex[SHA256_HEX_BYTES])
{
    struct sha256 hash;
    sha256_init(&hash);
    sha256_update(&hash, text, length);
    sha256_final(&hash, ret_hex);
}

void sha256_bytes(const void *bytes, size_t length, uint8_t ret_digest[SHA256_BYTES])
{
    struct sha256 hash;
    sha256_init(&hash);
    sha256_update(&hash, bytes, length);
    sha256_close(&hash);
    for (size_t i = 0; i < SHA256_BYTES; i++)
        ret_digest[i] = digest_byte(&hash, i);
}
