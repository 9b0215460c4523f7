/* Signatures by ssh-keygen, and by a key as hardware has it, which OpenSSL plays. */
#include "agent/netd/sshsig.h"

#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "tests/support/signing.h"
#include "tests/support/test.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define BEGIN "-----BEGIN SSH SIGNATURE-----\n"
#define END "-----END SSH SIGNATURE-----\n"

static void test_file_key(void)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    struct armour armour;
    signing_sign("anna", "sallyport", "abc", 3, &text);
    CU_ASSERT_EQUAL_FATAL(sshsig_read(text.data, text.length, &armour), 0);
    CU_ASSERT_TRUE(sshsig_is_over(&armour, "abc", 3));
    CU_ASSERT_FALSE(sshsig_is_over(&armour, "abd", 3));
    CU_ASSERT_FALSE(sshsig_is_over(&armour, "abc", 2));
    CU_ASSERT_FALSE(sshsig_is_over(&armour, "", 0));
    size_t at = (size_t)(armour.signature.at - armour.bytes) + armour.signature.length - 1;
    armour.bytes[at] ^= 1;
    CU_ASSERT_FALSE(sshsig_is_over(&armour, "abc", 3));
    armour.bytes[at] ^= 1;
    CU_ASSERT_TRUE(sshsig_is_over(&armour, "abc", 3));
}

static void test_refused(void)
{
    static const struct {
        const char *name, *name_space;
    } rows[] = {{"anna", "file"}, {"rsa", "sallyport"}, {"ecdsa", "sallyport"}};
    struct armour armour;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
        signing_sign(rows[i].name, rows[i].name_space, "abc", 3, &text);
        CU_ASSERT_EQUAL(sshsig_read(text.data, text.length, &armour), -EBADMSG);
    }
    CU_ASSERT_EQUAL(sshsig_read("", 0, &armour), -EBADMSG);
    CU_ASSERT_EQUAL(sshsig_read(BEGIN END, strlen(BEGIN END), &armour), -EBADMSG);
}

static void put(struct strbuf *out, const void *bytes, size_t length)
{
    const char size[4] = {0, 0, (char)(length >> 8), (char)length};
    strbuf_append(out, size, sizeof(size));
    strbuf_append(out, bytes, length);
}

static void put_text(struct strbuf *out, const char *text)
{
    put(out, text, strlen(text));
}

static void put_hash(struct strbuf *out, const EVP_MD *type, const void *bytes, size_t length)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    CU_ASSERT_EQUAL_FATAL(EVP_Digest(bytes, length, hash, &size, type, NULL), 1);
    strbuf_append(out, hash, size);
}

/* What a token signs for TEXT: PROTOCOL.u2f, after PROTOCOL.sshsig. FLAGS and counter: 5 bytes. */
static void write_record(struct strbuf *out, const char *text, const char *flags)
{
    CLEANUP(strbuf_free) struct strbuf hash = STRBUF_EMPTY, inner = STRBUF_EMPTY;
    put_hash(&hash, EVP_sha512(), text, strlen(text));
    strbuf_add(&inner, "SSHSIG");
    put_text(&inner, "sallyport");
    put_text(&inner, "");
    put_text(&inner, "sha512");
    put(&inner, hash.data, hash.length);
    put_hash(out, EVP_sha256(), "ssh:", 4);
    strbuf_append(out, flags, 5);
    put_hash(out, EVP_sha256(), inner.data, inner.length);
}

/* The armour of a hardware key's signature over TEXT; EXTRA is appended to the signature. */
static void write_hardware(struct strbuf *out, const char *text, const char *extra)
{
    static const char flags[] = {1, 0, 0, 0, 9};
    CLEANUP(strbuf_free) struct strbuf record = STRBUF_EMPTY, key = STRBUF_EMPTY;
    CLEANUP(strbuf_free) struct strbuf signature = STRBUF_EMPTY, blob = STRBUF_EMPTY;
    unsigned char seed[32] = {1, 2, 3}, public_key[32], made[64];
    size_t public_length = sizeof(public_key), made_length = sizeof(made);
    EVP_PKEY *pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof(seed));
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    write_record(&record, text, flags);
    CU_ASSERT_EQUAL_FATAL(EVP_PKEY_get_raw_public_key(pair, public_key, &public_length), 1);
    CU_ASSERT_EQUAL_FATAL(EVP_DigestSignInit(context, NULL, NULL, NULL, pair), 1);
    CU_ASSERT_EQUAL_FATAL(EVP_DigestSign(context, made, &made_length,
                                         (const unsigned char *)record.data, record.length),
                          1);
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(pair);
    put_text(&key, ARMOUR_HARDWARE);
    put(&key, public_key, sizeof(public_key));
    put_text(&key, "ssh:");
    put_text(&signature, ARMOUR_HARDWARE);
    put(&signature, made, sizeof(made));
    strbuf_append(&signature, flags, sizeof(flags));
    strbuf_add(&signature, extra);
    strbuf_append(&blob, "SSHSIG\0\0\0\1", 10);
    put(&blob, key.data, key.length);
    put_text(&blob, "sallyport");
    put_text(&blob, "");
    put_text(&blob, "sha512");
    put(&blob, signature.data, signature.length);
    char base64[ARMOUR_KEY_TEXT_BYTES];
    armour_print((struct armour_part){(const unsigned char *)blob.data, blob.length}, base64);
    strbuf_addf(out, BEGIN "%s\n" END, base64);
}

static void test_hardware_key(void)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY, longer = STRBUF_EMPTY;
    struct armour armour;
    write_hardware(&text, "abc", "");
    CU_ASSERT_EQUAL_FATAL(sshsig_read(text.data, text.length, &armour), 0);
    CU_ASSERT_TRUE(sshsig_is_over(&armour, "abc", 3));
    CU_ASSERT_FALSE(sshsig_is_over(&armour, "abd", 3));
    armour.bytes[armour.signature.at - armour.bytes + (ptrdiff_t)armour.signature.length - 1] ^= 1;
    CU_ASSERT_FALSE(sshsig_is_over(&armour, "abc", 3)); /* the counter is signed as well */
    write_hardware(&longer, "abc", "x");
    CU_ASSERT_EQUAL(sshsig_read(longer.data, longer.length, &armour), -EBADMSG);
}

int main(void)
{
    static const struct test_case cases[] = {
        {"a key in a file", test_file_key},
        {"a key in hardware", test_hardware_key},
        {"what is none", test_refused},
    };
    signing_make_key("anna", "ed25519");
    signing_make_key("rsa", "rsa");
    signing_make_key("ecdsa", "ecdsa");
    return test_main("sshsig", cases, ARRAY_LENGTH(cases));
}
