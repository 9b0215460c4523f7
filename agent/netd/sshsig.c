/*
 * Signatures of ssh-keygen, by OpenSSH's PROTOCOL.sshsig and PROTOCOL.u2f. What is signed is a
 * small record with the hash of the text in it; a key in hardware signs the hash of that record,
 * with what the hardware says about itself.
 */
#include "agent/netd/sshsig.h"

#include "agent/base/macros.h"
#include "tunnel/config/signers.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <string.h>

#define KEY_BYTES 32
#define SIGNATURE_BYTES 64
#define HARDWARE_BYTES 5 /* flags and counter, after the signature */
#define HASH_BYTES 32    /* SHA-256 */
#define RECORD_BYTES 256 /* more than the longest */

/* What a key and a signature consist of. */
struct sshsig_parts {
    const unsigned char *key, *signature;
    struct armour_part application; /* of a key in hardware; at NULL: it is in a file */
    const unsigned char *hardware;
};

static bool cut_bytes(struct armour_part *rest, size_t length, const unsigned char **ret_bytes)
{
    struct armour_part part;
    if (armour_cut(rest, &part) < 0 || part.length != length)
        return false;
    *ret_bytes = part.at;
    return true;
}

/* Both name the type first. */
static bool take_apart(const struct armour *armour, struct sshsig_parts *ret_parts)
{
    struct armour_part key = armour->key, signature = armour->signature, types[2];
    *ret_parts = (struct sshsig_parts){.key = NULL};
    if (armour_cut(&key, &types[0]) < 0 || armour_cut(&signature, &types[1]) < 0 ||
        !cut_bytes(&key, KEY_BYTES, &ret_parts->key) ||
        !cut_bytes(&signature, SIGNATURE_BYTES, &ret_parts->signature))
        return false;
    if (armour_part_is(types[0], ARMOUR_ED25519))
        return armour_part_is(types[1], ARMOUR_ED25519) && key.length == 0 && signature.length == 0;
    ret_parts->hardware = signature.at;
    return armour_part_is(types[0], ARMOUR_HARDWARE) && armour_part_is(types[1], ARMOUR_HARDWARE) &&
           armour_cut(&key, &ret_parts->application) == 0 && key.length == 0 &&
           signature.length == HARDWARE_BYTES;
}

int sshsig_read(const char *text, size_t length, struct armour *ret_armour)
{
    struct sshsig_parts parts;
    if (armour_read(text, length, ret_armour) < 0 ||
        !armour_part_is(ret_armour->name_space, SIGNERS_NAMESPACE) ||
        !(armour_part_is(ret_armour->hash, "sha512") ||
          armour_part_is(ret_armour->hash, "sha256")) ||
        !take_apart(ret_armour, &parts))
        return -EBADMSG;
    return 0;
}

/* Appends bytes with their number before them. */
static size_t put_string(unsigned char *record, size_t at, const void *bytes, size_t length)
{
    const unsigned char size[4] = {(unsigned char)(length >> 24), (unsigned char)(length >> 16),
                                   (unsigned char)(length >> 8), (unsigned char)length};
    memcpy(record + at, size, sizeof(size));
    if (length)
        memcpy(record + at + sizeof(size), bytes, length);
    return at + sizeof(size) + length;
}

/* Makes what was signed; returns its length, 0 when the library does not know a hash. */
static size_t make_record(const struct armour *armour, const struct sshsig_parts *parts,
                          const char *text, size_t length, unsigned char record[RECORD_BYTES])
{
    const EVP_MD *type = armour_part_is(armour->hash, "sha512") ? EVP_sha512() : EVP_sha256();
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned hash_length = 0;
    if (!EVP_Digest(text, length, hash, &hash_length, type, NULL))
        return 0;
    memcpy(record, "SSHSIG", 6);
    size_t at = put_string(record, 6, armour->name_space.at, armour->name_space.length);
    at = put_string(record, at, "", 0);
    at = put_string(record, at, armour->hash.at, armour->hash.length);
    at = put_string(record, at, hash, hash_length);
    if (!parts->hardware)
        return at;
    unsigned char about[HASH_BYTES], inner[HASH_BYTES];
    if (!EVP_Digest(parts->application.at, parts->application.length, about, NULL, EVP_sha256(),
                    NULL) ||
        !EVP_Digest(record, at, inner, NULL, EVP_sha256(), NULL))
        return 0;
    memcpy(record, about, HASH_BYTES);
    memcpy(record + HASH_BYTES, parts->hardware, HARDWARE_BYTES);
    memcpy(record + HASH_BYTES + HARDWARE_BYTES, inner, HASH_BYTES);
    return HASH_BYTES + HARDWARE_BYTES + HASH_BYTES;
}

/* 1, 0: it is not good, or a negative number: nothing is known. */
static int verify(const struct sshsig_parts *parts, const unsigned char *record, size_t length)
{
    int verdict = -1;
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, parts->key, KEY_BYTES);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (key && context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1)
        verdict = EVP_DigestVerify(context, parts->signature, SIGNATURE_BYTES, record, length) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return verdict;
}

bool sshsig_is_over(const struct armour *armour, const char *text, size_t length)
{
    unsigned char record[RECORD_BYTES];
    struct sshsig_parts parts;
    if (!take_apart(armour, &parts))
        return false;
    size_t record_length = make_record(armour, &parts, text, length, record);
    return record_length == 0 || verify(&parts, record, record_length) != 0;
}
