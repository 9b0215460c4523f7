/* Creates keys on the gateway, with OpenSSL, in memory. */

#include "agent/cli/init/init_keys.h"

#include "agent/base/macros.h"
#include "agent/base/memory.h"

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#define KEY_BYTES 32

static void free_key(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

static void free_request(X509_REQ **request)
{
    X509_REQ_free(*request);
}

static void free_bio(BIO **bio)
{
    (void)BIO_free(*bio); /* a memory BIO of a secret is wiped by OpenSSL */
}

static void add_base64(const unsigned char *bytes, struct strbuf *out)
{
    unsigned char text[4 * ((KEY_BYTES + 2) / 3) + 1];
    int length = EVP_EncodeBlock(text, bytes, KEY_BYTES);
    strbuf_append(out, text, (size_t)length);
    memory_wipe(text, sizeof(text));
}

int init_make_wireguard_key(struct strbuf *private_key, struct strbuf *public_key)
{
    unsigned char secret[KEY_BYTES], open[KEY_BYTES];
    size_t secret_length = sizeof(secret), open_length = sizeof(open);
    CLEANUP(free_key) EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    if (!key || EVP_PKEY_get_raw_private_key(key, secret, &secret_length) != 1 ||
        EVP_PKEY_get_raw_public_key(key, open, &open_length) != 1 || secret_length != KEY_BYTES ||
        open_length != KEY_BYTES)
        return -EIO;
    secret[0] &= 248; /* RFC 7748, section 5: as `wg genkey` writes it */
    secret[KEY_BYTES - 1] = (unsigned char)((secret[KEY_BYTES - 1] & 127) | 64);
    (void)strbuf_reserve(private_key, 128); /* so that no copy is left when it grows */
    add_base64(secret, private_key);
    add_base64(open, public_key);
    memory_wipe(secret, sizeof(secret));
    return 0;
}

static int take(BIO *bio, struct strbuf *out)
{
    char *bytes = NULL;
    long length = BIO_get_mem_data(bio, &bytes);
    if (length <= 0)
        return -EIO;
    (void)strbuf_reserve(out, (size_t)length + 1);
    strbuf_append(out, bytes, (size_t)length);
    return 0;
}

static X509_REQ *make_request(const char *name, EVP_PKEY *key)
{
    X509_REQ *request = X509_REQ_new();
    if (request && X509_REQ_set_version(request, X509_REQ_VERSION_1) == 1 &&
        X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request), "CN", MBSTRING_UTF8,
                                   (const unsigned char *)name, -1, -1, 0) == 1 &&
        X509_REQ_set_pubkey(request, key) == 1 && X509_REQ_sign(request, key, EVP_sha256()) > 0)
        return request;
    X509_REQ_free(request);
    return NULL;
}

int init_make_request(const char *name, struct strbuf *key, struct strbuf *request)
{
    CLEANUP(free_key) EVP_PKEY *pair = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    CLEANUP(free_request) X509_REQ *made = pair ? make_request(name, pair) : NULL;
    CLEANUP(free_bio) BIO *secret = BIO_new(BIO_s_secmem());
    CLEANUP(free_bio) BIO *text = BIO_new(BIO_s_mem());
    if (!made || !secret || !text ||
        PEM_write_bio_PKCS8PrivateKey(secret, pair, NULL, NULL, 0, NULL, NULL) != 1 ||
        PEM_write_bio_X509_REQ(text, made) != 1)
        return -EIO;
    int problem = take(secret, key);
    return problem < 0 ? problem : take(text, request);
}
